/*
 * Part of _threadmodule.c: waiting for the threads that are not daemons, in no silence, and no longer than
 * the deadline, if there is one.
 */

static PyTime_t
rt_now(void)
{
    PyTime_t now = 0;
    (void)PyTime_MonotonicRaw(&now);
    return now;
}

/* How long a join is for, in nanoseconds: until the deadline or the next line about it, whichever is first. */
static PyTime_t
rt_turn(int64_t left_us, int64_t notice_us)
{
    int64_t us = left_us < 0 || (notice_us >= 0 && notice_us < left_us) ? notice_us : left_us;
    return us < 0 ? -1 : (us < INT64_MAX / 1000 ? us * 1000 : INT64_MAX);
}

/* Returns 0 when the thread has ended, 1 when the time is up, -1 with an exception. */
static int
rt_join(ThreadHandle *handle)
{
    PyTime_t since = rt_now();
    int64_t notice_us = rt_runtime_notice(NULL);
    for (;;) {
        int64_t left_us = rt_time_left(NULL);
        if (ThreadHandle_join(handle, rt_turn(left_us, notice_us)) < 0) {
            return -1;
        }
        if (_PyEvent_IsSet(&handle->thread_is_exiting)) {
            return ThreadHandle_join(handle, -1);
        }
        int is_last = rt_time_left(NULL) == 0;
        char *who = _PyRt_DescribeThread((unsigned long)ThreadHandle_ident(handle));
        double seconds = (double)(rt_now() - since) / 1e9;
        _PyRt_Say("'main' has waited %.1f s for %s to end%s", seconds, who != NULL ? who : "a thread",
                  is_last ? ", and does not wait any longer" : "");
        if (is_last) {
            rt_note_blocked(NULL, who != NULL ? who : "a thread", (uint64_t)(seconds * 1e6),
                            "not waited for any longer");
        }
        PyMem_RawFree(who);
        if (is_last) {
            return 1;
        }
        notice_us = notice_us < INT64_MAX / 2 ? notice_us * 2 : notice_us;
    }
}

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

static void
rt_say(ThreadHandle *handle, PyTime_t since, const char *what)
{
    char *who = _PyRt_DescribeThread((unsigned long)ThreadHandle_ident(handle));
    char line[512];
    int length = PyOS_snprintf(line, sizeof(line), "rtfinalize: 'main' has %s, %.1f s, for %s to end\n",
                               what, (double)(rt_now() - since) / 1e9, who != NULL ? who : "a thread");
    PyMem_RawFree(who);
    if (length > 0) {
        Py_ssize_t size = length < (int)sizeof(line) ? length : (Py_ssize_t)sizeof(line) - 1;
        _Py_write_noraise(2, line, (size_t)size);
    }
}

/* Returns 0 when the thread has ended, 1 when the time is up, -1 with an exception. */
static int
rt_join(ThreadHandle *handle)
{
    PyTime_t since = rt_now();
    int64_t notice_us = 5 * 1000 * 1000;
    for (;;) {
        int64_t left_us = rt_time_left(NULL);
        int is_last = left_us >= 0 && left_us <= notice_us;
        if (ThreadHandle_join(handle, (is_last ? left_us : notice_us) * 1000) < 0) {
            return -1;
        }
        if (_PyEvent_IsSet(&handle->thread_is_exiting)) {
            return ThreadHandle_join(handle, -1);
        }
        if (is_last) {
            char *who = _PyRt_DescribeThread((unsigned long)ThreadHandle_ident(handle));
            rt_note_blocked(NULL, who != NULL ? who : "a thread",
                            (uint64_t)((rt_now() - since) / 1000),
                            "not waited for any longer");
            PyMem_RawFree(who);
            rt_say(handle, since, "waited long enough");
            return 1;
        }
        rt_say(handle, since, "waited");
        notice_us *= 2;
    }
}

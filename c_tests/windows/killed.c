/*
 * The end of a process that kills a thread where it hurts: inside a section of the library's own, and in the
 * middle of a finalization.
 */
#include "killed.h"

static event begun = EVENT_INIT, looks;

/* Something to look through, with the runtime's books locked. */
enum { MANY = 50000 };

static int another(void *arg)
{
    (void)arg;
    return 0;
}

static void look_through_the_books(void)
{
    rt_atexit_unregister(NULL, another, NULL, NULL);
}

static void *look_for_ever(void *arg)
{
    event_set(&begun);
    for (;;) {
        look_through_the_books();
    }
    return arg;
}

static void *look_once(void *arg)
{
    event_set(&looks);
    look_through_the_books();
    return arg;
}

/* Stops a thread with the books locked: then another cannot look through them. */
static void stop_with_the_books_locked(void)
{
    HANDLE stopped = (HANDLE)pthread_gethandle(thread_start(look_for_ever, NULL)), other;
    DWORD waited;
    event_wait(&begun);
    do {
        NEED(SuspendThread(stopped) != (DWORD)-1);
        looks = (event)EVENT_INIT;
        other = (HANDLE)pthread_gethandle(thread_start(look_once, NULL));
        event_wait(&looks);
        waited = WaitForSingleObject(other, 1000);
        if (waited == WAIT_OBJECT_0) {
            ResumeThread(stopped);
            Sleep(1);
        }
    } while (waited == WAIT_OBJECT_0);
    NEED(waited == WAIT_TIMEOUT);
}

static void need_the_books(void)
{
    say("before\n");
    look_through_the_books();
    say("after\n");
}

static void end_with_the_books_locked(void)
{
    int i;
    for (i = 0; i < MANY; i++) {
        NEED(rt_atexit(NULL, NULL, nothing, NULL, NULL) == RT_OK);
    }
    writer = writer_open(NULL, STDERR_FILENO, "log", 1000, 0);
    NEED(rt_writer_write(writer, "kept\n", 5) == RT_OK);
    stop_with_the_books_locked();
    library_calling(need_the_books);
    ExitProcess(0);
}

static void who_needs_what_a_killed_thread_had_half_changed_ends_the_process_with_all_bytes_written(void)
{
    char said[2000];
    CHECK_EQ(exit_code_of(end_with_the_books_locked, said, sizeof said), 120);
    CHECK(strstr(said, "before\n") != NULL);
    CHECK(strstr(said, "kept\n") != NULL);
    CHECK(strstr(said, "a thread that held a lock of the library's was killed as the process ended") != NULL);
    CHECK(strstr(said, "5 bytes written at the last moment, none lost") != NULL);
    CHECK(strstr(said, "after") == NULL);
}

static void *stay_inside(void *arg)
{
    rt_thread *thread = attach(NULL, "inside", 1, RT_POLICY_HANG);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "kept\n", 5), RT_OK);
    event_set(&begun);
    event_wait(&never);
    return arg;
}

static void *finalize_for_long(void *arg)
{
    rt_finalize_options options = options_none();
    options.grace_us = 100000;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FREEZE, 3600000000), RT_OK);
    rt_finalize(NULL, &options, NULL);
    return arg;
}

static void finalize_again(void)
{
    rt_report *report = NULL;
    int64_t began = now_us();
    CHECK_EQ(rt_finalize_ex(), -1); /* the finalization that it hears of was not done */
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    CHECK(now_us() - began < 10000000);
    rt_finalize(NULL, NULL, &report);
    NEED(report != NULL);
    CHECK(report_says(report, "was killed"));
    CHECK_EQ(destination_of(report, "log").written, 5);
    say_whether_all_is_well();
}

static void end_in_the_middle_of_a_freeze(void)
{
    writer = writer_open(NULL, STDERR_FILENO, "log", 1000, 0);
    thread_start(stay_inside, NULL);
    event_wait(&begun);
    thread_start(finalize_for_long, NULL);
    while (rt_runtime_state(NULL) != RT_STATE_FINALIZING) {
        Sleep(1);
    }
    library_calling(finalize_again);
    ExitProcess(0);
}

static void a_finalizer_that_is_killed_in_its_freeze_leaves_a_report_and_all_bytes_written(void)
{
    char said[4000];
    check_that_all_is_well(end_in_the_middle_of_a_freeze, said, sizeof said);
    CHECK(strstr(said, "kept\n") != NULL);
}

int main(void)
{
    RUN(who_needs_what_a_killed_thread_had_half_changed_ends_the_process_with_all_bytes_written);
    RUN(a_finalizer_that_is_killed_in_its_freeze_leaves_a_report_and_all_bytes_written);
    return check_done();
}

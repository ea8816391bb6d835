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

static void *look_endlessly(void *arg)
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
    HANDLE stopped = (HANDLE)pthread_gethandle(thread_start(look_endlessly, NULL)), other;
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

static void park(void)
{
    say("before\n");
    rt_thread_park();
}

static void end_with_the_last_thread_parked(void)
{
    writer = writer_open(NULL, STDERR_FILENO, "log", 1000, 0);
    NEED(rt_writer_write(writer, "kept\n", 5) == RT_OK);
    library_calling(park);
    ExitProcess(0);
}

static void the_last_thread_parks_and_the_process_ends_with_all_bytes_written(void)
{
    char said[2000];
    CHECK_EQ(exit_code_of(end_with_the_last_thread_parked, said, sizeof said), 120);
    CHECK(strstr(said, "before\nkept\n") != NULL);
    CHECK(strstr(said, "the last thread was parked as the process ended") != NULL);
}

/* What the process ends with that came too early for the test. */
enum { TOO_EARLY = 77 };

static int32_t tell_and_leave_it_to_the_option(const rt_event *event, void *arg)
{
    (void)arg;
    if (event->kind == RT_EVENT_OVERRUN) {
        event_set(&begun);
    }
    return 0;
}

static int never_return(void *arg)
{
    (void)arg;
    event_wait(&never);
    return 0;
}

static void *finalize_past_the_deadline(void *arg)
{
    rt_finalize_options options = options_exiting(300000);
    options.on_event = tell_and_leave_it_to_the_option;
    rt_finalize(NULL, &options, NULL);
    return arg;
}

static void make_a_writer(void)
{
    writer_open(NULL, STDERR_FILENO, "late", 1000, 0);
    TerminateProcess(GetCurrentProcess(), TOO_EARLY);
}

/* The last word tries for a while to write what a full pipe has no room for; meanwhile all but one thread
   are killed, with the one that is at it. */
static void end_in_the_middle_of_the_last_word(void)
{
    static char much[300000];
    int full[2];
    pipe_open(full);
    writer = writer_open(NULL, full[1], "full", sizeof much, 0);
    CHECK_EQ(rt_writer_write(writer, much, sizeof much), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "never", never_return, NULL, NULL), RT_OK);
    library_calling(make_a_writer);
    thread_start(finalize_past_the_deadline, NULL);
    event_wait(&begun);
    Sleep(60);
    ExitProcess(0);
}

/* (Should the machine be slow the last word may have come to its end before, which looks alike.) */
static void a_last_word_that_is_cut_off_is_said_by_the_thread_that_is_left(void)
{
    char said[2000];
    int code, attempts = 0;
    do {
        code = exit_code_of(end_in_the_middle_of_the_last_word, said, sizeof said);
    } while ((code == TOO_EARLY || code == -1) && ++attempts < 5);
    CHECK_EQ(code, 120);
    CHECK(strstr(said, " bytes of 1 writer not written") != NULL);
    CHECK(strstr(said, "; exit code 120\n") != NULL);
}

int main(void)
{
    RUN(who_needs_what_a_killed_thread_had_half_changed_ends_the_process_with_all_bytes_written);
    RUN(a_finalizer_that_is_killed_in_its_freeze_leaves_a_report_and_all_bytes_written);
    RUN(the_last_thread_parks_and_the_process_ends_with_all_bytes_written);
    RUN(a_last_word_that_is_cut_off_is_said_by_the_thread_that_is_left);
    return check_done();
}

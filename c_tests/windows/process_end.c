/*
 * The end of a process: ExitProcess has killed all other threads, wherever they were, and a library's
 * DllMain still calls this one. Nothing is waited for, and what the dead held is taken over.
 */
#include "../destination.h"

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
static rt_writer *writer;
static int ends[2];
static event holds_all = EVENT_INIT, never = EVENT_INIT;

/* Has a lock, the writer's lock with a record in it, and a guard, and is inside the runtime. */
static void *hold_all(void *arg)
{
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    rt_thread *thread = attach(NULL, "killed", 0, RT_POLICY_HANG);
    (void)arg;
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire(view, "killed", &guard), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 300), 300), RT_OK);
    event_set(&holds_all);
    event_wait(&never);
    return NULL;
}

static void *wait_for_the_lock(void *arg)
{
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    return arg;
}

/* How a process says that it ended well: its exit code is given away before its libraries hear of its
   end (and under Wine stays, where Windows takes a later one). */
static const char *const event_variable = "PROCESS_END_EVENT";

static void end_well_elsewhere(void)
{
    char name[64];
    STARTUPINFOA start;
    PROCESS_INFORMATION child;
    HANDLE ended_well;
    snprintf(name, sizeof name, "rtfinalize-process-end-%lu", GetCurrentProcessId());
    ended_well = CreateEventA(NULL, TRUE, FALSE, name);
    NEED(ended_well != NULL && setenv(event_variable, name, 1) == 0);
    memset(&start, 0, sizeof start);
    start.cb = sizeof start;
    NEED(CreateProcessA(NULL, GetCommandLineA(), NULL, NULL, TRUE, 0, NULL, NULL, &start, &child));
    CHECK(WaitForSingleObject(child.hProcess, CHECK_HANG_SECONDS * 500) == WAIT_OBJECT_0);
    TerminateProcess(child.hProcess, 98);
    CHECK(WaitForSingleObject(ended_well, 0) == WAIT_OBJECT_0);
}

static void say_whether_all_is_well(void)
{
    HANDLE ended_well = OpenEventA(EVENT_MODIFY_STATE, FALSE, getenv(event_variable));
    if (ended_well != NULL && !check_failed_here) {
        SetEvent(ended_well);
    }
}

static void call_as_the_process_ends(void (*at_end)(void))
{
    HMODULE library = LoadLibraryA("last_library.dll");
    void (*call_at_end)(void (*)(void));
    NEED(library != NULL);
    call_at_end = (void (*)(void (*)(void)))(void (*)(void))GetProcAddress(library, "call_at_end");
    NEED(call_at_end != NULL);
    call_at_end(at_end);
}

/* In a process of its own: ends it by ExitProcess, with `at_end` called by a library as it ends. */
static void end_over_a_thread_that_holds_all(void (*at_end)(void))
{
    if (getenv(event_variable) == NULL) {
        end_well_elsewhere();
        return;
    }
    call_as_the_process_ends(at_end);
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 1000, 0);
    thread_start(hold_all, NULL);
    event_wait(&holds_all);
    thread_start(wait_for_the_lock, NULL);
    Sleep(20);
    fflush(NULL);
    ExitProcess(0);
}

static void take_over_and_finalize(void)
{
    int64_t began = now_us();
    bytes got = {0};
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_is_finalizing(), 1);
    CHECK(now_us() - began < 10000000);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 300);
    bytes_free(&got);
    say_whether_all_is_well();
}

static void a_library_finalizes_as_the_process_ends_and_waits_for_no_dead_thread(void)
{
    end_over_a_thread_that_holds_all(take_over_and_finalize);
}

static void take_over_by_writing(void)
{
    bytes got = {0};
    CHECK_EQ(rt_writer_write(writer, stream(300, 100), 100), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 1000000), RT_OK);
    CHECK_EQ(account_of(writer).recovered, 300);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 400);
    bytes_free(&got);
    say_whether_all_is_well();
}

static void a_writer_is_taken_over_from_a_dead_thread_as_the_process_ends(void)
{
    end_over_a_thread_that_holds_all(take_over_by_writing);
}

static rt_thread *late;

static void come_too_late(void)
{
    CHECK_EQ(rt_thread_enter(late), RT_ERR_FINALIZING);
    say_whether_all_is_well();
}

static void *finalize_well(void *arg)
{
    CHECK_EQ(rt_finalize_ex(), 0);
    return arg;
}

/* Parked, it would keep the process: there is nobody else. */
static void the_last_thread_of_a_process_is_not_parked(void)
{
    if (getenv(event_variable) == NULL) {
        end_well_elsewhere();
        return;
    }
    late = attach(NULL, "late", 1, RT_POLICY_HANG);
    NEED(pthread_join(thread_start(finalize_well, NULL), NULL) == 0);
    call_as_the_process_ends(come_too_late);
    fflush(NULL);
    ExitProcess(0);
}

static int run_by_the_finalization;

static int note_that_it_ran(void *arg)
{
    (void)arg;
    run_by_the_finalization = 1;
    return 0;
}

static void finalize_in_the_loader(void)
{
    rt_finalize_options options = options_none();
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = 20000000;
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
}

static void a_library_finalizes_as_it_is_unloaded_when_no_thread_can_begin_or_end(void)
{
    HMODULE library = LoadLibraryA("last_library.dll");
    void (*call_at_end)(void (*)(void));
    NEED(library != NULL);
    call_at_end = (void (*)(void (*)(void)))(void (*)(void))GetProcAddress(library, "call_at_end");
    NEED(call_at_end != NULL);
    call_at_end(finalize_in_the_loader);
    CHECK_EQ(rt_atexit(NULL, "note", note_that_it_ran, NULL, NULL), RT_OK);
    NEED(FreeLibrary(library));
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    CHECK_EQ(run_by_the_finalization, 1);
}

static int end_this_thread(void *arg)
{
    (void)arg;
    ExitThread(0);
}

static void *finalize_in_vain(void *arg)
{
    rt_finalize_ex();
    return arg;
}

static void wait_for_its_end(pthread_t thread)
{
    /* The handle is pthreads' own, and signalled when the thread is gone. */
    NEED(WaitForSingleObject(pthread_gethandle(thread), CHECK_HANG_SECONDS * 500) == WAIT_OBJECT_0);
}

static void a_thread_that_ends_in_an_atexit_callback_leaves_the_finalization_to_another(void)
{
    CHECK_EQ(rt_atexit(NULL, "ends its thread", end_this_thread, NULL, NULL), RT_OK);
    wait_for_its_end(thread_start(finalize_in_vain, NULL));
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void a_thread_that_ends_in_a_later_callback_cuts_its_finalization_off_with_all_bytes_written(void)
{
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 1000, 0);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "ends its thread", end_this_thread, NULL,
                                  NULL),
             RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 300), 300), RT_OK);
    wait_for_its_end(thread_start(finalize_in_vain, NULL));
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    CHECK_EQ(rt_finalize_ex(), -1); /* the finalization that it hears of was not done */
    CHECK_EQ(rt_finalize_ex(), 0);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 300);
    bytes_free(&got);
}

int main(void)
{
    RUN(a_library_finalizes_as_the_process_ends_and_waits_for_no_dead_thread);
    RUN(a_writer_is_taken_over_from_a_dead_thread_as_the_process_ends);
    RUN(the_last_thread_of_a_process_is_not_parked);
    RUN(a_library_finalizes_as_it_is_unloaded_when_no_thread_can_begin_or_end);
    RUN(a_thread_that_ends_in_an_atexit_callback_leaves_the_finalization_to_another);
    RUN(a_thread_that_ends_in_a_later_callback_cuts_its_finalization_off_with_all_bytes_written);
    return check_done();
}

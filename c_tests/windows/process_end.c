/*
 * The end of a process: ExitProcess has killed all other threads, wherever they were, and a library's
 * DllMain still calls this one. Nothing is waited for, and what the dead held is taken over.
 */
#include "killed.h"

#include "../scarce.h"

static event waits = EVENT_INIT;
static pid_t waits_as, ended_by;

static void *wait_for_the_lock(void *arg)
{
    waits_as = my_tid();
    event_set(&waits);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    return arg;
}

/* Ends this process by ExitProcess, with `function` called by a library as it ends, over a thread that holds all
   by `body`. */
static void end_over(void *(*body)(void *), void (*function)(void))
{
    static char guard[] = "killed";
    ended_by = my_tid();
    library_calling(function);
    start_one_that_holds_all(body, guard);
    thread_start(wait_for_the_lock, NULL);
    event_wait(&waits);
    wait_until_asleep(waits_as);
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

static void end_and_finalize(void)
{
    end_over(hold_all, take_over_and_finalize);
}

static void a_library_finalizes_as_the_process_ends_and_waits_for_no_dead_thread(void)
{
    char said[4000];
    check_that_all_is_well(end_and_finalize, said, sizeof said);
}

static LONG WINAPI duplicate_no_handle(void)
{
    return NO_MEMORY;
}

/* The system has no handle to spare by which the library could ask later whether this thread has ended. The
   other thread, which waits for this one, needs none meanwhile. */
static void *hold_all_without_a_handle(void *arg)
{
    rt_buffered_lock first = RT_BUFFERED_LOCK_INIT;
    HANDLE other = OpenThread(THREAD_SUSPEND_RESUME, FALSE, (DWORD)ended_by);
    patch p;
    wait_until_asleep(ended_by);
    NEED(other != NULL && SuspendThread(other) != (DWORD)-1);
    patch_set(&p, "NtDuplicateObject", (uintptr_t)duplicate_no_handle);
    CHECK_EQ(rt_buffered_lock_acquire(&first), RT_OK);
    patch_undo(&p);
    NEED(ResumeThread(other) == 1);
    CloseHandle(other);
    CHECK_EQ(rt_buffered_lock_release(&first), RT_OK);
    return hold_all(arg);
}

static void end_without_handles_and_finalize(void)
{
    end_over(hold_all_without_a_handle, take_over_and_finalize);
}

static void nor_for_one_that_there_was_no_handle_of(void)
{
    char said[4000];
    check_that_all_is_well(end_without_handles_and_finalize, said, sizeof said);
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

static void end_and_write(void)
{
    end_over(hold_all, take_over_by_writing);
}

static void a_writer_is_taken_over_from_a_dead_thread_as_the_process_ends(void)
{
    char said[4000];
    check_that_all_is_well(end_and_write, said, sizeof said);
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
static void end_with_a_late_thread(void)
{
    late = attach(NULL, "late", 1, RT_POLICY_HANG);
    NEED(pthread_join(thread_start(finalize_well, NULL), NULL) == 0);
    library_calling(come_too_late);
    ExitProcess(0);
}

static void the_last_thread_of_a_process_is_not_parked(void)
{
    char said[4000];
    check_that_all_is_well(end_with_a_late_thread, said, sizeof said);
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
    rt_finalize_options options = options_exiting(20000000);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
}

static void a_library_finalizes_as_it_is_unloaded_when_no_thread_can_begin_or_end(void)
{
    HMODULE library = library_calling(finalize_in_the_loader);
    CHECK_EQ(rt_atexit(NULL, "note", note_that_it_ran, NULL, NULL), RT_OK);
    NEED(FreeLibrary(library));
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    CHECK_EQ(run_by_the_finalization, 1);
}

static event has_the_loaders_lock = EVENT_INIT;

static void sit_in_the_loader(void)
{
    event_set(&has_the_loaders_lock);
    event_wait(&never);
}

static void *unload(void *library)
{
    FreeLibrary((HMODULE)library);
    return NULL;
}

static int unload_on_a_thread_and_get_stuck(void *library)
{
    thread_start(unload, library);
    event_wait(&has_the_loaders_lock);
    event_wait(&never);
    return 0;
}

static void overrun_while_the_loaders_lock_is_taken(void)
{
    rt_finalize_options options = options_exiting(300000);
    options.exit_code = 75;
    writer = writer_open(NULL, STDERR_FILENO, "log", 1000, 0);
    NEED(rt_writer_write(writer, "kept\n", 5) == RT_OK);
    NEED(rt_atexit(NULL, "stuck", unload_on_a_thread_and_get_stuck, library_calling(sit_in_the_loader), NULL)
         == RT_OK);
    rt_finalize(NULL, &options, NULL);
}

/* ExitProcess would wait for it. */
static void a_process_ends_by_its_deadline_though_the_loaders_lock_is_taken(void)
{
    char said[2000];
    CHECK_EQ(exit_code_of(overrun_while_the_loaders_lock_is_taken, said, sizeof said), 75);
    CHECK(strstr(said, "kept\n") != NULL);
    CHECK(strstr(said, "callback 'stuck': 5 bytes written") != NULL);
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

static int32_t end_this_thread_once(const rt_event *told, void *times)
{
    if (told->kind == RT_EVENT_PHASE_BEGIN && told->phase == RT_PHASE_FREEZE && ++*(int *)times == 1) {
        ExitThread(0);
    }
    return 0;
}

static void a_thread_that_ends_in_an_event_callback_leaves_no_finalization_that_hangs(void)
{
    static int times;
    rt_finalize_options options = options_none();
    bytes got = {0};
    options.on_event = end_this_thread_once;
    options.event_arg = &times;
    CHECK_EQ(rt_runtime_set_options(NULL, &options), RT_OK);
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 1000, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 300), 300), RT_OK);
    wait_for_its_end(thread_start(finalize_in_vain, NULL));
    CHECK_EQ(times, 1);
    CHECK_EQ(rt_finalize_ex(), -1);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 300);
    bytes_free(&got);
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
    RUN(nor_for_one_that_there_was_no_handle_of);
    RUN(a_writer_is_taken_over_from_a_dead_thread_as_the_process_ends);
    RUN(the_last_thread_of_a_process_is_not_parked);
    RUN(a_library_finalizes_as_it_is_unloaded_when_no_thread_can_begin_or_end);
    RUN(a_process_ends_by_its_deadline_though_the_loaders_lock_is_taken);
    RUN(a_thread_that_ends_in_an_atexit_callback_leaves_the_finalization_to_another);
    RUN(a_thread_that_ends_in_an_event_callback_leaves_no_finalization_that_hangs);
    RUN(a_thread_that_ends_in_a_later_callback_cuts_its_finalization_off_with_all_bytes_written);
    return check_done();
}

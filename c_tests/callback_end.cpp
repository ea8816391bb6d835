/*
 * Callbacks that end their thread, or throw: C++ frames of the host's with destructors around them.
 */
#include "host.h"

static int destroyed_in_callback;

struct counts_its_end {
    int *counter;
    explicit counts_its_end(int *where) : counter(where) {}
    counts_its_end(const counts_its_end &) = delete;
    ~counts_its_end() { ++*counter; }
};

static int calls;

static int count(void *)
{
    calls++;
    return 0;
}

static int exit_thread(void *value)
{
    counts_its_end here(&destroyed_in_callback);
    calls++;
    pthread_exit(value);
}

static int value_of_thread;

#ifndef _WIN32 /* where the end of a thread cannot be held up */

static int destroyed_in_host, other_value;

/* Finalizes in a frame with a destructor. */
static void *finalize_on_this_thread(void *came_back)
{
    counts_its_end here(&destroyed_in_host);
    rt_finalize_ex();
    *static_cast<int *>(came_back) = 1;
    return nullptr;
}

static void *value_after_finalizing()
{
    int came_back = 0;
    void *value = nullptr;
    NEED(pthread_join(thread_start(finalize_on_this_thread, &came_back), &value) == 0);
    CHECK_EQ(came_back, 0);
    CHECK_EQ(destroyed_in_host, 1);
    CHECK_EQ(rt_runtime_state(nullptr), RT_STATE_FINALIZED);
    return value;
}

static void pthread_exit_in_a_callback_waits_for_the_finalization()
{
    CHECK_EQ(rt_exit_function(nullptr, nullptr, count, nullptr, nullptr), RT_OK);
    CHECK_EQ(rt_phase_add_handler(nullptr, RT_PHASE_FINALIZE, 0, nullptr, count, nullptr, nullptr),
             RT_OK);
    CHECK_EQ(rt_atexit(nullptr, nullptr, count, nullptr, nullptr), RT_OK);
    CHECK_EQ(rt_atexit(nullptr, "ends its thread", exit_thread, &value_of_thread, nullptr), RT_OK);
    CHECK(value_after_finalizing() == &value_of_thread);
    CHECK_EQ(destroyed_in_callback, 1);
    CHECK_EQ(calls, 4);
    rt_report *report = nullptr;
    CHECK_EQ(rt_finalize(nullptr, nullptr, &report), RT_OK);
    CHECK_EQ(summary_of(report).failures, 1);
    CHECK(report_says(report, "ends its thread"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void pthread_exit_in_every_kind_of_callback_keeps_the_last_value()
{
    CHECK_EQ(rt_pending_add(nullptr, nullptr, exit_thread, &other_value, nullptr), RT_OK);
    CHECK_EQ(rt_atexit(nullptr, nullptr, exit_thread, &other_value, nullptr), RT_OK);
    for (uint32_t phase = RT_PHASE_CHILDREN; phase <= RT_PHASE_RECLAIM; phase++) {
        rt_status added =
            rt_phase_add_handler(nullptr, phase, 0, nullptr, exit_thread, &other_value, nullptr);
        CHECK_EQ(added, RT_OK);
    }
    CHECK_EQ(rt_exit_function(nullptr, nullptr, exit_thread, &value_of_thread, nullptr), RT_OK);
    CHECK(value_after_finalizing() == &value_of_thread);
    CHECK_EQ(calls, 2 + 9 + 1);
    CHECK_EQ(destroyed_in_callback, calls);
}

static event waiting = EVENT_INIT;
static tube never_written;

static int read_indefinitely(void *)
{
    counts_its_end here(&destroyed_in_callback);
    event_set(&waiting);
    tube_get(&never_written);
    return 0;
}

static void a_thread_cancelled_in_a_callback_finishes_the_finalization()
{
    int came_back = 0;
    void *value = nullptr;
    never_written = tube_open();
    CHECK_EQ(rt_exit_function(nullptr, nullptr, count, nullptr, nullptr), RT_OK);
    CHECK_EQ(rt_atexit(nullptr, nullptr, read_indefinitely, nullptr, nullptr), RT_OK);
    pthread_t thread = thread_start(finalize_on_this_thread, &came_back);
    event_wait(&waiting);
    NEED(pthread_cancel(thread) == 0);
    NEED(pthread_join(thread, &value) == 0);
    CHECK(value == PTHREAD_CANCELED);
    CHECK_EQ(came_back, 0);
    CHECK_EQ(calls, 1);
    CHECK_EQ(destroyed_in_callback, 1);
    CHECK_EQ(destroyed_in_host, 1);
    CHECK_EQ(rt_runtime_state(nullptr), RT_STATE_FINALIZED);
}

static event cancelled = EVENT_INIT;

static int wait_until_cancelled(void *)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    event_set(&waiting);
    event_wait(&cancelled);
    pthread_setcancelstate(before, &before);
    return count(nullptr);
}

/* The library's own system calls are no cancellation points; the host's next one is. */
static void *finalize_then_test_for_cancellation(void *came_back)
{
    counts_its_end here(&destroyed_in_host);
    CHECK_EQ(rt_finalize_ex(), 0);
    *static_cast<int *>(came_back) = 1;
    pthread_testcancel();
    *static_cast<int *>(came_back) = 2;
    return nullptr;
}

static void a_cancellation_between_callbacks_waits_for_the_host()
{
    int came_back = 0;
    void *value = nullptr;
    CHECK_EQ(rt_exit_function(nullptr, nullptr, count, nullptr, nullptr), RT_OK);
    CHECK_EQ(rt_atexit(nullptr, nullptr, wait_until_cancelled, nullptr, nullptr), RT_OK);
    pthread_t thread = thread_start(finalize_then_test_for_cancellation, &came_back);
    event_wait(&waiting);
    NEED(pthread_cancel(thread) == 0);
    event_set(&cancelled);
    NEED(pthread_join(thread, &value) == 0);
    CHECK(value == PTHREAD_CANCELED);
    CHECK_EQ(came_back, 1);
    CHECK_EQ(calls, 2);
    CHECK_EQ(destroyed_in_host, 1);
}

static void *run_pending_calls(void *came_back)
{
    counts_its_end here(&destroyed_in_host);
    rt_pending_run(nullptr, nullptr);
    *static_cast<int *>(came_back) = 1;
    return nullptr;
}

static void pthread_exit_in_a_pending_call_makes_the_others_first()
{
    int came_back = 0;
    void *value = nullptr;
    CHECK_EQ(rt_pending_add(nullptr, nullptr, exit_thread, &value_of_thread, nullptr), RT_OK);
    CHECK_EQ(rt_pending_add(nullptr, nullptr, count, nullptr, nullptr), RT_OK);
    NEED(pthread_join(thread_start(run_pending_calls, &came_back), &value) == 0);
    CHECK(value == &value_of_thread);
    CHECK_EQ(came_back, 0);
    CHECK_EQ(calls, 2);
    CHECK_EQ(destroyed_in_host, 1);
    CHECK_EQ(rt_finalize_ex(), 0);
}

#else

static void *finalize_in_vain(void *)
{
    rt_finalize_ex();
    return nullptr;
}

/* It jumps over the library's frames and the destructor's. */
static void pthread_exit_in_a_callback_ends_the_thread_at_once_and_is_no_exception()
{
    void *value = nullptr;
    CHECK_EQ(rt_atexit(nullptr, "ends its thread", exit_thread, &value_of_thread, nullptr), RT_OK);
    NEED(pthread_join(thread_start(finalize_in_vain, nullptr), &value) == 0);
    CHECK(value == &value_of_thread);
    CHECK_EQ(calls, 1);
    CHECK_EQ(rt_runtime_state(nullptr), RT_STATE_RUNNING);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void *run_pending_calls(void *)
{
    rt_pending_run(nullptr, nullptr);
    return nullptr;
}

static void pthread_exit_in_a_pending_call_leaves_the_others_to_the_finalization()
{
    void *value = nullptr;
    CHECK_EQ(rt_pending_add(nullptr, nullptr, exit_thread, &value_of_thread, nullptr), RT_OK);
    CHECK_EQ(rt_pending_add(nullptr, nullptr, count, nullptr, nullptr), RT_OK);
    NEED(pthread_join(thread_start(run_pending_calls, nullptr), &value) == 0);
    CHECK(value == &value_of_thread);
    CHECK_EQ(calls, 1);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(calls, 2);
}

#endif

static char said[4096];

#ifdef _WIN32

static void (*body_of_process)();

static void run_and_exit()
{
    body_of_process();
    exit(0);
}

/* Runs a process and keeps what it said on stderr; returns its exit code. */
static int status_of(void (*body)())
{
    body_of_process = body;
    return exit_code_of(run_and_exit, said, sizeof said);
}

static bool ended_well(int status)
{
    return status == 0;
}

static bool aborted(int status)
{
    return check_aborted(status);
}

#else

/* Forks a process whose stderr goes to a pipe; returns its wait status and what it said. */
static int status_of(void (*body)())
{
    tube t = tube_open();
    int status = 0;
    ssize_t got;
    size_t total = 0;
    fflush(nullptr);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        NEED(dup2(t.in, STDERR_FILENO) >= 0);
        close(t.in);
        alarm(CHECK_HANG_SECONDS);
        body();
        exit(0);
    }
    close(t.in);
    while ((got = read(t.out, said + total, sizeof said - 1 - total)) > 0) {
        total += static_cast<size_t>(got);
    }
    said[total] = '\0';
    close(t.out);
    NEED(waitpid(child, &status, 0) == child);
    return status;
}

static bool ended_well(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool aborted(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void say_how_the_main_thread_ended()
{
    fprintf(stderr, "state %d, calls %d", rt_runtime_state(nullptr), calls);
}

static void finalize_with_a_callback_that_ends_the_main_thread()
{
    NEED(atexit(say_how_the_main_thread_ended) == 0);
    rt_exit_function(nullptr, nullptr, count, nullptr, nullptr);
    rt_atexit(nullptr, nullptr, exit_thread, nullptr, nullptr);
    rt_finalize_ex();
    exit(1);
}

static void pthread_exit_in_a_callback_ends_the_main_thread_too_after_the_finalization()
{
    int status = status_of(finalize_with_a_callback_that_ends_the_main_thread);
    CHECK(ended_well(status));
    CHECK(strcmp(said, "state 3, calls 2") == 0);
}

#endif

static int throw_out(void *)
{
    throw 42;
}

static void finalize_with_a_throwing_callback()
{
    rt_atexit(nullptr, nullptr, throw_out, nullptr, nullptr);
    try {
        rt_finalize_ex();
    } catch (...) {
        exit(1);
    }
}

static void an_exception_out_of_a_callback_ends_the_process_with_a_message()
{
    int status = status_of(finalize_with_a_throwing_callback);
    CHECK(aborted(status));
    if (strstr(said, "rtfinalize: a C++ exception left a callback") == nullptr) {
        fprintf(stderr, "it said: %s\n", said);
        CHECK(!"as expected");
    }
}

static int catch_inside(void *)
{
    try {
        throw 42;
    } catch (int) {
        calls++;
    }
    return 0;
}

static void an_exception_caught_inside_a_callback_is_the_hosts_own_matter()
{
    CHECK_EQ(rt_atexit(nullptr, nullptr, catch_inside, nullptr, nullptr), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(calls, 1);
}

/* A library whose static object finalizes as it is destroyed. */
struct finalizes_at_its_end {
    bool armed = false;
    ~finalizes_at_its_end()
    {
        if (armed) {
            fprintf(stderr, "finalize %d, ", rt_finalize_ex());
            fprintf(stderr, "again %d, ", rt_finalize_ex());
            fprintf(stderr, "late %d", rt_atexit(nullptr, nullptr, count, nullptr, nullptr));
        }
    }
};

static finalizes_at_its_end static_object;

static int say(void *)
{
    fprintf(stderr, "callback, ");
    return 0;
}

static void leave_it_to_a_static_destructor()
{
    static_object.armed = true;
    CHECK_EQ(rt_atexit(nullptr, nullptr, say, nullptr, nullptr), RT_OK);
}

static void finalize_works_in_a_static_destructor()
{
    int status = status_of(leave_it_to_a_static_destructor);
    CHECK(ended_well(status));
    if (strcmp(said, "callback, finalize 0, again 0, late -30") != 0) {
        fprintf(stderr, "it said: %s\n", said);
        CHECK(!"as expected");
    }
}

#define HELD_UP "end of a thread that could be held up"

int main()
{
    RUN_POSIX(pthread_exit_in_a_callback_waits_for_the_finalization, HELD_UP);
    RUN_POSIX(pthread_exit_in_every_kind_of_callback_keeps_the_last_value, HELD_UP);
    RUN_POSIX(a_thread_cancelled_in_a_callback_finishes_the_finalization, HELD_UP);
    RUN_POSIX(a_cancellation_between_callbacks_waits_for_the_host, HELD_UP);
    RUN_POSIX(pthread_exit_in_a_pending_call_makes_the_others_first, HELD_UP);
    RUN_POSIX(pthread_exit_in_a_callback_ends_the_main_thread_too_after_the_finalization,
              HELD_UP);
#ifdef _WIN32
    RUN(pthread_exit_in_a_callback_ends_the_thread_at_once_and_is_no_exception);
    RUN(pthread_exit_in_a_pending_call_leaves_the_others_to_the_finalization);
#endif
    RUN(an_exception_out_of_a_callback_ends_the_process_with_a_message);
    RUN(an_exception_caught_inside_a_callback_is_the_hosts_own_matter);
    RUN(finalize_works_in_a_static_destructor);
    return check_done();
}

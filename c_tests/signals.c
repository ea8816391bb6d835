/*
 * Signal handlers that call the library over the library: each call works, or answers at once. A timer
 * interrupts the thread at every point of what it does, many thousand times.
 */
#include "host.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>

static atomic_long handled;

static timer_t timer;

/* From here on the calling thread is interrupted every 50 us, under valgrind every 20 ms. */
static void interrupt_often(void (*handler)(int))
{
    const long ns = under_valgrind() ? 20 * 1000 * 1000 : 50 * 1000;
    const struct itimerspec often = {{0, ns}, {0, ns}};
    struct sigevent to_this_thread;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    NEED(sigaction(SIGPROF, &action, NULL) == 0);
    memset(&to_this_thread, 0, sizeof to_this_thread);
    to_this_thread.sigev_notify = SIGEV_THREAD_ID;
    to_this_thread.sigev_signo = SIGPROF;
    to_this_thread._sigev_un._tid = gettid();
    handled = 0;
    NEED(timer_create(CLOCK_MONOTONIC, &to_this_thread, &timer) == 0);
    NEED(timer_settime(timer, 0, &often, NULL) == 0);
}

static void interrupt_no_more(void)
{
    NEED(timer_delete(timer) == 0);
    signal(SIGPROF, SIG_IGN);
    CHECK(handled > 0);
}

static int rounds(int many)
{
    return under_valgrind() ? many / 100 : many;
}

/* --- locks --------------------------------------------------------------------------------------- */

static rt_buffered_lock kept = RT_BUFFERED_LOCK_INIT, busy = RT_BUFFERED_LOCK_INIT;
static atomic_int over;

static void try_locks(int number)
{
    (void)number;
    const int saved = errno;
    rt_status status = rt_buffered_lock_acquire_timed(&kept, 0);
    /* The owner's own handlers hear that; and over a thread's first call that is half way nothing else. */
    CHECK(status == RT_ERR_TIMEOUT || status == RT_ERR_REENTRANT || status == RT_ERR_WOULD_BLOCK);
    status = rt_buffered_lock_acquire_timed(&busy, 20);
    if (status >= 0) {
        CHECK_EQ(rt_buffered_lock_release(&busy), RT_OK);
    } else {
        CHECK(status == RT_ERR_TIMEOUT || status == RT_ERR_WOULD_BLOCK || status == RT_ERR_REENTRANT);
    }
    handled++;
    errno = saved;
}

/* Acquires the one that is kept, with a short bound, and the one that goes round. */
static void *contend(void *arg)
{
    (void)arg;
    while (!over) {
        CHECK_EQ(rt_buffered_lock_acquire_timed(&kept, 30), RT_ERR_TIMEOUT);
        if (rt_buffered_lock_acquire(&busy) >= 0) {
            CHECK_EQ(rt_buffered_lock_release(&busy), RT_OK);
        }
    }
    return NULL;
}

static void a_lock_asked_for_over_a_wait_or_a_look_for_the_owner_answers_in_time(void)
{
    pthread_t threads[3];
    over = 0;
    CHECK_EQ(rt_buffered_lock_acquire(&kept), RT_OK);
    interrupt_often(try_locks);
    for (int n = 0; n < 3; n++) {
        threads[n] = thread_start(contend, NULL);
    }
    while (handled < rounds(20000)) {
        for (int n = 0; n < 3; n++) {
            pthread_kill(threads[n], SIGPROF);
        }
        sched_yield();
    }
    over = 1;
    for (int n = 0; n < 3; n++) {
        pthread_join(threads[n], NULL);
    }
    interrupt_no_more();
    CHECK_EQ(rt_buffered_lock_release(&kept), RT_OK);
}

/* --- the whole surface, over a finalization -------------------------------------------------------- */

static rt_writer *record;
static rt_view *view;
static atomic_long refused;

static int allowed(rt_status status)
{
    refused += status == RT_ERR_WOULD_BLOCK || status == RT_ERR_IN_CALLBACK;
    return status != RT_ERR_INTERNAL;
}

/* What a handler may call anywhere. */
static void call_what_is_safe(int number)
{
    const int saved = errno;
    rt_guard *guard;
    (void)number;
    if (rt_guard_acquire(view, "handler", &guard) == RT_OK) {
        CHECK_EQ(rt_guard_release(guard), RT_OK);
    }
    CHECK(rt_is_finalizing() == 0 || rt_is_finalizing() == 1);
    if (rt_buffered_lock_acquire_timed(&busy, 0) >= 0) {
        CHECK_EQ(rt_buffered_lock_release(&busy), RT_OK);
    }
    handled++;
    errno = saved;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* Everything, over the library at work only: there nothing of it enters malloc again. */
static atomic_int in_the_library;
static void call_everything(int number)
{
    const int saved = errno;
    if (in_the_library) {
        rt_writer_account account = {.struct_size = sizeof account};
        CHECK(allowed(rt_finalize(NULL, NULL, NULL)));
        CHECK(allowed(rt_finalize_ex() == 0 ? RT_OK : RT_ERR_IN_CALLBACK));
        CHECK(allowed(rt_writer_write(record, "x", 1)));
        CHECK(allowed(rt_writer_flush(record, 0)));
        CHECK(allowed(rt_writer_get_account(record, &account)));
        CHECK(allowed(rt_atexit(NULL, "x", nothing, NULL, NULL)));
        CHECK(allowed(rt_pending_run(NULL, NULL)));
    }
    call_what_is_safe(number);
    errno = saved;
}

static int leave_the_library(void *arg)
{
    in_the_library = 0;
    (void)arg;
    in_the_library = 1;
    return 0;
}

/* Goes on with callbacks, by registering itself, until a handler has found the library at work. */
static int until_refused(void *arg)
{
    return refused > 0 ? leave_the_library(arg) : rt_atexit(NULL, "again", until_refused, arg, NULL);
}

static void finalize_over_and_over(void)
{
    NEED(rt_view_from(NULL, &view) == RT_OK);
    interrupt_often(call_what_is_safe);
    for (int n = 0; n < rounds(300); n++) {
        for (int c = 0; c < 50; c++) {
            CHECK_EQ(rt_atexit(NULL, "callback", nothing, NULL, NULL), RT_OK);
        }
        CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
        CHECK_EQ(rt_initialize(NULL), RT_OK);
    }
    interrupt_no_more();
}

static void a_life_is_begun_and_finalized_under_handlers_that_use_what_is_safe(void)
{
    finalize_over_and_over();
}

/* The callbacks have no code of their own: nearly every signal falls into the library. Every answer is one
   at once: the finalization goes on below, and the record has each byte that was accepted. */
static void every_call_in_a_handler_over_a_finalization_answers_at_once(void)
{
    rt_writer_account account = {.struct_size = sizeof account};
    rt_runtime *other = runtime_new("other");
    NEED(rt_view_from(other, &view) == RT_OK);
    const int fd = open(NULL_DEVICE, O_WRONLY);
    NEED(rt_writer_open_fd(other, fd, NULL, &record) == RT_OK);
    CHECK_EQ(rt_atexit(NULL, "is the last", until_refused, NULL, NULL), RT_OK);
    for (int n = 0; n < rounds(20000); n++) {
        CHECK_EQ(rt_atexit(NULL, "callback", leave_the_library, NULL, NULL), RT_OK);
    }
    refused = 0;
    interrupt_often(call_everything);
    in_the_library = 1;
    CHECK_EQ(rt_finalize(NULL, &(rt_finalize_options){.struct_size = sizeof(rt_finalize_options),
                                                      .notice_us = -1}, NULL), RT_OK);
    in_the_library = 0;
    interrupt_no_more();
    CHECK(refused > 0);
    CHECK_EQ(rt_writer_get_account(record, &account), RT_OK);
    CHECK_EQ(account.accepted, account.written + account.unwritten);
    CHECK_EQ(rt_writer_close(record, -1), RT_OK);
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_OK);
}

/* --- a thread's end, a fork ------------------------------------------------------------------------ */

static int end_thread(void *arg)
{
    pthread_exit(arg);
}

/* However fast the rest was, some signals come. */
static int until_handled(void *arg)
{
    (void)arg;
    while (handled < 5) {
        sched_yield();
    }
    return 0;
}

static void finalize_again(int number)
{
    const int saved = errno;
    (void)number;
    rt_finalize(NULL, NULL, NULL);
    handled++;
    errno = saved;
}

static void *finalize_to_its_end(void *arg)
{
    CHECK_EQ(rt_atexit(NULL, "is the last", until_handled, NULL, NULL), RT_OK);
    for (int n = 0; n < rounds(20000); n++) {
        CHECK_EQ(rt_atexit(NULL, "callback", nothing, NULL, NULL), RT_OK);
    }
    CHECK_EQ(rt_atexit(NULL, "ends its thread", end_thread, arg, NULL), RT_OK);
    interrupt_often(finalize_again);
    rt_finalize(NULL, NULL, NULL);
    check_fail(__FILE__, __LINE__, "the thread went on after its end");
    return NULL;
}

static void a_thread_that_a_callback_ended_is_not_unwound_out_of_a_handler(void)
{
    void *end = NULL;
    pthread_t thread;
    thread = thread_start(finalize_to_its_end, &handled);
    pthread_join(thread, &end);
    interrupt_no_more();
    CHECK(end == &handled);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
}

static int fork_many(void *arg)
{
    (void)arg;
    for (int n = 0; n < rounds(1000); n++) {
        int status;
        const pid_t child = fork();
        NEED(child >= 0);
        if (child == 0) {
            _exit(0);
        }
        while (waitpid(child, &status, 0) < 0) {
            NEED(errno == EINTR);
        }
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    return 0;
}

static void a_handler_over_a_fork_of_its_own_thread_does_not_wait_for_it(void)
{
    CHECK_EQ(rt_atexit(NULL, "forks", fork_many, NULL, NULL), RT_OK);
    interrupt_often(finalize_again);
    CHECK_EQ(rt_finalize(NULL, &(rt_finalize_options){.struct_size = sizeof(rt_finalize_options),
                                                      .notice_us = -1}, NULL), RT_OK);
    interrupt_no_more();
}

static void fork_over(int number)
{
    const int saved = errno;
    (void)number;
    if (handled++ % 20 == 0 && over == 0) {
        int status;
        const pid_t child = fork();
        if (child == 0) {
            /* The child goes on below the handler, and comes to its end. */
            alarm(20);
            over = 2;
            return;
        }
        if (child > 0) {
            while (waitpid(child, &status, 0) < 0) {
            }
            CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
    }
    errno = saved;
}

static void a_child_forked_by_a_handler_goes_on_with_what_was_interrupted(void)
{
    over = 0;
    interrupt_often(fork_over);
    while (handled < rounds(2000) && over != 2) {
        uint64_t id;
        CHECK_EQ(rt_atexit(NULL, "callback", nothing, NULL, &id), RT_OK);
        CHECK_EQ(rt_unregister(NULL, id), RT_OK);
        if (rt_buffered_lock_acquire(&busy) >= 0) {
            CHECK_EQ(rt_buffered_lock_release(&busy), RT_OK);
        }
    }
    if (over == 2) {
        rt_finalize(NULL, NULL, NULL);
        _exit(check_failed_here ? 1 : 0);
    }
    over = 1; /* a child would come back into the middle of what follows */
    interrupt_no_more();
}

/* --- a thread's first call ------------------------------------------------------------------------- */

/* malloc, found behind this program's own. */
static void *(*real_malloc)(size_t);
static __thread int in_malloc;
static atomic_int entered_again;

void *malloc(size_t size)
{
    void *memory;
    if (real_malloc == NULL) {
        *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    }
    entered_again |= in_malloc;
    memory = real_malloc(size);
    return memory;
}

static void *first_call_inside_malloc(void *arg)
{
    rt_guard *guard;
    (void)arg;
    in_malloc = 1; /* as a handler finds it that interrupted malloc */
    CHECK_EQ(rt_buffered_lock_acquire_timed(&kept, 1000), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&busy, 0), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&busy), RT_OK);
    CHECK_EQ(rt_guard_acquire(view, "first", &guard), RT_OK);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    in_malloc = 0;
    return NULL;
}

static void a_threads_first_call_takes_nothing_from_the_heap(void)
{
    NEED(rt_view_from(NULL, &view) == RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&kept), RT_OK);
    entered_again = 0;
    for (int n = 0; n < 100; n++) {
        pthread_join(thread_start(first_call_inside_malloc, NULL), NULL);
    }
    CHECK_EQ(entered_again, 0);
    CHECK_EQ(rt_buffered_lock_release(&kept), RT_OK);
}

int main(void)
{
    RUN(a_lock_asked_for_over_a_wait_or_a_look_for_the_owner_answers_in_time);
    RUN(a_life_is_begun_and_finalized_under_handlers_that_use_what_is_safe);
    RUN(every_call_in_a_handler_over_a_finalization_answers_at_once);
    RUN(a_thread_that_a_callback_ended_is_not_unwound_out_of_a_handler);
    RUN(a_handler_over_a_fork_of_its_own_thread_does_not_wait_for_it);
    RUN(a_child_forked_by_a_handler_goes_on_with_what_was_interrupted);
    RUN(a_threads_first_call_takes_nothing_from_the_heap);
    return check_done();
}

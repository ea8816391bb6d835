/*
 * Operations made of callbacks while the runtime runs: which callbacks are called and how often, several
 * threads on one handle, and callbacks that free their own operation or end their thread.
 */
#include "operation.h"

static void a_callback_operation_is_cancelled_closed_and_freed(void)
{
    kernel k;
    rt_overlapped *op;
    kernel_start(&k, 1);
    op = start_on(NULL, &k, "own");
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(k.cancels, 1);
    CHECK_EQ(k.closes, 1);
    CHECK_EQ(k.frees, 1);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_HANDLE);
    CHECK_EQ(k.frees, 1);
}

static void a_completed_callback_operation_is_freed_without_a_cancel(void)
{
    kernel k;
    rt_overlapped *op;
    size_t count = 99;
    const void *data = NULL;
    kernel_start(&k, 0);
    op = start_on(NULL, &k, "own");
    kernel_complete(&k);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    CHECK_EQ(rt_overlapped_result(op, &count), RT_OK);
    CHECK_EQ(count, 0);
    CHECK_EQ(rt_overlapped_data(op, &data, &count), RT_ERR_INVALID);
    CHECK_EQ(k.closes, 0);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(k.cancels, 0);
    CHECK_EQ(k.frees, 1);
}

static void a_callback_operation_that_cannot_be_cancelled_stays(void)
{
    kernel k;
    rt_overlapped *op;
    warned w = {0};
    kernel_start(&k, 0);
    op = start_on(NULL, &k, "own");
    CHECK_EQ(rt_overlapped_on_warning(op, note_warning, &w), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    CHECK_EQ(w.count, 1);
    CHECK_EQ(k.cancels, 2);
    CHECK_EQ(k.closes + k.frees, 0);
    kernel_complete(&k); /* writes to its memory */
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(k.frees, 1);
}

static void a_failing_wait_callback_counts_as_pending(void)
{
    kernel k;
    rt_overlapped *op;
    kernel_start(&k, 0);
    k.wait_fails = 1;
    op = start_on(NULL, &k, "own");
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_ERR_CALLBACK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    CHECK_EQ(k.closes + k.frees, 0);
    k.wait_fails = 0;
    kernel_complete(&k);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(k.frees, 1);
}

/* Only `wait` must be given. */
static void callbacks_that_are_not_there_are_not_called(void)
{
    kernel k;
    rt_overlapped *op = NULL;
    rt_overlapped_callbacks callbacks;
    kernel_start(&k, 0);
    callbacks = kernel_callbacks(&k);
    callbacks.cancel = callbacks.close = callbacks.free = NULL;
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, NULL, &op), RT_OK);
    CHECK_EQ(rt_overlapped_cancel(op), RT_ERR_IN_FLIGHT);
    kernel_complete(&k);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    free(k.memory);
}

/* --- several threads on one handle --- */

typedef struct caller {
    rt_overlapped *op;
    rt_status status;
    pthread_barrier_t *together;
} caller;

static void *dealloc_together(void *arg)
{
    caller *c = (caller *)arg;
    pthread_barrier_wait(c->together);
    c->status = dealloc_patiently(c->op);
    return NULL;
}

static void dealloc_from_threads(rt_overlapped *op)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    caller callers[THREADS];
    pthread_barrier_t together;
    int i, ok = 0;
    pthread_barrier_init(&together, NULL, THREADS);
    for (i = 0; i < THREADS; i++) {
        callers[i] = (caller){op, RT_OK, &together};
        threads[i] = thread_start(dealloc_together, &callers[i]);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ok += callers[i].status == RT_OK;
        CHECK(callers[i].status == RT_OK || callers[i].status == RT_ERR_HANDLE);
    }
    CHECK_EQ(ok, 1);
    pthread_barrier_destroy(&together);
}

static void of_several_deallocs_exactly_one_frees(void)
{
    int round;
    for (round = 0; round < 20; round++) {
        kernel k;
        int fd = file_with("data", 4);
        kernel_start(&k, 1);
        dealloc_from_threads(start_on(NULL, &k, "shared"));
        CHECK_EQ(k.closes, 1);
        CHECK_EQ(k.frees, 1);
        dealloc_from_threads(begin_read(NULL, fd, 4, "shared"));
        close(fd);
    }
}

static void memory_stays_while_a_thread_is_in_a_callback(void)
{
    kernel k;
    waiter w = {NULL, RT_ERR_INTERNAL, 1};
    pthread_t thread;
    thread = start_with_waiter(&k, &w);
    kernel_complete(&k);
    CHECK_EQ(rt_overlapped_dealloc(w.op), RT_ERR_IN_FLIGHT);
    CHECK(strstr(rt_last_error(), "a thread is still inside") != NULL);
    CHECK_EQ(k.closes + k.frees, 0);
    event_set(&k.go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(w.status, RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(w.op), RT_OK);
    CHECK_EQ(k.frees, 1);
}

static void dealloc_wakes_a_thread_that_waits(void)
{
    kernel k;
    waiter w = {NULL, RT_ERR_INTERNAL, 0};
    pthread_t thread;
    thread = start_with_waiter(&k, &w);
    CHECK_EQ(dealloc_patiently(w.op), RT_OK); /* cancels, and waits for the thread to come out */
    CHECK_EQ(k.frees, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(w.status, RT_OK);
}

/* --- callbacks that do what they like --- */

static rt_overlapped *self;
static rt_status from_free, from_warning;

static int free_that_frees_again(void *arg)
{
    from_free = rt_overlapped_dealloc(self);
    return kernel_free(arg);
}

static void warning_that_frees(void *arg)
{
    (void)arg;
    from_warning = rt_overlapped_dealloc(self);
}

static void dealloc_from_inside_its_own_callbacks_is_refused(void)
{
    kernel k;
    rt_overlapped_callbacks callbacks;
    warned w = {.act = warning_that_frees};
    kernel_start(&k, 0);
    callbacks = kernel_callbacks(&k);
    callbacks.free = free_that_frees_again;
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "own", &self), RT_OK);
    CHECK_EQ(rt_overlapped_on_warning(self, note_warning, &w), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(self), RT_ERR_IN_FLIGHT);
    CHECK_EQ(from_warning, RT_ERR_REENTRANT);
    kernel_complete(&k);
    CHECK_EQ(rt_overlapped_dealloc(self), RT_OK);
    CHECK_EQ(from_free, RT_ERR_REENTRANT);
    CHECK_EQ(k.frees, 1);
}

static int close_that_ends_its_thread(void *arg)
{
    kernel_close(arg);
    pthread_exit(arg);
}

static void *dealloc_once(void *arg)
{
    caller *c = (caller *)arg;
    c->status = rt_overlapped_dealloc(c->op);
    return NULL;
}

/* Its close callback ends the thread that frees it. */
static void free_on_a_thread_that_ends(kernel *k, caller *c)
{
    rt_overlapped_callbacks callbacks;
    void *value = NULL;
    kernel_start(k, 1);
    callbacks = kernel_callbacks(k);
    callbacks.close = close_that_ends_its_thread;
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "own", &c->op), RT_OK);
    pthread_join(thread_start(dealloc_once, c), &value);
    CHECK(value == k); /* the thread has ended, as it wanted to */
    CHECK_EQ(k->closes, 1);
}

#ifndef _WIN32

static void a_callback_that_ends_its_thread_leaves_the_operation_freed(void)
{
    kernel k;
    caller c = {NULL, RT_ERR_INTERNAL, NULL};
    free_on_a_thread_that_ends(&k, &c);
    CHECK_EQ(k.frees, 1);
    CHECK_EQ(rt_overlapped_dealloc(c.op), RT_ERR_HANDLE);
}

#else

/* Nothing is unwound: how far the thread came nobody knows. */
static void what_a_thread_that_ended_was_freeing_stays_and_is_leaked_by_the_finalization(void)
{
    kernel k;
    caller c = {NULL, RT_ERR_INTERNAL, NULL};
    rt_report *report = NULL;
    rt_report_leak leak;
    free_on_a_thread_that_ends(&k, &c);
    CHECK_EQ(rt_overlapped_dealloc(c.op), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(leaks_named(report, "own", &leak), 1);
    CHECK_EQ(rt_overlapped_dealloc(c.op), RT_LEAKED);
    CHECK_EQ(k.closes, 1);
    CHECK_EQ(k.frees, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

#endif

int main(void)
{
    RUN(a_callback_operation_is_cancelled_closed_and_freed);
    RUN(a_completed_callback_operation_is_freed_without_a_cancel);
    RUN(a_callback_operation_that_cannot_be_cancelled_stays);
    RUN(a_failing_wait_callback_counts_as_pending);
    RUN(callbacks_that_are_not_there_are_not_called);
    RUN(of_several_deallocs_exactly_one_frees);
    RUN(memory_stays_while_a_thread_is_in_a_callback);
    RUN(dealloc_wakes_a_thread_that_waits);
    RUN(dealloc_from_inside_its_own_callbacks_is_refused);
#ifdef _WIN32
    RUN(what_a_thread_that_ended_was_freeing_stays_and_is_leaked_by_the_finalization);
#endif
    RUN_POSIX(a_callback_that_ends_its_thread_leaves_the_operation_freed,
              "end of a thread that could be held up");
    return check_done();
}

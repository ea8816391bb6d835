/*
 * Operations in flight when the runtime is finalized: what can end is ended, the rest is leaked on
 * purpose, each in the ledger once, and the kernel may still write into it at any later time.
 */
#include "operation.h"

static rt_report *finalize(rt_runtime *runtime, rt_status expected)
{
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    CHECK_EQ(rt_finalize(runtime, &options, &report), expected);
    NEED(report != NULL);
    return report;
}

enum { PIPES = 8, QUEUED = 3, BYTES = 1000 };

/* On each pipe one read that cannot be cancelled, and some behind it that can; and everything else:
   done, cancellable, and not, by callbacks. */
static void the_ledger_names_exactly_what_was_in_flight(void)
{
    tube pipes[PIPES];
    rt_overlapped *stuck[PIPES], *queued[PIPES][QUEUED], *file, *can, *cannot;
    kernel yes, no;
    rt_report *report;
    char name[32];
    int i, j, fd = file_with("done", 4);
    rt_report_leak leak;
    for (i = 0; i < PIPES; i++) {
        pipes[i] = pending_tube();
        snprintf(name, sizeof name, "stuck %d", i);
        stuck[i] = begin_read(NULL, pipes[i].out, BYTES + i, name);
        for (j = 0; j < QUEUED; j++) {
            queued[i][j] = begin_queued_read(NULL, pipes[i].out, BYTES, "queued");
        }
    }
    file = begin_read(NULL, fd, 4, "file");
    CHECK_EQ(rt_overlapped_wait(file, -1), RT_OK);
    kernel_start(&yes, 1);
    kernel_start(&no, 0);
    can = start_on(NULL, &yes, "can");
    cannot = start_on(NULL, &no, "cannot");

    report = finalize(NULL, RT_OK);
    CHECK_EQ(summary_of(report).leaks, PIPES + 1);
    CHECK_EQ(summary_of(report).restartable, 0);
    for (i = 0; i < PIPES; i++) {
        snprintf(name, sizeof name, "stuck %d", i);
        check_leaked(report, name, read_bytes(BYTES + i));
    }
    check_leaked(report, "cannot", KERNEL_BYTES);
    CHECK_EQ(leaks_named(report, "queued", &leak), 0);
    CHECK(report_says(report, "stuck 3"));
    CHECK_EQ(yes.frees, 1);
    CHECK_EQ(no.closes + no.frees, 0);
    CHECK(rt_report_phase_us(report, RT_PHASE_OVERLAPPED) >= 0);

    for (i = 0; i < PIPES; i++) {
        CHECK_EQ(rt_overlapped_dealloc(stuck[i]), RT_LEAKED);
        CHECK_EQ(rt_overlapped_dealloc(stuck[i]), RT_ERR_HANDLE);
        for (j = 0; j < QUEUED; j++) {
            CHECK_EQ(rt_overlapped_dealloc(queued[i][j]), RT_OK);
            CHECK_EQ(rt_overlapped_dealloc(queued[i][j]), RT_ERR_HANDLE);
        }
    }
    check_data(file, "done", 4);
    CHECK_EQ(rt_overlapped_dealloc(file), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(can), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(cannot), RT_LEAKED);
    CHECK_EQ(yes.frees, 1);
    CHECK_EQ(summary_of(report).leaks, PIPES + 1);
    kernel_complete(&no); /* into memory that is still there */
    CHECK_EQ(no.closes + no.frees, 0);
    free(no.memory);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* The two ends of what else than a pipe data comes to later; on Windows another pipe. */
static void two_ends(int ends[2])
{
#ifdef _WIN32
    tube t = pending_tube();
    ends[0] = t.out;
    ends[1] = t.in;
#else
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
#endif
}

/* The kernel writes after the handle is gone: valgrind would see a write to freed memory. */
static void late_data_lands_in_the_leaked_buffer(void)
{
    int ends[2], i;
    tube t = pending_tube();
    rt_overlapped *kept, *gone;
    rt_report *report;
    char *others[100];
    two_ends(ends);
    kept = begin_read(NULL, t.out, 64, "kept");
    gone = begin_read(NULL, ends[0], 64, "gone");
    report = finalize(NULL, RT_OK);
    check_leaked(report, "kept", read_bytes(64));
    check_leaked(report, "gone", read_bytes(64));
    CHECK_EQ(rt_overlapped_dealloc(gone), RT_LEAKED);
    for (i = 0; i < 100; i++) { /* whoever gets memory now does not get theirs */
        others[i] = (char *)malloc(64);
        memset(others[i], 'o', 64);
    }
    CHECK_EQ(rt_overlapped_result(kept, NULL), RT_ERR_IN_FLIGHT);
    put_bytes(t.in, "to the kept", 11);
    put_bytes(ends[1], "to the one that is gone", 23);
    while (rt_overlapped_result(kept, NULL) == RT_ERR_IN_FLIGHT || bytes_in(ends[0]) > 0) {
        sched_yield();
    }
    check_data(kept, "to the kept", 11);
    for (i = 0; i < 100; i++) {
        int j;
        for (j = 0; j < 64; j++) {
            CHECK(others[i][j] == 'o');
        }
        free(others[i]);
    }
    CHECK_EQ(rt_overlapped_dealloc(kept), RT_LEAKED); /* once leaked, always leaked */
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* --- deallocated by the host while finalizing --- */

typedef struct stuck_pair {
    rt_overlapped *read, *own;
    rt_status before[2], after[2];
    warned warning;
} stuck_pair;

static int dealloc_before_the_freeze(void *arg)
{
    stuck_pair *p = (stuck_pair *)arg;
    p->before[0] = rt_overlapped_dealloc(p->read);
    p->before[1] = rt_overlapped_dealloc(p->own);
    return 0;
}

static int dealloc_after_the_freeze(void *arg)
{
    stuck_pair *p = (stuck_pair *)arg;
    p->after[0] = rt_overlapped_dealloc(p->read);
    p->after[1] = rt_overlapped_dealloc(p->own);
    return 0;
}

static void dealloc_in_a_finalizer_leaks_and_enters_it_once(void)
{
    tube t = pending_tube();
    kernel k;
    stuck_pair p;
    rt_report *report;
    memset(&p, 0, sizeof p);
    kernel_start(&k, 0);
    p.read = begin_read(NULL, t.out, 32, "read");
    p.own = start_on(NULL, &k, "own");
    CHECK_EQ(rt_overlapped_on_warning(p.read, note_warning, &p.warning), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "early", dealloc_before_the_freeze, &p, NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "late", dealloc_after_the_freeze, &p,
                                  NULL),
             RT_OK);
    report = finalize(NULL, RT_OK);
    CHECK_EQ(p.before[0], RT_ERR_IN_FLIGHT);
    CHECK_EQ(p.before[1], RT_ERR_IN_FLIGHT);
    CHECK_EQ(p.after[0], RT_LEAKED);
    CHECK_EQ(p.after[1], RT_LEAKED);
    CHECK_EQ(p.warning.count, 1); /* before the freeze only */
    check_leaked(report, "read", read_bytes(32));
    check_leaked(report, "own", KERNEL_BYTES);
    CHECK_EQ(summary_of(report).leaks, 2);
    CHECK_EQ(k.closes + k.frees, 0);
    CHECK_EQ(rt_overlapped_dealloc(p.read), RT_ERR_HANDLE);
    put_bytes(t.in, "late", 4);
    while (bytes_in(t.out) > 0) {
        sched_yield();
    }
    free(k.memory);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* A thread of the host's that is in the middle of a dealloc when the finalizer comes. */
typedef struct held {
    event arrived, go_on;
    rt_overlapped *op;
    rt_status status;
} held;

static void hold(void *arg)
{
    held *h = (held *)arg;
    event_set(&h->arrived);
    event_wait(&h->go_on);
}

static void *dealloc_held(void *arg)
{
    held *h = (held *)arg;
    h->status = rt_overlapped_dealloc(h->op);
    return NULL;
}

static void an_operation_another_thread_is_freeing_is_leaked_and_stays(void)
{
    kernel k;
    held h = {EVENT_INIT, EVENT_INIT, NULL, RT_OK};
    warned w = {.act = hold, .arg = &h};
    rt_report *report;
    pthread_t thread;
    kernel_start(&k, 0);
    h.op = start_on(NULL, &k, "held");
    CHECK_EQ(rt_overlapped_on_warning(h.op, note_warning, &w), RT_OK);
    thread = thread_start(dealloc_held, &h);
    event_wait(&h.arrived);
    report = finalize(NULL, RT_OK);
    check_leaked(report, "held", KERNEL_BYTES);
    kernel_complete(&k);
    event_set(&h.go_on); /* finds the operation done, and leaked over its head */
    pthread_join(thread, NULL);
    CHECK_EQ(h.status, RT_LEAKED);
    CHECK_EQ(k.closes + k.frees, 0);
    CHECK_EQ(rt_overlapped_dealloc(h.op), RT_ERR_HANDLE);
    free(k.memory);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int hold_in_close(void *arg)
{
    kernel *k = (kernel *)arg;
    k->closes++;
    event_set(&k->waited_on);
    sched_yield();
    return 0;
}

/* Whoever has it, it is closed and freed once, and then it is no leak. */
static void finalizer_and_dealloc_free_it_once(void)
{
    int round;
    for (round = 0; round < 20; round++) {
        kernel k;
        held h = {EVENT_INIT, EVENT_INIT, NULL, RT_OK};
        rt_overlapped_callbacks callbacks;
        rt_runtime *runtime = runtime_new("own");
        rt_report *report;
        pthread_t thread;
        kernel_start(&k, 1);
        callbacks = kernel_callbacks(&k);
        callbacks.close = hold_in_close;
        CHECK_EQ(rt_overlapped_new(runtime, &callbacks, "raced", &h.op), RT_OK);
        thread = thread_start(dealloc_held, &h);
        if (round % 2 == 0) {
            event_wait(&k.waited_on); /* it is closing */
        }
        report = finalize(runtime, RT_OK);
        pthread_join(thread, NULL);
        CHECK_EQ(h.status, RT_OK);
        CHECK_EQ(summary_of(report).leaks, 0);
        CHECK_EQ(k.closes, 1);
        CHECK_EQ(k.frees, 1);
        CHECK_EQ(rt_report_free(report), RT_OK);
        CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    }
}

/* --- threads that wait --- */

typedef struct attached_waiter {
    rt_overlapped *op;
    event inside;
    pid_t tid;
    rt_status status;
} attached_waiter;

static void *attach_and_wait(void *arg)
{
    attached_waiter *w = (attached_waiter *)arg;
    rt_thread *thread = attach(NULL, "waiter", 1, RT_POLICY_ERROR);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    w->tid = my_tid();
    event_set(&w->inside);
    w->status = rt_overlapped_wait(w->op, -1);
    rt_thread_detach(thread);
    return NULL;
}

/* A waiting thread is outside the runtime and so no runaway. Its wait ends when the operation is leaked. */
static void an_indefinite_wait_ends_with_the_freeze(void)
{
    tube t = pending_tube();
    attached_waiter w = {NULL, EVENT_INIT, 0, RT_OK};
    rt_report *report;
    pthread_t thread;
    w.op = begin_read(NULL, t.out, 16, "waited for");
    thread = thread_start(attach_and_wait, &w);
    event_wait(&w.inside);
    wait_until_asleep(w.tid);
    report = finalize(NULL, RT_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(w.status, RT_ERR_FINALIZING);
    CHECK_EQ(summary_of(report).runaways, 0);
    check_leaked(report, "waited for", read_bytes(16));
    CHECK_EQ(rt_overlapped_wait(w.op, -1), RT_ERR_FINALIZING);
    CHECK_EQ(rt_overlapped_wait(w.op, 1000), RT_ERR_TIMEOUT);
    tube_put(&t);
    CHECK_EQ(rt_overlapped_wait(w.op, 30000000), RT_OK);
    check_data(w.op, "x", 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_thread_inside_a_callback_keeps_the_memory(void)
{
    kernel k;
    waiter w = {NULL, RT_OK, 1};
    rt_report *report;
    pthread_t thread;
    thread = start_with_waiter(&k, &w);
    kernel_complete(&k);
    report = finalize(NULL, RT_OK);
    check_leaked(report, "own", KERNEL_BYTES);
    CHECK(report_says(report, "a thread is still inside"));
    event_set(&k.go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_overlapped_dealloc(w.op), RT_LEAKED);
    CHECK_EQ(k.closes + k.frees, 0);
    free(k.memory);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* --- the rest --- */

static rt_status refused[3];
static int refused_fd;

static int submit_late(void *arg)
{
    kernel *k = (kernel *)arg;
    rt_overlapped_callbacks callbacks = kernel_callbacks(k);
    rt_overlapped *op = NULL;
    refused[0] = rt_overlapped_new(NULL, &callbacks, "late", &op);
#ifdef _WIN32
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, (HANDLE)_get_osfhandle(refused_fd), 0, 1);
    refused[1] = rt_overlapped_start(NULL, &r, "late", &op);
    r.kind = RT_OVERLAPPED_WRITE;
    r.data = "x";
    refused[2] = rt_overlapped_start(NULL, &r, "late", &op);
#else
    refused[1] = rt_overlapped_aio_read(NULL, refused_fd, 1, 0, "late", &op);
    refused[2] = rt_overlapped_aio_write(NULL, refused_fd, "x", 1, 0, "late", &op);
#endif
    CHECK(op == NULL);
    return 0;
}

static void nothing_is_submitted_once_the_runtime_is_frozen(void)
{
    kernel k;
    int i;
    rt_report *report;
    kernel_start(&k, 1);
    refused_fd = file_with("data", 4);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "late", submit_late, &k, NULL),
             RT_OK);
    report = finalize(NULL, RT_OK);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(refused[i], RT_ERR_FINALIZING);
        refused[i] = RT_OK;
    }
    CHECK_EQ(summary_of(report).late_calls, 3);
    submit_late(&k); /* now it is finalized */
    for (i = 0; i < 3; i++) {
        CHECK_EQ(refused[i], RT_ERR_FINALIZING);
    }
    CHECK_EQ(k.cancels + k.waits + k.closes + k.frees, 0); /* the host still has it */
    CHECK_EQ(lseek(refused_fd, 0, SEEK_END), 4);
    free(k.memory);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void an_operation_of_a_former_life_stays_with_it(void)
{
    tube t = pending_tube();
    rt_overlapped *old, *done, *fresh;
    kernel k;
    rt_report *report;
    kernel_start(&k, 1);
    old = begin_read(NULL, t.out, 16, "old");
    done = start_on(NULL, &k, "done");
    report = finalize(NULL, RT_OK);
    check_leaked(report, "old", read_bytes(16));
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    fresh = begin_read(NULL, file_with("new", 3), 3, "fresh");
    CHECK_EQ(rt_overlapped_dealloc(old), RT_LEAKED);
    CHECK_EQ(rt_overlapped_dealloc(done), RT_OK);
    CHECK_EQ(k.frees, 1);
    CHECK_EQ(rt_overlapped_wait(fresh, -1), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(fresh), RT_OK);
    report = finalize(NULL, RT_OK);
    CHECK_EQ(summary_of(report).leaks, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

#ifndef _WIN32

/* The child has a copy of the memory and none of the helper threads; the parent goes on. */
static void the_child_of_a_fork_leaks_what_its_parent_began(void)
{
    tube t = pending_tube();
    rt_overlapped *op = begin_read(NULL, t.out, 16, "parent's");
    rt_overlapped *other = begin_read(NULL, pending_tube().out, 16, "other");
    int status = 0;
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        rt_report *report;
        rt_overlapped *mine;
        alarm(CHECK_HANG_SECONDS);
        CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_STATE);
        CHECK_EQ(rt_overlapped_wait(op, -1), RT_ERR_STATE);
        CHECK_EQ(rt_overlapped_cancel(op), RT_ERR_STATE);
        CHECK_EQ(rt_overlapped_dealloc(op), RT_LEAKED);
        mine = begin_read(NULL, file_with("mine", 4), 4, "mine");
        CHECK_EQ(rt_overlapped_wait(mine, -1), RT_OK);
        CHECK_EQ(rt_overlapped_dealloc(mine), RT_OK);
        report = finalize(NULL, RT_OK);
        check_leaked(report, "parent's", 16);
        check_leaked(report, "other", 16);
        CHECK_EQ(summary_of(report).leaks, 2);
        CHECK_EQ(rt_report_free(report), RT_OK);
        CHECK_EQ(rt_overlapped_dealloc(other), RT_LEAKED);
        _exit(check_failed_here);
    }
    NEED(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    put_bytes(t.in, "parent", 6);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "parent", 6);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(other), RT_ERR_IN_FLIGHT);
}

#endif

int main(void)
{
    RUN(the_ledger_names_exactly_what_was_in_flight);
    RUN(late_data_lands_in_the_leaked_buffer);
    RUN(dealloc_in_a_finalizer_leaks_and_enters_it_once);
    RUN(an_operation_another_thread_is_freeing_is_leaked_and_stays);
    RUN(finalizer_and_dealloc_free_it_once);
    RUN(an_indefinite_wait_ends_with_the_freeze);
    RUN(a_thread_inside_a_callback_keeps_the_memory);
    RUN(nothing_is_submitted_once_the_runtime_is_frozen);
    RUN(an_operation_of_a_former_life_stays_with_it);
    RUN_POSIX(the_child_of_a_fork_leaks_what_its_parent_began, "fork");
    return check_done();
}

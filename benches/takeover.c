/*
 * Taking a lock over from an owner that was parked for good.
 *
 * Each round has a runtime of its own. A thread enters it, takes the lock, and is parked at a
 * checkpoint when the runtime freezes. First case: the finalizing thread then acquires the lock, in
 * a handler of the finalize phase. Second case: a thread was asleep in acquire all the while, and
 * the time runs from the owner's last step before its checkpoint. CPython's finalizer waits a
 * second for such an owner and then aborts the process.
 */
#include "bench.h"

enum { ROUNDS = 1000, STACK = 128 * 1024 };

typedef struct round {
    rt_runtime *runtime;
    rt_buffered_lock lock;
    event held;
    double at_checkpoint;
    /* The waiter. */
    event started;
    pid_t tid;
    double took;
} round;

/* Parked threads keep their rounds for ever. */
static round rounds[2 * ROUNDS];
static double samples[ROUNDS];

static void *own(void *arg)
{
    round *r = arg;
    rt_thread_options options = {.struct_size = sizeof options, .daemon = 1};
    rt_thread *thread;
    NEED(rt_thread_attach(r->runtime, &options, &thread) == RT_OK);
    NEED(rt_thread_enter(thread) == RT_OK);
    NEED(rt_buffered_lock_acquire(&r->lock) == RT_OK);
    event_set(&r->held);
    for (;;) {
        r->at_checkpoint = bench_now_ns();
        rt_thread_checkpoint(thread);
        sched_yield();
    }
}

static int take_over(void *arg)
{
    round *r = arg;
    double start = bench_now_ns();
    rt_status status = rt_buffered_lock_acquire(&r->lock);
    r->took = bench_now_ns() - start;
    NEED(status == RT_RECOVERED);
    NEED(rt_buffered_lock_release(&r->lock) == RT_OK);
    return 0;
}

static void *wait_asleep(void *arg)
{
    round *r = arg;
    double end;
    r->tid = gettid();
    event_set(&r->started);
    NEED(rt_buffered_lock_acquire(&r->lock) == RT_RECOVERED);
    end = bench_now_ns();
    r->took = end - r->at_checkpoint;
    NEED(rt_buffered_lock_release(&r->lock) == RT_OK);
    return NULL;
}

static double one_round(round *r, int asleep)
{
    static const event fresh = EVENT_INIT;
    rt_finalize_options options = {.struct_size = sizeof options};
    pthread_attr_t small;
    pthread_t owner, waiter;
    r->held = r->started = fresh;
    NEED(rt_runtime_new("takeover", &r->runtime) == RT_OK);
    NEED(rt_buffered_lock_init_for(&r->lock, r->runtime) == RT_OK);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    NEED(pthread_create(&owner, &small, own, r) == 0);
    event_wait(&r->held);
    if (asleep) {
        NEED(pthread_create(&waiter, &small, wait_asleep, r) == 0);
        event_wait(&r->started);
        wait_until_asleep(r->tid);
    } else {
        NEED(rt_phase_add_handler(r->runtime, RT_PHASE_FINALIZE, 0, "take over", take_over, r, NULL)
             == RT_OK);
    }
    NEED(rt_finalize(r->runtime, &options, NULL) == RT_OK);
    if (asleep) {
        pthread_join(waiter, NULL);
    }
    NEED(rt_runtime_free(r->runtime) == RT_OK);
    pthread_attr_destroy(&small);
    return r->took;
}

static void show(const char *what, round *first, int asleep)
{
    char ours[32], spread[64];
    double median, high, most;
    for (int i = 0; i < ROUNDS; i++) {
        samples[i] = one_round(&first[i], asleep) / 1000;
    }
    median = bench_percentile(samples, ROUNDS, 50);
    high = bench_percentile(samples, ROUNDS, 99);
    most = samples[ROUNDS - 1];
    snprintf(ours, sizeof ours, "%.1f us", median);
    snprintf(spread, sizeof spread, "p99 %.1f max %.0f", high, most);
    bench_line(what, ours, "1 s, abort", spread, "< 100 us", median < 100 ? "yes" : "NO");
}

int main(void)
{
    show("takeover: acquire, owner parked", rounds, 0);
    show("takeover: asleep in acquire as the owner is parked", rounds + ROUNDS, 1);
    return 0;
}

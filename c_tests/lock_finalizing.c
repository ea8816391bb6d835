/*
 * The buffered lock while its runtime finalizes: whoever owns it, nobody waits without a bound.
 */
#include "host.h"

/* Longer than any grace here, and far shorter than a hang. */
enum { GRACE_US = 100000, BOUND_US = 20 * 1000000 };

/* Takes a lock, then does what its kind of owner does. */
typedef struct owner {
    rt_buffered_lock lock;
    rt_runtime *runtime; /* it attaches to this one */
    int attached, inside;
    event held;
    tube input;
    rt_status released;
} owner;

static owner *owner_new(int attached, int inside)
{
    static owner owners[64]; /* static: a parked thread never gives its owner back */
    static int used;
    const event none = EVENT_INIT;
    owner *o = &owners[used++];
    NEED(used <= 64);
    o->held = none;
    o->attached = attached;
    o->inside = inside;
    o->input = tube_open();
    return o;
}

/* Loops inside with the lock (until it is parked), or blocks in a read with it. */
static void *own(void *arg)
{
    owner *o = (owner *)arg;
    rt_thread *thread = o->attached ? attach(o->runtime, "owner", 1, RT_POLICY_HANG) : NULL;
    if (o->inside) {
        CHECK_EQ(rt_thread_enter(thread), RT_OK);
    }
    CHECK_EQ(rt_buffered_lock_acquire(&o->lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_publish_progress(&o->lock, 42), RT_OK);
    event_set(&o->held);
    while (o->inside) {
        rt_thread_checkpoint(thread);
    }
    tube_get(&o->input);
    o->released = rt_buffered_lock_release(&o->lock);
    return NULL;
}

static owner *owner_start(int attached, int inside, pthread_t *thread)
{
    owner *o = owner_new(attached, inside);
    *thread = thread_start(own, o);
    event_wait(&o->held);
    return o;
}

/* What the finalizing thread gets when it wants a lock in the `finalize` phase. */
typedef struct taker {
    rt_buffered_lock *lock;
    rt_status status;
    int64_t took_us;
    uint32_t progress;
} taker;

static int take(void *arg)
{
    taker *t = (taker *)arg;
    int64_t began = now_us();
    t->status = rt_buffered_lock_acquire(t->lock);
    t->took_us = now_us() - began;
    if (t->status >= 0) {
        CHECK_EQ(rt_buffered_lock_take_progress(t->lock, &t->progress), RT_OK);
        CHECK_EQ(rt_buffered_lock_release(t->lock), RT_OK);
    }
    return 0;
}

static void take_in(rt_runtime *runtime, taker *t)
{
    CHECK_EQ(rt_phase_add_handler(runtime, RT_PHASE_FINALIZE, 0, NULL, take, t, NULL), RT_OK);
}

static rt_status finalize_with_grace(rt_runtime *runtime)
{
    rt_finalize_options options = options_with_grace(GRACE_US);
    return rt_finalize(runtime, &options, NULL);
}

static void the_lock_of_a_parked_owner_is_taken_over_at_once(void)
{
    pthread_t thread;
    owner *o = owner_start(1, 1, &thread);
    taker t = {&o->lock, 9, 0, 0}, after = {&o->lock, 9, 0, 7};
    rt_finalize_options patient = options_none();
    patient.grace_us = 30 * 1000000;
    take_in(NULL, &t);
    CHECK_EQ(rt_finalize(NULL, &patient, NULL), RT_OK);
    CHECK_EQ(t.status, RT_RECOVERED);
    CHECK_EQ(t.progress, 42);
    CHECK(t.took_us < 10 * 1000000); /* not the grace */
    take(&after);
    CHECK_EQ(after.status, RT_OK);
    CHECK_EQ(after.progress, 0);
}

static void a_stuck_owner_costs_the_grace(int attached)
{
    pthread_t thread;
    owner *o = owner_start(attached, 0, &thread);
    taker t = {&o->lock, 9, 0, 0};
    take_in(NULL, &t);
    CHECK_EQ(finalize_with_grace(NULL), RT_OK);
    CHECK_EQ(t.status, RT_ERR_OWNER_BLOCKED);
    CHECK(t.took_us >= GRACE_US);
    CHECK(t.took_us < BOUND_US);
    CHECK(strstr(rt_last_error(), "thread") != NULL);
    /* The lock is still the owner's own. */
    tube_put(&o->input);
    pthread_join(thread, NULL);
    CHECK_EQ(o->released, RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&o->lock), RT_OK);
}

static void an_attached_owner_in_a_system_call_is_blocked_after_the_grace(void)
{
    a_stuck_owner_costs_the_grace(1);
}

static void a_native_owner_in_a_system_call_is_blocked_after_the_grace(void)
{
    a_stuck_owner_costs_the_grace(0);
}

static int let_the_owner_go(void *arg)
{
    tube_put(&((owner *)arg)->input);
    return 0;
}

static void an_owner_that_comes_back_within_the_grace_hands_the_lock_over(void)
{
    pthread_t thread;
    owner *o = owner_start(0, 0, &thread);
    taker t = {&o->lock, 9, 0, 0};
    rt_finalize_options options = options_with_grace(BOUND_US);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, 0, NULL, let_the_owner_go, o, NULL),
             RT_OK);
    take_in(NULL, &t);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK_EQ(t.status, RT_OK);
    pthread_join(thread, NULL);
}

/* A thread that waits for the lock since before finalization. */
typedef struct waiter {
    owner *owner;
    volatile pid_t tid;
    event ready;
    int64_t timeout_us;
    rt_status status;
} waiter;

static void *wait_for_it(void *arg)
{
    waiter *w = (waiter *)arg;
    w->tid = my_tid();
    event_set(&w->ready);
    w->status = rt_buffered_lock_acquire_timed(&w->owner->lock, w->timeout_us);
    if (w->status >= 0) {
        CHECK_EQ(rt_buffered_lock_release(&w->owner->lock), RT_OK);
    }
    return NULL;
}

static void finalize_over_waiters(owner *o, int64_t grace_us, rt_status first, rt_status others)
{
    const rt_finalize_options options = options_with_grace(grace_us);
    enum { WAITERS = 4 };
    waiter waiters[WAITERS];
    pthread_t threads[WAITERS];
    int i, firsts = 0;
    for (i = 0; i < WAITERS; i++) {
        const waiter w = {o, 0, EVENT_INIT, i % 2 ? -1 : BOUND_US, 9};
        waiters[i] = w;
        threads[i] = thread_start(wait_for_it, &waiters[i]);
    }
    for (i = 0; i < WAITERS; i++) {
        event_wait(&waiters[i].ready);
        wait_until_asleep(waiters[i].tid);
    }
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    for (i = 0; i < WAITERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(waiters[i].status == first || waiters[i].status == others);
        firsts += waiters[i].status == first;
    }
    CHECK_EQ(firsts, first == others ? WAITERS : 1);
}

static void waiters_of_a_stuck_owner_are_woken_and_give_up(void)
{
    pthread_t thread;
    owner *o = owner_start(0, 0, &thread);
    finalize_over_waiters(o, GRACE_US, RT_ERR_OWNER_BLOCKED, RT_ERR_OWNER_BLOCKED);
    tube_put(&o->input);
    pthread_join(thread, NULL);
    CHECK_EQ(o->released, RT_OK);
}

static void waiters_of_an_owner_that_gets_parked_take_over_one_of_them_recovering(void)
{
    pthread_t thread;
    owner *o = owner_start(1, 1, &thread);
    /* On a busy machine the owner may take its time until it is parked. */
    finalize_over_waiters(o, BOUND_US, RT_RECOVERED, RT_OK);
}

static void many_stuck_locks_share_one_grace(void)
{
    enum { LOCKS = 60 };
    pthread_t threads[LOCKS];
    owner *owners[LOCKS];
    taker takers[LOCKS];
    int i;
    int64_t sum_us = 0;
    for (i = 0; i < LOCKS; i++) {
        const taker t = {NULL, 9, 0, 0};
        owners[i] = owner_start(0, 0, &threads[i]);
        takers[i] = t;
        takers[i].lock = &owners[i]->lock;
        take_in(NULL, &takers[i]);
    }
    CHECK_EQ(finalize_with_grace(NULL), RT_OK);
    for (i = 0; i < LOCKS; i++) {
        CHECK_EQ(takers[i].status, RT_ERR_OWNER_BLOCKED);
        sum_us += takers[i].took_us;
        tube_put(&owners[i]->input);
        pthread_join(threads[i], NULL);
    }
    CHECK(sum_us >= GRACE_US);
    CHECK(sum_us < LOCKS * GRACE_US * 2 / 3); /* one each would be more */
}

static void another_thread_has_a_grace_of_its_own(void)
{
    pthread_t thread, late;
    owner *o = owner_start(0, 0, &thread);
    waiter w = {o, 0, EVENT_INIT, -1, 9};
    taker again = {&o->lock, 9, 0, 0};
    CHECK_EQ(finalize_with_grace(NULL), RT_OK);
    late = thread_start(wait_for_it, &w);
    pthread_join(late, NULL);
    CHECK_EQ(w.status, RT_ERR_OWNER_BLOCKED);
    take(&again);
    CHECK_EQ(again.status, RT_ERR_OWNER_BLOCKED);
    CHECK(again.took_us >= GRACE_US);
    /* In the next life the lock is waited for as ever. */
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&o->lock, 2 * GRACE_US), RT_ERR_TIMEOUT);
    tube_put(&o->input);
    CHECK_EQ(rt_buffered_lock_acquire(&o->lock), RT_OK);
    pthread_join(thread, NULL);
}

static void a_lock_follows_the_runtime_it_was_made_for(void)
{
    pthread_t thread;
    rt_runtime *other = runtime_new("other");
    owner *o = owner_new(0, 0);
    taker t = {&o->lock, 9, 0, 0};
    CHECK_EQ(rt_buffered_lock_init_for(&o->lock, (rt_runtime *)(uintptr_t)0x1235), RT_ERR_HANDLE);
    CHECK_EQ(rt_buffered_lock_init_for(NULL, other), RT_ERR_NULL);
    CHECK_EQ(rt_buffered_lock_init_for(&o->lock, other), RT_OK);
    thread = thread_start(own, o);
    event_wait(&o->held);
    CHECK_EQ(finalize_with_grace(NULL), RT_OK); /* not its runtime: no grace is spent */
    CHECK_EQ(rt_buffered_lock_acquire_timed(&o->lock, 2 * GRACE_US), RT_ERR_TIMEOUT);
    take_in(other, &t);
    CHECK_EQ(finalize_with_grace(other), RT_OK);
    CHECK_EQ(t.status, RT_ERR_OWNER_BLOCKED);
    CHECK_EQ(rt_runtime_free(other), RT_OK);
    /* Whose runtime is gone: nobody waits for it at all any more. */
    CHECK_EQ(rt_buffered_lock_acquire(&o->lock), RT_ERR_OWNER_BLOCKED);
    tube_put(&o->input);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_buffered_lock_acquire(&o->lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&o->lock), RT_OK);
}

static void an_owner_parked_by_one_runtime_loses_the_locks_of_others_too(void)
{
    pthread_t thread;
    rt_runtime *other = runtime_new("other");
    owner *o = owner_new(1, 1);
    o->runtime = other; /* the lock follows the default runtime, which goes on */
    thread = thread_start(own, o);
    (void)thread;
    event_wait(&o->held);
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&o->lock), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_release(&o->lock), RT_OK);
}

int main(void)
{
    RUN(the_lock_of_a_parked_owner_is_taken_over_at_once);
    RUN(an_attached_owner_in_a_system_call_is_blocked_after_the_grace);
    RUN(a_native_owner_in_a_system_call_is_blocked_after_the_grace);
    RUN(an_owner_that_comes_back_within_the_grace_hands_the_lock_over);
    RUN(waiters_of_a_stuck_owner_are_woken_and_give_up);
    RUN(waiters_of_an_owner_that_gets_parked_take_over_one_of_them_recovering);
    RUN(many_stuck_locks_share_one_grace);
    RUN(another_thread_has_a_grace_of_its_own);
    RUN(a_lock_follows_the_runtime_it_was_made_for);
    RUN(an_owner_parked_by_one_runtime_loses_the_locks_of_others_too);
    return check_done();
}

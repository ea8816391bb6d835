/*
 * The buffered lock while its runtime runs.
 */
#include "host.h"

static void a_free_lock_is_zeroes_and_small(void)
{
    static rt_buffered_lock zeroes;
    rt_buffered_lock by_macro = RT_BUFFERED_LOCK_INIT, by_call;
    rt_buffered_lock *const locks[3] = {&zeroes, &by_macro, &by_call};
    int i;
    memset(&by_call, 0xa5, sizeof by_call);
    rt_buffered_lock_init(&by_call);
    rt_buffered_lock_init(NULL);
    CHECK(sizeof(rt_buffered_lock) <= 16);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_buffered_lock_acquire(locks[i]), RT_OK);
        CHECK_EQ(rt_buffered_lock_release(locks[i]), RT_OK);
        CHECK_EQ(rt_buffered_lock_acquire_timed(locks[i], 0), RT_OK);
        CHECK_EQ(rt_buffered_lock_release(locks[i]), RT_OK);
    }
    CHECK(memcmp(&zeroes, &by_call, sizeof zeroes) == 0);
}

/* Holds a lock until told. */
typedef struct holder {
    rt_buffered_lock lock;
    event held, let_go;
    int abandon;
    rt_status released;
} holder;

#define HOLDER {RT_BUFFERED_LOCK_INIT, EVENT_INIT, EVENT_INIT, 0, 1}

static void *hold(void *arg)
{
    holder *h = (holder *)arg;
    CHECK_EQ(rt_buffered_lock_acquire(&h->lock), RT_OK);
    event_set(&h->held);
    event_wait(&h->let_go);
    if (!h->abandon) {
        h->released = rt_buffered_lock_release(&h->lock);
    }
    return NULL;
}

static void a_held_lock_is_refused_in_the_time_given(void)
{
    holder h = HOLDER;
    pthread_t thread = thread_start(hold, &h);
    int64_t began;
    event_wait(&h.held);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&h.lock, 0), RT_ERR_TIMEOUT);
    began = now_us();
    CHECK_EQ(rt_buffered_lock_acquire_timed(&h.lock, 50000), RT_ERR_TIMEOUT);
    CHECK(now_us() - began >= 50000);
    CHECK(now_us() - began < 5000000);
    /* That waiting left its mark changes nothing for the owner nor for the next one. */
    event_set(&h.let_go);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&h.lock, INT64_MAX), RT_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(h.released, RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&h.lock), RT_OK);
}

static void only_the_owner_releases(void)
{
    holder h = HOLDER;
    uint32_t bytes = 7;
    pthread_t thread;
    CHECK_EQ(rt_buffered_lock_release(&h.lock), RT_ERR_NOT_OWNER);
    thread = thread_start(hold, &h);
    event_wait(&h.held);
    CHECK_EQ(rt_buffered_lock_release(&h.lock), RT_ERR_NOT_OWNER);
    CHECK_EQ(rt_buffered_lock_publish_progress(&h.lock, 1), RT_ERR_NOT_OWNER);
    CHECK_EQ(rt_buffered_lock_take_progress(&h.lock, &bytes), RT_ERR_NOT_OWNER);
    CHECK_EQ(bytes, 7);
    event_set(&h.let_go);
    pthread_join(thread, NULL);
    CHECK_EQ(h.released, RT_OK);
    CHECK_EQ(rt_buffered_lock_release(NULL), RT_ERR_NULL);
    CHECK_EQ(rt_buffered_lock_acquire(NULL), RT_ERR_NULL);
    CHECK_EQ(rt_buffered_lock_acquire_timed(NULL, 0), RT_ERR_NULL);
}

static rt_buffered_lock interrupted = RT_BUFFERED_LOCK_INIT;
static volatile sig_atomic_t in_handler[3];

/* A signal that a program may raise as it likes. */
#ifdef _WIN32
enum { INTERRUPTION = SIGINT };
#else
enum { INTERRUPTION = SIGUSR1 };
#endif

static void acquire_in_a_handler(int signal_number)
{
    (void)signal_number;
    in_handler[0] = rt_buffered_lock_acquire(&interrupted);
    in_handler[1] = rt_buffered_lock_acquire_timed(&interrupted, 1000000);
    in_handler[2] = rt_buffered_lock_acquire_timed(&interrupted, 0);
}

static void a_second_acquire_by_the_owner_is_refused_also_in_a_signal_handler(void)
{
    int i;
    signal(INTERRUPTION, acquire_in_a_handler);
    CHECK_EQ(rt_buffered_lock_acquire(&interrupted), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&interrupted), RT_ERR_REENTRANT);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&interrupted, 0), RT_ERR_REENTRANT);
    raise(INTERRUPTION);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(in_handler[i], RT_ERR_REENTRANT);
    }
    CHECK_EQ(rt_buffered_lock_release(&interrupted), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&interrupted), RT_ERR_NOT_OWNER);
}

enum { THREADS = 4, TURNS = 40000 };

static rt_buffered_lock contended = RT_BUFFERED_LOCK_INIT;
static long guarded_count;

static void *count_under_the_lock(void *timed)
{
    long got = 0;
    while (got < TURNS) {
        rt_status status = timed != NULL ? rt_buffered_lock_acquire_timed(&contended, got % 3 * 20)
                                         : rt_buffered_lock_acquire(&contended);
        if (status == RT_ERR_TIMEOUT && timed != NULL) {
            continue;
        }
        CHECK_EQ(status, RT_OK);
        guarded_count++; /* not atomic: the lock is what makes it right */
        got++;
        CHECK_EQ(rt_buffered_lock_release(&contended), RT_OK);
    }
    return NULL;
}

static void one_thread_at_a_time_holds_it(void)
{
    pthread_t threads[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        threads[i] = thread_start(count_under_the_lock, i % 2 ? &contended : NULL);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(guarded_count, (long)THREADS * TURNS);
}

static void a_lock_whose_owner_has_ended_is_taken_over(void)
{
    holder native = HOLDER;
    pthread_t thread;
    native.abandon = 1;
    event_set(&native.let_go);
    pthread_join(thread_start(hold, &native), NULL);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&native.lock, 0), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_release(&native.lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&native.lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&native.lock), RT_OK);
    thread = thread_start(hold, &native);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_buffered_lock_acquire(&native.lock), RT_RECOVERED);
}

/* Waits for a lock another thread holds, and gives it back. */
typedef struct waiter {
    rt_buffered_lock *lock;
    volatile pid_t tid;
    event ready;
    rt_status status;
} waiter;

static void *wait_for_it(void *arg)
{
    waiter *w = (waiter *)arg;
    w->tid = my_tid();
    event_set(&w->ready);
    w->status = rt_buffered_lock_acquire(w->lock);
    if (w->status >= 0) {
        CHECK_EQ(rt_buffered_lock_release(w->lock), RT_OK);
    }
    return NULL;
}

static void of_several_waiters_for_an_owner_that_ends_one_recovers(void)
{
    enum { WAITERS = 5 };
    holder h = HOLDER;
    waiter waiters[WAITERS];
    pthread_t threads[WAITERS], owner;
    int i, recovered = 0;
    h.abandon = 1;
    owner = thread_start(hold, &h);
    event_wait(&h.held);
    for (i = 0; i < WAITERS; i++) {
        const waiter w = {&h.lock, 0, EVENT_INIT, 0};
        waiters[i] = w;
        threads[i] = thread_start(wait_for_it, &waiters[i]);
    }
    for (i = 0; i < WAITERS; i++) {
        event_wait(&waiters[i].ready);
        wait_until_asleep(waiters[i].tid);
    }
    event_set(&h.let_go);
    for (i = 0; i < WAITERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(waiters[i].status == RT_OK || waiters[i].status == RT_RECOVERED);
        recovered += waiters[i].status == RT_RECOVERED;
    }
    CHECK_EQ(recovered, 1);
    pthread_join(owner, NULL);
}

/* A lock on the heap, used twice: the last user frees it, while the other may still return. */
typedef struct shared {
    rt_buffered_lock lock;
    int users;
} shared;

static shared *handed, no_more;

static void use_and_free_if_last(shared *s)
{
    int last;
    CHECK_EQ(rt_buffered_lock_acquire(&s->lock), RT_OK);
    last = --s->users == 0;
    CHECK_EQ(rt_buffered_lock_release(&s->lock), RT_OK);
    if (last) {
        memset(s, 0xdd, sizeof *s); /* a late touch by the other would be seen */
        free(s);
    }
}

static int hand_overs(void)
{
    return under_valgrind() ? 2000 : 100000;
}

static void *other_user(void *arg)
{
    shared *s = NULL;
    while (s != &no_more) {
        s = __atomic_exchange_n(&handed, NULL, __ATOMIC_ACQUIRE);
        if (s == NULL) {
            sched_yield();
        } else if (s != &no_more) {
            use_and_free_if_last(s);
        }
    }
    return arg;
}

static void hand_over(shared *s)
{
    while (__atomic_load_n(&handed, __ATOMIC_RELAXED) != NULL) {
        sched_yield();
    }
    __atomic_store_n(&handed, s, __ATOMIC_RELEASE);
}

static void the_last_user_may_free_the_lock_at_once(void)
{
    int i;
    pthread_t thread = thread_start(other_user, NULL);
    const int64_t enough = now_us() + 10000000; /* where others keep the processors busy */
    for (i = 0; i < hand_overs() && now_us() < enough; i++) {
        shared *s = (shared *)calloc(1, sizeof *s);
        NEED(s != NULL);
        s->users = 2;
        hand_over(s);
        use_and_free_if_last(s);
    }
    hand_over(&no_more);
    pthread_join(thread, NULL);
}

#ifndef _WIN32

static void in_the_child_of_a_fork_locks_of_other_threads_are_taken_over(void)
{
    holder h = HOLDER;
    rt_buffered_lock own = RT_BUFFERED_LOCK_INIT;
    pthread_t thread = thread_start(hold, &h);
    pid_t child;
    int status = 0;
    event_wait(&h.held);
    CHECK_EQ(rt_buffered_lock_acquire(&own), RT_OK);
    fflush(NULL);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(CHECK_HANG_SECONDS);
        CHECK_EQ(rt_buffered_lock_acquire(&own), RT_ERR_REENTRANT); /* this thread was copied */
        CHECK_EQ(rt_buffered_lock_release(&own), RT_OK);
        CHECK_EQ(rt_buffered_lock_acquire(&h.lock), RT_RECOVERED);
        CHECK_EQ(rt_buffered_lock_release(&h.lock), RT_OK);
        CHECK_EQ(rt_finalize_ex(), 0);
        /* No exit: what belonged to threads that were not copied is lost here, by fork's nature,
           and memcheck would say so. */
        raise(check_failed_here ? SIGABRT : SIGKILL);
    }
    NEED(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&h.lock, 0), RT_ERR_TIMEOUT); /* and here it lives */
    event_set(&h.let_go);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_buffered_lock_release(&own), RT_OK);
}

#endif

static void *abandon_in_the_middle_of_a_write(void *lock)
{
    CHECK_EQ(rt_buffered_lock_acquire((rt_buffered_lock *)lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_publish_progress((rt_buffered_lock *)lock, 1234), RT_OK);
    return NULL;
}

static void progress_is_taken_once_by_whoever_holds_the_lock_next(void)
{
    rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
    uint32_t bytes = 7;
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_take_progress(&lock, &bytes), RT_OK);
    CHECK_EQ(bytes, 0);
    CHECK_EQ(rt_buffered_lock_publish_progress(&lock, UINT32_MAX), RT_OK);
    CHECK_EQ(rt_buffered_lock_take_progress(&lock, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_buffered_lock_take_progress(&lock, &bytes), RT_OK);
    CHECK_EQ(bytes, UINT32_MAX);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);

    pthread_join(thread_start(abandon_in_the_middle_of_a_write, &lock), NULL);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_take_progress(&lock, &bytes), RT_OK);
    CHECK_EQ(bytes, 1234);
    CHECK_EQ(rt_buffered_lock_take_progress(&lock, &bytes), RT_OK);
    CHECK_EQ(bytes, 0);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
}

int main(void)
{
    RUN(a_free_lock_is_zeroes_and_small);
    RUN(a_held_lock_is_refused_in_the_time_given);
    RUN(only_the_owner_releases);
    RUN(a_second_acquire_by_the_owner_is_refused_also_in_a_signal_handler);
    RUN(one_thread_at_a_time_holds_it);
    RUN(a_lock_whose_owner_has_ended_is_taken_over);
    RUN(of_several_waiters_for_an_owner_that_ends_one_recovers);
    RUN(the_last_user_may_free_the_lock_at_once);
    RUN_POSIX(in_the_child_of_a_fork_locks_of_other_threads_are_taken_over, "fork");
    RUN(progress_is_taken_once_by_whoever_holds_the_lock_next);
    return check_done();
}

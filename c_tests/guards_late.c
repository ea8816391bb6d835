/*
 * Guards that are asked for once finalization has begun: a thread that it waits for anyway gets another one.
 * Any other thread is refused, so that busy threads cannot delay finalization indefinitely.
 */
#include "host.h"

enum { BUSY = 4 };

/* Several statuses that another thread got. */
typedef struct asker {
    rt_view *view;
    rt_status status;
} asker;

static void *ask(void *arg)
{
    asker *a = (asker *)arg;
    rt_guard *guard = NULL;
    a->status = rt_guard_acquire(a->view, "new", &guard);
    if (guard != NULL) {
        CHECK_EQ(rt_guard_release(guard), RT_OK);
    }
    return NULL;
}

/* What a thread gets that never had to do with the runtime. */
static rt_status another_thread_gets(rt_view *view)
{
    asker a = {view, RT_ERR_INTERNAL};
    NEED(pthread_join(thread_start(ask, &a), NULL) == 0);
    return a.status;
}

static rt_view *view_of_main(void)
{
    rt_view *view = NULL;
    NEED(rt_view_from(NULL, &view) == RT_OK);
    return view;
}

/* Returns once finalization has begun and waits for the calling thread: only then a pending call is made. */
static void wait_until_waited_for(void)
{
    event made = EVENT_INIT;
    CHECK_EQ(rt_pending_add(NULL, NULL, set_event, &made, NULL), RT_OK);
    event_wait(&made);
}

typedef struct holder {
    rt_view *view;
    int shared, attached, daemon;
    rt_status again, others;
    event ready;
} holder;

static void *hold_and_ask_again(void *arg)
{
    holder *h = (holder *)arg;
    rt_guard *guard = NULL, *inner = NULL;
    CHECK_EQ((h->shared ? rt_guard_acquire_shared : rt_guard_acquire)(h->view, "first", &guard), RT_OK);
    event_set(&h->ready);
    wait_until_waited_for();
    h->others = another_thread_gets(h->view);
    h->again = rt_guard_acquire(h->view, "nested", &inner);
    if (inner != NULL) {
        CHECK_EQ(rt_guard_release(inner), RT_OK);
    }
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    return NULL;
}

static void finalize_over(void *(*body)(void *), holder *h)
{
    pthread_t thread = thread_start(body, h);
    event_wait(&h->ready);
    CHECK_EQ(rt_finalize_ex(), 0);
    NEED(pthread_join(thread, NULL) == 0);
}

static void a_holder_gets_a_nested_guard_and_a_newcomer_none(void)
{
    holder h = {view_of_main(), 0, 0, 0, -1, -1, EVENT_INIT};
    finalize_over(hold_and_ask_again, &h);
    CHECK_EQ(h.again, RT_OK);
    CHECK_EQ(h.others, RT_ERR_FINALIZING);
}

static void while_a_guard_that_may_be_handed_over_is_open_any_thread_gets_one(void)
{
    holder h = {view_of_main(), 1, 0, 0, -1, -1, EVENT_INIT};
    finalize_over(hold_and_ask_again, &h);
    CHECK_EQ(h.again, RT_OK);
    CHECK_EQ(h.others, RT_OK);
}

static void *be_attached_and_ask(void *arg)
{
    holder *h = (holder *)arg;
    rt_thread *thread = attach(NULL, "worker", 0, RT_POLICY_ERROR);
    rt_guard *guard = NULL;
    event_set(&h->ready);
    wait_until_waited_for();
    h->others = another_thread_gets(h->view);
    h->again = rt_guard_from_current(thread, "of a worker", &guard);
    if (guard != NULL) {
        CHECK_EQ(rt_guard_release(guard), RT_OK);
    }
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void an_attached_thread_that_is_waited_for_gets_one(void)
{
    holder h = {view_of_main(), 0, 1, 0, -1, -1, EVENT_INIT};
    finalize_over(be_attached_and_ask, &h);
    CHECK_EQ(h.again, RT_OK);
    CHECK_EQ(h.others, RT_ERR_FINALIZING);
}

/* A host with one big lock, which its native threads take under a guard each, again and again. */
static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;

static void *call_in_again_and_again(void *arg)
{
    holder *h = (holder *)arg;
    rt_guard *guard;
    while (rt_guard_acquire(h->view, "calls in", &guard) == RT_OK) {
        event_set(&h->ready);
        pthread_mutex_lock(&big_lock);
        sched_yield();
        pthread_mutex_unlock(&big_lock);
        CHECK_EQ(rt_guard_release(guard), RT_OK);
    }
    return NULL;
}

static int let_go_of_it(void *arg)
{
    (void)arg;
    return pthread_mutex_unlock(&big_lock);
}

static int take_it(void *arg)
{
    (void)arg;
    return pthread_mutex_lock(&big_lock);
}

static void busy_threads_under_one_big_lock_let_finalization_go_on(void)
{
    static const uint32_t waits[] = {RT_PHASE_GUARDS, RT_PHASE_THREADS, RT_PHASE_FREEZE};
    pthread_t threads[BUSY];
    rt_report *report = NULL;
    holder h = {view_of_main(), 0, 0, 0, -1, -1, EVENT_INIT};
    size_t i;
    for (i = 0; i < sizeof waits / sizeof *waits; i++) {
        CHECK_EQ(rt_phase_add_handler(NULL, waits[i], -1, "let go", let_go_of_it, NULL, NULL), RT_OK);
        CHECK_EQ(rt_phase_add_handler(NULL, waits[i], 0, "take", take_it, NULL, NULL), RT_OK);
    }
    for (i = 0; i < BUSY; i++) {
        threads[i] = thread_start(call_in_again_and_again, &h);
    }
    event_wait(&h.ready);
    pthread_mutex_lock(&big_lock);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    pthread_mutex_unlock(&big_lock);
    CHECK_EQ(summary_of(report).runaways, 0);
    for (i = 0; i < BUSY; i++) {
        NEED(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(a_holder_gets_a_nested_guard_and_a_newcomer_none);
    RUN(while_a_guard_that_may_be_handed_over_is_open_any_thread_gets_one);
    RUN(an_attached_thread_that_is_waited_for_gets_one);
    RUN(busy_threads_under_one_big_lock_let_finalization_go_on);
    return check_done();
}

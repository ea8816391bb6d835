/*
 * How attached threads end: with and without detaching, early and late, parked by one of two
 * runtimes; and when their states are deleted.
 */
#include "host.h"

typedef struct state {
    rt_runtime *runtime;
    volatile int deleted;
    pthread_t deleter;
    event ready, go, done;
    rt_thread *handle;
} state;

#define STATE {NULL, 0, 0, EVENT_INIT, EVENT_INIT, EVENT_INIT, NULL}

static int delete_state(void *arg)
{
    state *s = (state *)arg;
    s->deleted++;
    s->deleter = pthread_self();
    return 0;
}

static rt_status attach_state(state *s, const char *name, uint32_t daemon, uint32_t policy)
{
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = name;
    options.daemon = daemon;
    options.policy = policy;
    options.delete_state = delete_state;
    options.state = s;
    return rt_thread_attach(s->runtime, &options, &s->handle);
}

static void *detach_properly(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "proper", 0, 0), RT_OK);
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    CHECK_EQ(rt_thread_detach(s->handle), RT_OK);
    CHECK_EQ(s->deleted, 1);
    CHECK(pthread_equal(s->deleter, pthread_self()));
    return NULL;
}

static void *end_attached(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "forgetful", 0, 0), RT_OK);
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    pthread_exit(NULL);
}

static void states_are_deleted_once_by_detach_or_by_finalization(void)
{
    state detached = STATE, ended = STATE;
    rt_report *report = NULL;
    pthread_join(thread_start(detach_properly, &detached), NULL);
    pthread_join(thread_start(end_attached, &ended), NULL);
    CHECK_EQ(ended.deleted, 0);
    /* A thread that ended does not hold finalization up, though it was no daemon. */
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(detached.deleted, 1);
    CHECK_EQ(ended.deleted, 1);
    CHECK(pthread_equal(ended.deleter, pthread_self()));
    CHECK_EQ(summary_of(report).undetached, 1);
    CHECK_EQ(summary_of(report).leaks, 0);
    CHECK_EQ(summary_of(report).restartable, 1);
    CHECK(report_says(report, "forgetful"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void *end_attached_when_told(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "leaver", 0, 0), RT_OK);
    event_set(&s->ready);
    event_wait(&s->go);
    return NULL;
}

static int tell_to_go(void *arg)
{
    event_set(&((state *)arg)->go);
    return 0;
}

static void a_thread_that_ends_while_it_is_waited_for_wakes_the_wait(void)
{
    state s = STATE;
    pthread_t thread = thread_start(end_attached_when_told, &s);
    event_wait(&s.ready);
    CHECK_EQ(rt_pending_add(NULL, NULL, tell_to_go, &s, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(s.deleted, 1);
    pthread_join(thread, NULL);
}

static void *detach_when_told(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "late", 1, RT_POLICY_ERROR), RT_OK);
    event_set(&s->ready);
    event_wait(&s->go);
    CHECK_EQ(rt_thread_detach(s->handle), RT_OK);
    CHECK_EQ(rt_thread_detach(s->handle), RT_ERR_HANDLE);
    CHECK_EQ(s->deleted, 0);
    event_set(&s->done);
    return NULL;
}

static int tell_and_wait(void *arg)
{
    tell_to_go(arg);
    event_wait(&((state *)arg)->done);
    return 0;
}

static void a_late_detach_leaves_the_state_to_the_finalizing_thread(void)
{
    state s = STATE;
    rt_report *report = NULL;
    pthread_t thread = thread_start(detach_when_told, &s);
    event_wait(&s.ready);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, NULL, tell_and_wait, &s, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(s.deleted, 1);
    CHECK(pthread_equal(s.deleter, pthread_self()));
    CHECK_EQ(summary_of(report).leaks, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    pthread_join(thread, NULL);
}

/* Inside from before the freeze until after the end. */
static void *run_away(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "runaway", 1, RT_POLICY_ERROR), RT_OK);
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    event_set(&s->ready);
    event_wait(&s->go);
    CHECK_EQ(rt_thread_checkpoint(s->handle), RT_ERR_FINALIZING);
    return NULL;
}

/* Inside until the freeze, which parks it for good. */
static void *be_parked(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "parked", 1, RT_POLICY_HANG), RT_OK);
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    event_set(&s->ready);
    while (rt_thread_checkpoint(s->handle) == RT_OK) {
        sched_yield();
    }
    CHECK(!"a parked thread never returns");
    return NULL;
}

/* The state of the thread of this name is in the ledger, for this reason. */
static void check_kept(const rt_report *report, const char *name, const char *reason)
{
    rt_report_leak leak;
    leak.struct_size = sizeof leak;
    for (size_t i = 0; rt_report_get_leak(report, i, &leak) == RT_OK; i++) {
        if (strstr(leak.name, name) != NULL) {
            CHECK_EQ(leak.kind, RT_LEAK_THREAD_STATE);
            CHECK(strstr(leak.reason, reason) != NULL);
            return;
        }
    }
    CHECK(!"the state is in the ledger");
}

static void no_state_is_deleted_that_a_runaway_may_look_at(void)
{
    state runaway = STATE, ended = STATE, mine = STATE;
    static state parked = STATE; /* its thread outlives the test */
    rt_report *report = NULL;
    pthread_t runaway_thread;
    CHECK_EQ(attach_state(&mine, "finalizer", 0, 0), RT_OK);
    pthread_join(thread_start(end_attached, &ended), NULL);
    thread_start(be_parked, &parked);
    runaway_thread = thread_start(run_away, &runaway);
    event_wait(&parked.ready);
    event_wait(&runaway.ready);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(summary_of(report).runaways, 1);
    CHECK_EQ(mine.deleted + ended.deleted + parked.deleted + runaway.deleted, 0);
    CHECK_EQ(summary_of(report).leaks, 4);
    check_kept(report, "'runaway'", "the thread still runs inside");
    check_kept(report, "'forgetful'", "still ran inside after the freeze");
    check_kept(report, "'parked'", "still ran inside after the freeze");
    check_kept(report, "'finalizer'", "still ran inside after the freeze");
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&runaway.go);
    pthread_join(runaway_thread, NULL);
    CHECK_EQ(mine.deleted + ended.deleted + parked.deleted + runaway.deleted, 0);
}

static void *attach_too_late(void *arg)
{
    state *s = (state *)arg;
    s->handle = NULL;
    CHECK_EQ(attach_state(s, "too late", 0, 0), RT_ERR_FINALIZING);
    CHECK(s->handle == NULL);
    return NULL;
}

static int let_attach_too_late(void *arg)
{
    pthread_join(thread_start(attach_too_late, arg), NULL);
    attach_too_late(arg); /* the finalizing thread itself is no exception */
    return 0;
}

static void attaching_is_refused_from_the_freeze_on(void)
{
    state s = STATE;
    rt_report *report = NULL;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, -1, "late", let_attach_too_late, &s, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).late_calls, 2);
    CHECK_EQ(rt_report_free(report), RT_OK);
    attach_too_late(&s);
    CHECK_EQ(s.deleted, 0);
}

static int use_the_runtime(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(rt_thread_checkpoint(s->handle), RT_OK);
    CHECK_EQ(rt_thread_leave(s->handle), RT_OK);
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    CHECK_EQ(s->deleted, 0);
    return 0;
}

static void the_finalizing_thread_itself_stays_inside(void)
{
    state s = STATE;
    uint32_t phase;
    CHECK_EQ(attach_state(&s, "finalizer", 0, RT_POLICY_HANG), RT_OK);
    CHECK_EQ(rt_thread_enter(s.handle), RT_OK);
    for (phase = RT_PHASE_FREEZE; phase < RT_PHASE_RECLAIM; phase++) {
        CHECK_EQ(rt_phase_add_handler(NULL, phase, 0, NULL, use_the_runtime, &s, NULL), RT_OK);
    }
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(s.deleted, 1);
    CHECK_EQ(rt_thread_leave(s.handle), RT_OK);
    CHECK_EQ(rt_thread_detach(s.handle), RT_OK);
    CHECK_EQ(s.deleted, 1);
}

static pthread_key_t key;

static void use_the_library_at_the_end(void *handle)
{
    CHECK_EQ(rt_thread_checkpoint((rt_thread *)handle), RT_OK);
    CHECK_EQ(rt_thread_detach((rt_thread *)handle), RT_OK);
}

static void *detach_in_a_thread_specific_destructor(void *arg)
{
    state *s = (state *)arg;
    CHECK_EQ(attach_state(s, "tidy", 0, 0), RT_OK);
    pthread_setspecific(key, s->handle);
    return NULL;
}

static void a_thread_specific_destructor_may_still_detach(void)
{
    state s = STATE;
    rt_report *report = NULL;
    NEED(pthread_key_create(&key, use_the_library_at_the_end) == 0);
    pthread_join(thread_start(detach_in_a_thread_specific_destructor, &s), NULL);
    CHECK_EQ(s.deleted, 1);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).undetached, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* Attached to two runtimes, inside both. */
typedef struct both {
    rt_runtime *first, *second;
    state in_second;
} both;

static void *live_in_two_runtimes(void *arg)
{
    both *b = (both *)arg;
    rt_thread *thread = attach(b->first, "in two", 1, RT_POLICY_HANG);
    b->in_second.runtime = b->second;
    CHECK_EQ(attach_state(&b->in_second, "in two", 0, RT_POLICY_HANG), RT_OK);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_thread_enter(b->in_second.handle), RT_OK);
    event_set(&b->in_second.ready);
    for (;;) {
        rt_thread_checkpoint(thread);
    }
    return NULL;
}

static void a_thread_parked_by_one_runtime_does_not_hold_up_another(void)
{
    both b = {NULL, NULL, STATE};
    rt_report *report = NULL;
    b.first = runtime_new("first");
    b.second = runtime_new("second");
    thread_start(live_in_two_runtimes, &b);
    event_wait(&b.in_second.ready);
    CHECK_EQ(rt_finalize(b.first, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(b.second, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).runaways, 0);
    CHECK_EQ(b.in_second.deleted, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(b.first), RT_OK);
    CHECK_EQ(rt_runtime_free(b.second), RT_OK);
}

static void *finalize_first(void *arg)
{
    both *b = (both *)arg;
    while (rt_runtime_state(b->second) == RT_STATE_RUNNING) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize(b->first, NULL, NULL), RT_OK);
    return NULL;
}

static void parking_wakes_the_runtime_that_waits_already(void)
{
    both b = {NULL, NULL, STATE};
    pthread_t thread;
    b.first = runtime_new("first");
    b.second = runtime_new("second");
    thread_start(live_in_two_runtimes, &b);
    event_wait(&b.in_second.ready);
    thread = thread_start(finalize_first, &b);
    CHECK_EQ(rt_finalize(b.second, NULL, NULL), RT_OK); /* waits for the thread, no daemon there */
    CHECK_EQ(b.in_second.deleted, 1);
    pthread_join(thread, NULL);
}

int main(void)
{
    RUN(states_are_deleted_once_by_detach_or_by_finalization);
    RUN(a_thread_that_ends_while_it_is_waited_for_wakes_the_wait);
    RUN(a_late_detach_leaves_the_state_to_the_finalizing_thread);
    RUN(no_state_is_deleted_that_a_runaway_may_look_at);
    RUN(attaching_is_refused_from_the_freeze_on);
    RUN(the_finalizing_thread_itself_stays_inside);
    RUN(a_thread_specific_destructor_may_still_detach);
    RUN(a_thread_parked_by_one_runtime_does_not_hold_up_another);
    RUN(parking_wakes_the_runtime_that_waits_already);
    return check_done();
}

/*
 * Child runtimes and threads: what a thread attached to both meets, and a child that another thread
 * finalizes.
 */
#include "family.h"

/* --- threads ------------------------------------------------------------------------------------ */

static void daemon_threads_are_refused_where_there_may_be_none(void)
{
    rt_runtime *without = child_of(NULL, "without", RT_RUNTIME_NO_DAEMONS);
    rt_runtime *with = child_of(NULL, "with", 0);
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.daemon = 1;
    REFUSED(rt_thread_attach(without, &options, &thread), RT_ERR_INVALID);
    CHECK(strstr(rt_last_error(), "no daemon threads") != NULL);
    CHECK(thread == NULL);
    CHECK_EQ(rt_thread_attach(with, &options, &thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    options.daemon = 0;
    CHECK_EQ(rt_thread_attach(without, &options, &thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_finalize(without, NULL, NULL), RT_OK);
    CHECK_EQ(rt_initialize(without), RT_OK);
    options.daemon = 1;
    REFUSED(rt_thread_attach(without, &options, &thread), RT_ERR_INVALID);
    CHECK_EQ(rt_finalize_ex(), 0);
}

typedef struct worker {
    rt_runtime *child;
    event inside, stop;
    rt_status in_child, in_parent;
} worker;

static void *work_in_both(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *of_parent = attach(NULL, "both", 1, RT_POLICY_ERROR);
    rt_thread *of_child = attach(w->child, "both", 1, RT_POLICY_ERROR);
    CHECK_EQ(rt_thread_enter(of_child), RT_OK);
    event_set(&w->inside);
    while ((w->in_child = rt_thread_checkpoint(of_child)) == RT_OK) {
        sched_yield();
    }
    w->in_parent = rt_thread_enter(of_parent);
    CHECK_EQ(rt_thread_leave(of_parent), RT_OK);
    CHECK_EQ(rt_thread_detach(of_child), RT_OK);
    CHECK_EQ(rt_thread_detach(of_parent), RT_OK);
    return NULL;
}

static void freezing_a_child_stops_threads_in_the_child_only(void)
{
    worker w = {child_of(NULL, "child", 0), EVENT_INIT, EVENT_INIT, 1, 1};
    pthread_t thread = thread_start(work_in_both, &w);
    event_wait(&w.inside);
    CHECK_EQ(rt_finalize(w.child, NULL, NULL), RT_OK);
    pthread_join(thread, NULL);
    CHECK_EQ(w.in_child, RT_ERR_FINALIZING);
    CHECK_EQ(w.in_parent, RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_runtime_free(w.child), RT_OK);
}

static rt_thread *of_frozen_child;
static rt_status late_enter = 1;

static int enter_the_child_late(void *arg)
{
    (void)arg;
    late_enter = rt_thread_enter(of_frozen_child);
    return 0;
}

static void a_thread_that_finalizes_is_never_parked_by_another_runtime(void)
{
    rt_runtime *child = child_of(NULL, "child", 0);
    of_frozen_child = attach(child, "main", 0, RT_POLICY_HANG);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, NULL, enter_the_child_late, NULL,
                                  NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(late_enter, RT_ERR_FINALIZING);
    CHECK_EQ(rt_thread_detach(of_frozen_child), RT_OK);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

/* --- a child that another thread finalizes ------------------------------------------------------ */

typedef struct other {
    rt_runtime *child;
    event held, go_on;
    rt_status status;
    pid_t parent_tid;
} other;

static int hold_up(void *arg)
{
    other *o = (other *)arg;
    event_set(&o->held);
    event_wait(&o->go_on);
    return 0;
}

static void *finalize_child(void *arg)
{
    other *o = (other *)arg;
    o->status = rt_finalize(o->child, NULL, NULL);
    return NULL;
}

static void *let_go_when_the_parent_waits(void *arg)
{
    other *o = (other *)arg;
    wait_until_asleep(o->parent_tid);
    event_set(&o->go_on);
    return NULL;
}

static void a_child_that_another_thread_finalizes_is_waited_for(void)
{
    other o = {child_of(NULL, "busy", 0), EVENT_INIT, EVENT_INIT, 1, my_tid()};
    pthread_t thread, waker;
    rt_report *report = NULL, *of_child;
    CHECK_EQ(rt_atexit(o.child, NULL, hold_up, &o, NULL), RT_OK);
    thread = thread_start(finalize_child, &o);
    event_wait(&o.held);
    waker = thread_start(let_go_when_the_parent_waits, &o);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    pthread_join(thread, NULL);
    pthread_join(waker, NULL);
    CHECK_EQ(o.status, RT_OK);
    CHECK_EQ(summary_of(report).children, 1);
    of_child = report_of_child(report, 0, "busy");
    CHECK_EQ(rt_report_free(of_child), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(o.child), RT_OK);
}

static void a_child_does_not_wait_for_the_thread_that_finalizes_its_parent(void)
{
    other o = {child_of(NULL, "busy", 0), EVENT_INIT, EVENT_INIT, 1, 0};
    rt_thread *mine = attach(o.child, "main", 0, RT_POLICY_ERROR);
    pthread_t thread;
    CHECK_EQ(rt_thread_enter(mine), RT_OK);
    thread = thread_start(finalize_child, &o);
    while (rt_runtime_state(o.child) == RT_STATE_RUNNING) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize_ex(), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(o.status, RT_OK);
    CHECK_EQ(rt_thread_detach(mine), RT_OK);
    CHECK_EQ(rt_runtime_free(o.child), RT_OK);
}

static void *finalize_child_attached(void *arg)
{
    other *o = (other *)arg;
    rt_thread *thread = attach(NULL, "other", 0, RT_POLICY_ERROR);
    event_set(&o->held);
    o->status = rt_finalize(o->child, NULL, NULL);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

/* Each of two finalizing threads is attached, and no daemon, to what the other one finalizes. */
static void two_finalizations_do_not_wait_for_each_others_threads(void)
{
    other o = {child_of(NULL, "busy", 0), EVENT_INIT, EVENT_INIT, 1, 0};
    rt_thread *mine = attach(o.child, "main", 0, RT_POLICY_ERROR);
    pthread_t thread = thread_start(finalize_child_attached, &o);
    event_wait(&o.held);
    while (rt_runtime_state(o.child) == RT_STATE_RUNNING) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize_ex(), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(o.status, RT_OK);
    CHECK_EQ(rt_thread_detach(mine), RT_OK);
    CHECK_EQ(rt_runtime_free(o.child), RT_OK);
}

static void the_wait_for_it_is_bounded_and_the_ledger_names_it(void)
{
    other o = {child_of(NULL, "stuck", 0), EVENT_INIT, EVENT_INIT, 1, 0};
    pthread_t thread;
    rt_report *report = NULL;
    rt_report_leak leak;
    rt_finalize_options options = options_with_deadline(200000);
    memset(&leak, 0, sizeof leak);
    leak.struct_size = sizeof leak;
    CHECK_EQ(rt_atexit(o.child, NULL, hold_up, &o, NULL), RT_OK);
    thread = thread_start(finalize_child, &o);
    event_wait(&o.held);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_OK);
    CHECK_EQ(leak.kind, RT_LEAK_CHILD);
    CHECK(strcmp(leak.name, "stuck") == 0);
    CHECK(report_says(report, "child 'stuck', which another thread finalizes"));
    CHECK_EQ(summary_of(report).children, 0);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&o.go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(o.status, RT_OK);
    CHECK_EQ(rt_runtime_free(o.child), RT_OK);
}

static void *stay_inside(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *thread = attach(w->child, "stubborn", 0, RT_POLICY_ERROR);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    event_set(&w->inside);
    event_wait(&w->stop);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void a_childs_waits_end_within_its_parents_deadline(void)
{
    worker w = {child_of(NULL, "child", 0), EVENT_INIT, EVENT_INIT, 1, 1};
    rt_report *report = NULL, *of_child;
    rt_finalize_options options = options_with_deadline(200000);
    pthread_t thread = thread_start(stay_inside, &w);
    event_wait(&w.inside);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    of_child = report_of_child(report, 0, "child");
    CHECK_EQ(summary_of(of_child).runaways, 1);
    CHECK_EQ(summary_of(report).runaways, 0);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK(report_says(report, "needs attention in child"));
    CHECK(report_says(report, "nothing they may touch was freed)\n        thread 'stubborn'"));
    CHECK(report_says(report, "restartable: no, because of 1 thread still inside (listed above)"));
    CHECK_EQ(rt_report_free(of_child), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&w.stop);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_runtime_free(w.child), RT_OK);
}

int main(void)
{
    RUN(daemon_threads_are_refused_where_there_may_be_none);
    RUN(freezing_a_child_stops_threads_in_the_child_only);
    RUN(a_thread_that_finalizes_is_never_parked_by_another_runtime);
    RUN(a_child_that_another_thread_finalizes_is_waited_for);
    RUN(a_child_does_not_wait_for_the_thread_that_finalizes_its_parent);
    RUN(two_finalizations_do_not_wait_for_each_others_threads);
    RUN(the_wait_for_it_is_bounded_and_the_ledger_names_it);
    RUN(a_childs_waits_end_within_its_parents_deadline);
    return check_done();
}

/*
 * Views and guards: pinning a runtime from native threads, closing elsewhere, and what becomes of a
 * guard that is never closed.
 */
#include "host.h"

enum { BOUND_US = 20 * 1000000 };

static rt_view *view_of(rt_runtime *runtime)
{
    rt_view *view = NULL;
    NEED(rt_view_from(runtime, &view) == RT_OK);
    return view;
}

static rt_guard *guard_of(rt_view *view, const char *name)
{
    rt_guard *guard = NULL;
    CHECK_EQ(rt_guard_acquire(view, name, &guard), RT_OK);
    CHECK(guard != NULL);
    return guard;
}

/* A native thread that calls in: it never attaches. */
typedef struct caller {
    rt_view *view;
    const char *name;
    rt_guard *guard;
    event opened, may_go_on, released;
    int leave_open;
} caller;

#define CALLER(view, name) {view, name, NULL, EVENT_INIT, EVENT_INIT, EVENT_INIT, 0}

static void *call_in(void *arg)
{
    caller *c = (caller *)arg;
    c->guard = guard_of(c->view, c->name);
    event_set(&c->opened);
    event_wait(&c->may_go_on);
    if (!c->leave_open) {
        event_set(&c->released); /* before: finalization ends right after the release */
        CHECK_EQ(rt_guard_release(c->guard), RT_OK);
    }
    return NULL;
}

/* The handler runs as the phase begins: only then may the guard's holder go on. */
static void let_go_when_finalizing(caller *c)
{
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_GUARDS, -1, NULL, set_event, &c->may_go_on, NULL),
             RT_OK);
}

static void finalization_waits_until_a_native_threads_guard_is_closed(void)
{
    caller c = CALLER(view_of(NULL), "upload");
    rt_report *report = NULL;
    pthread_t thread = thread_start(call_in, &c);
    event_wait(&c.opened);
    let_go_when_finalizing(&c);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(event_is_set(&c.released));
    CHECK_EQ(summary_of(report).runaways, 0);
    CHECK_EQ(summary_of(report).restartable, 1);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_view_close(c.view), RT_OK);
}

static void a_guard_is_refused_after_finalization_and_its_view_stays_good(void)
{
    rt_runtime *runtime = runtime_new("short");
    rt_view *view = view_of(runtime);
    rt_guard *guard = NULL;
    CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
    REFUSED(rt_guard_acquire(view, NULL, &guard), RT_ERR_FINALIZING);
    CHECK(guard == NULL);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    REFUSED(rt_guard_acquire(view, NULL, &guard), RT_ERR_FINALIZING);
    /* A new runtime in the place of the old one is another. */
    runtime = runtime_new("next");
    REFUSED(rt_guard_acquire(view, NULL, &guard), RT_ERR_FINALIZING);
    CHECK_EQ(rt_view_close(view), RT_OK);
    CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static void a_view_of_a_former_life_never_pins_the_new_one(void)
{
    rt_view *former = view_of(NULL), *present;
    rt_guard *guard = NULL;
    int cycle;
    CHECK_EQ(rt_guard_release(guard_of(former, "then")), RT_OK);
    for (cycle = 0; cycle < 20; cycle++) {
        CHECK_EQ(rt_finalize_ex(), 0);
        CHECK_EQ(rt_initialize(NULL), RT_OK);
        present = view_of(NULL);
        REFUSED(rt_guard_acquire(former, "now", &guard), RT_ERR_FINALIZING);
        CHECK_EQ(rt_guard_release(guard_of(present, "now")), RT_OK);
        CHECK_EQ(rt_view_close(former), RT_OK);
        former = present;
    }
    CHECK_EQ(rt_view_close(former), RT_OK);
}

static rt_view *handlers_view;

/* At-exit callbacks and handlers before the freeze may still pin. */
static int pin_and_let_go(void *arg)
{
    rt_guard *guard = NULL;
    *(rt_status *)arg = rt_guard_acquire(handlers_view, "late", &guard);
    return guard == NULL ? 0 : rt_guard_release(guard);
}

static void pin_in_phase(uint32_t phase, rt_status *result)
{
    CHECK_EQ(rt_phase_add_handler(NULL, phase, 0, NULL, pin_and_let_go, result, NULL), RT_OK);
}

static void guards_are_granted_until_the_freeze_and_not_after(void)
{
    rt_status before = -1, at_exit = -1, after = -1;
    handlers_view = view_of(NULL);
    pin_in_phase(RT_PHASE_FLUSH_EARLY, &before);
    CHECK_EQ(rt_atexit(NULL, NULL, pin_and_let_go, &at_exit, NULL), RT_OK);
    pin_in_phase(RT_PHASE_FREEZE, &after);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(before, RT_OK);
    CHECK_EQ(at_exit, RT_OK);
    CHECK_EQ(after, RT_ERR_FINALIZING);
}

static void a_guard_is_closed_by_another_thread_than_opened_it(void)
{
    caller c = CALLER(view_of(NULL), "handed over");
    pthread_t thread = thread_start(call_in, &c);
    c.leave_open = 1;
    event_wait(&c.opened);
    CHECK_EQ(rt_guard_release(c.guard), RT_OK);
    REFUSED(rt_guard_release(c.guard), RT_ERR_HANDLE);
    event_set(&c.may_go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void a_guard_outlives_its_thread_and_is_closed_by_another(void)
{
    caller c = CALLER(view_of(NULL), "orphan");
    pthread_t thread = thread_start(call_in, &c);
    c.leave_open = 1;
    event_wait(&c.opened);
    event_set(&c.may_go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_guard_release(c.guard), RT_OK);
    REFUSED(rt_guard_release(c.guard), RT_ERR_HANDLE);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static int count_deleted(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void a_leaked_guard_is_named_with_its_thread_and_age_and_nothing_is_freed(void)
{
    caller c = CALLER(view_of(NULL), "forgotten");
    rt_report *report = NULL;
    rt_thread *main_thread = NULL;
    rt_finalize_options options = options_with_deadline(100000);
    rt_thread_options thread_options;
    pthread_t thread;
    char json[8192], *reason;
    int deleted = 0;
    int64_t began;
    memset(&thread_options, 0, sizeof thread_options);
    thread_options.struct_size = sizeof thread_options;
    thread_options.delete_state = count_deleted;
    thread_options.state = &deleted;
    CHECK_EQ(rt_thread_attach(NULL, &thread_options, &main_thread), RT_OK);
    c.leave_open = 1;
    thread = thread_start(call_in, &c);
    event_wait(&c.opened);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < BOUND_US);
    CHECK_EQ(summary_of(report).runaways, 1);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK(report_says(report, "guard 'forgotten' of thread "));
    CHECK(report_says(report, ", open for "));
    CHECK_EQ(rt_report_format(report, RT_REPORT_JSON, json, sizeof json, NULL), RT_OK);
    reason = strstr(json, "\"not_restartable\":[\"guard 'forgotten' of thread ");
    CHECK(reason != NULL && strstr(reason, "was never closed") != NULL);
    CHECK_EQ(deleted, 0);
    CHECK_EQ(summary_of(report).leaks, 1);
    /* Late, closing it is all the same to everybody. */
    CHECK_EQ(rt_guard_release(c.guard), RT_OK);
    event_set(&c.may_go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_guard_of_a_thread_that_has_ended_is_named_so(void)
{
    caller c = CALLER(view_of(NULL), "left behind");
    rt_report *report = NULL;
    pthread_t thread = thread_start(call_in, &c);
    c.leave_open = 1;
    event_wait(&c.opened);
    event_set(&c.may_go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_GUARDS, 20000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(report_says(report, "guard 'left behind' of thread "));
    CHECK(report_says(report, "(its thread has ended)"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_guard_of_the_finalizing_thread_holds_nothing_up_and_is_named(void)
{
    rt_report *report = NULL;
    rt_guard *guard = guard_of(view_of(NULL), "my own");
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(report_says(report, "guard 'my own' of thread "));
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void *close_what_was_handed_over(void *arg)
{
    caller *c = (caller *)arg;
    event_wait(&c->may_go_on);
    event_set(&c->released);
    CHECK_EQ(rt_guard_release(c->guard), RT_OK);
    return NULL;
}

static void a_guard_that_the_finalizing_thread_handed_over_is_waited_for(void)
{
    caller c = CALLER(view_of(NULL), "for a thread");
    rt_report *report = NULL;
    CHECK_EQ(rt_guard_acquire_shared(c.view, c.name, &c.guard), RT_OK);
    pthread_t thread = thread_start(close_what_was_handed_over, &c);
    let_go_when_finalizing(&c);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(event_is_set(&c.released));
    CHECK_EQ(summary_of(report).runaways, 0);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_guard_that_was_handed_over_and_forgotten_is_given_up_in_time(void)
{
    rt_report *report = NULL;
    rt_guard *guard = NULL;
    CHECK_EQ(rt_guard_acquire_shared(view_of(NULL), "nobody's", &guard), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_GUARDS, 20000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(report_says(report, "guard 'nobody's' of thread "));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_long_wait_says_on_stderr_whose_guard_it_waits_for(void)
{
    char said[4096];
    size_t length = 0;
    ssize_t got;
    int ends[2], saved = dup(STDERR_FILENO);
    caller c = CALLER(view_of(NULL), "slow upload");
    rt_finalize_options options = options_none();
    pthread_t thread = thread_start(call_in, &c);
    event_wait(&c.opened);
    NEED(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    options.notice_us = 10000;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_GUARDS, 200000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    NEED(dup2(saved, STDERR_FILENO) >= 0);
    close(ends[1]);
    while ((got = read(ends[0], said + length, sizeof said - 1 - length)) > 0) {
        length += (size_t)got;
    }
    said[length] = '\0';
    CHECK(strstr(said, "has waited") != NULL);
    CHECK(strstr(said, "guard 'slow upload' of thread ") != NULL);
    CHECK(strstr(said, "does not wait any longer") != NULL);
    event_set(&c.may_go_on);
    pthread_join(thread, NULL);
}

static event call_made = EVENT_INIT;

static void *pin_until_a_pending_call_was_made(void *arg)
{
    caller *c = (caller *)arg;
    rt_guard *guard = guard_of(c->view, c->name);
    event_set(&c->opened);
    event_wait(&c->may_go_on);
    CHECK_EQ(rt_pending_add(NULL, "reply", set_event, &call_made, NULL), RT_OK);
    event_wait(&call_made);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    return NULL;
}

static void a_holder_gets_its_pending_call_while_finalization_waits_for_it(void)
{
    caller c = CALLER(view_of(NULL), "asks");
    pthread_t thread = thread_start(pin_until_a_pending_call_was_made, &c);
    event_wait(&c.opened);
    let_go_when_finalizing(&c);
    CHECK_EQ(rt_finalize_ex(), 0);
    pthread_join(thread, NULL);
}

static void an_attached_thread_pins_without_a_view_and_holds_many_at_once(void)
{
    enum { MANY = 1000 };
    static rt_guard *guards[MANY];
    rt_thread *thread = attach(NULL, "main", 0, RT_POLICY_ERROR);
    int i, round;
    for (round = 0; round < 2; round++) {
        for (i = 0; i < MANY; i++) {
            guards[i] = NULL;
            CHECK_EQ(rt_guard_from_current(thread, "one of many", &guards[i]), RT_OK);
        }
        for (i = 0; i < MANY; i++) {
            CHECK_EQ(rt_guard_release(guards[(i * 7) % MANY]), RT_OK);
        }
        for (i = 0; i < MANY; i++) {
            CHECK_EQ(rt_guard_release(guards[i]), RT_ERR_HANDLE);
        }
    }
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void *use_anothers_thread_handle(void *arg)
{
    rt_guard *guard = NULL;
    REFUSED(rt_guard_from_current((rt_thread *)arg, NULL, &guard), RT_ERR_WRONG_THREAD);
    return NULL;
}

static void bad_input_is_refused_each_with_its_status(void)
{
    rt_view *view = view_of(NULL);
    rt_guard *guard = NULL, *first;
    rt_thread *thread = attach(NULL, NULL, 0, RT_POLICY_ERROR);
    const uintptr_t made_up[] = {1, 2, 3, 16, 0xdeadbeef, UINTPTR_MAX, UINTPTR_MAX - 1};
    size_t i;
    REFUSED(rt_view_from(NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_view_from((rt_runtime *)17, &view), RT_ERR_HANDLE);
    REFUSED(rt_guard_acquire(NULL, NULL, &guard), RT_ERR_NULL);
    REFUSED(rt_guard_acquire(view, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_guard_acquire_shared(NULL, NULL, &guard), RT_ERR_NULL);
    REFUSED(rt_guard_acquire_shared(view, "\xff\xfe", &guard), RT_ERR_UTF8);
    REFUSED(rt_guard_acquire(view, "\xff\xfe", &guard), RT_ERR_UTF8);
    REFUSED(rt_guard_from_current(thread, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_guard_from_current(NULL, NULL, &guard), RT_ERR_NULL);
    REFUSED(rt_guard_from_current((rt_thread *)17, NULL, &guard), RT_ERR_HANDLE);
    pthread_join(thread_start(use_anothers_thread_handle, thread), NULL);
    for (i = 0; i < sizeof made_up / sizeof *made_up; i++) {
        REFUSED(rt_guard_acquire((rt_view *)made_up[i], NULL, &guard), RT_ERR_HANDLE);
        REFUSED(rt_guard_release((rt_guard *)made_up[i]), RT_ERR_HANDLE);
        REFUSED(rt_view_close((rt_view *)made_up[i]), RT_ERR_HANDLE);
    }
    CHECK(guard == NULL);
    /* A stale handle is rejected, although another guard has taken its place. */
    first = guard_of(view, "first");
    CHECK_EQ(rt_guard_release(first), RT_OK);
    guard = guard_of(view, "a name that is longer than what a guard keeps of it \xc3\xa9");
    CHECK(guard != first);
    REFUSED(rt_guard_release(first), RT_ERR_HANDLE);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    REFUSED(rt_guard_release((rt_guard *)view), RT_ERR_HANDLE);
    CHECK_EQ(rt_guard_release(NULL), RT_OK);
    CHECK_EQ(rt_view_close(NULL), RT_OK);
    CHECK_EQ(rt_view_close(view), RT_OK);
    REFUSED(rt_view_close(view), RT_ERR_HANDLE);
    REFUSED(rt_guard_acquire(view, NULL, &guard), RT_ERR_HANDLE);
    CHECK_EQ(rt_finalize_ex(), 0);
}

#ifndef _WIN32

static void after_fork_the_guards_of_threads_left_behind_hold_nothing_up(void)
{
    caller c = CALLER(view_of(NULL), "in the parent");
    pthread_t thread = thread_start(call_in, &c);
    int status = 0;
    pid_t child;
    event_wait(&c.opened);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(CHECK_HANG_SECONDS); /* not inherited */
        REFUSED(rt_guard_release(c.guard), RT_ERR_HANDLE);
        CHECK_EQ(rt_guard_release(guard_of(c.view, "in the child")), RT_OK);
        CHECK_EQ(rt_finalize_ex(), 0);
        /* Not by an exit: memcheck would count what the threads that were not copied had. */
        kill(getpid(), check_failed_here ? SIGABRT : SIGKILL);
    }
    NEED(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    event_set(&c.may_go_on);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
}

#endif

int main(void)
{
    RUN(finalization_waits_until_a_native_threads_guard_is_closed);
    RUN(a_guard_is_refused_after_finalization_and_its_view_stays_good);
    RUN(a_view_of_a_former_life_never_pins_the_new_one);
    RUN(guards_are_granted_until_the_freeze_and_not_after);
    RUN(a_guard_is_closed_by_another_thread_than_opened_it);
    RUN(a_guard_outlives_its_thread_and_is_closed_by_another);
    RUN(a_leaked_guard_is_named_with_its_thread_and_age_and_nothing_is_freed);
    RUN(a_guard_of_a_thread_that_has_ended_is_named_so);
    RUN(a_guard_of_the_finalizing_thread_holds_nothing_up_and_is_named);
    RUN(a_guard_that_the_finalizing_thread_handed_over_is_waited_for);
    RUN(a_guard_that_was_handed_over_and_forgotten_is_given_up_in_time);
    RUN(a_long_wait_says_on_stderr_whose_guard_it_waits_for);
    RUN(a_holder_gets_its_pending_call_while_finalization_waits_for_it);
    RUN(an_attached_thread_pins_without_a_view_and_holds_many_at_once);
    RUN(bad_input_is_refused_each_with_its_status);
    RUN_POSIX(after_fork_the_guards_of_threads_left_behind_hold_nothing_up, "fork");
    return check_done();
}

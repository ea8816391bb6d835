/*
 * Where finalize is called from: a second thread, libc's exit handlers, a signal handler.
 */
#include "host.h"

static event entered = EVENT_INIT, go_on = EVENT_INIT;

static int hold_up(void *result)
{
    event_set(&entered);
    event_wait(&go_on);
    return (int)(intptr_t)result;
}

typedef struct second {
    int attached;
    rt_finalize_options options;
    rt_status status;
    uint64_t failures;
    event ready;
    pid_t tid;
} second;

static void *finalize_as_second(void *arg)
{
    second *s = (second *)arg;
    rt_report *report = NULL;
    rt_thread *thread = NULL;
    if (s->attached) {
        thread = attach(NULL, "second", 0, RT_POLICY_ERROR);
        CHECK_EQ(rt_thread_enter(thread), RT_OK);
    }
    s->tid = my_tid();
    event_set(&s->ready);
    if (s->attached) {
        /* The first one waits for this very thread, and is not in its callback yet. */
        while (rt_runtime_state(NULL) == RT_STATE_RUNNING) {
            sched_yield();
        }
    } else {
        event_wait(&entered);
    }
    s->status = rt_finalize(NULL, &s->options, &report);
    if (report != NULL) {
        s->failures = summary_of(report).failures;
        CHECK_EQ(rt_report_free(report), RT_OK);
    }
    if (thread != NULL) {
        CHECK_EQ(rt_thread_detach(thread), RT_OK);
    }
    return NULL;
}

/* The first one is held up in its callback until the second one sleeps in its call. */
static void *let_go_when_second_sleeps(void *arg)
{
    second *s = (second *)arg;
    event_wait(&entered);
    event_wait(&s->ready);
    wait_until_asleep(s->tid);
    event_set(&go_on);
    return NULL;
}

static void second_gets_the_same(int attached)
{
    second s = {attached, options_none(), 1, 0, EVENT_INIT, 0};
    pthread_t thread, helper;
    CHECK_EQ(rt_atexit(NULL, "failing", hold_up, (void *)(intptr_t)-5, NULL), RT_OK);
    thread = thread_start(finalize_as_second, &s);
    event_wait(&s.ready);
    helper = thread_start(let_go_when_second_sleeps, &s);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_ERR_INCOMPLETE);
    pthread_join(thread, NULL);
    pthread_join(helper, NULL);
    CHECK_EQ(s.status, RT_ERR_INCOMPLETE);
    CHECK_EQ(s.failures, 1);
}

static void a_second_thread_waits_and_gets_the_same_result(void)
{
    second_gets_the_same(0);
}

static void an_attached_second_caller_is_not_waited_for(void)
{
    second_gets_the_same(1);
}

static void *finalize_as_first(void *arg)
{
    CHECK_EQ(rt_finalize_ex(), 0);
    return arg;
}

static void the_second_threads_wait_is_bounded(void)
{
    second s = {0, options_none(), 1, 0, EVENT_INIT, 0};
    pthread_t thread, helper;
    s.options.join_us = 20000;
    CHECK_EQ(rt_atexit(NULL, NULL, hold_up, NULL, NULL), RT_OK);
    thread = thread_start(finalize_as_second, &s);
    helper = thread_start(finalize_as_first, NULL);
    pthread_join(thread, NULL);
    CHECK_EQ(s.status, RT_ERR_TIMEOUT);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_PRE_FINALIZING);
    event_set(&go_on);
    pthread_join(helper, NULL);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
}

/* What processes that end by exit() say goes to their stderr. */
static void say(const char *what)
{
    NEED(write(STDERR_FILENO, what, strlen(what)) == (ssize_t)strlen(what));
}

static int say_it(void *what)
{
    say((const char *)what);
    return 0;
}

static void finalize_at_libc_exit(void)
{
    say(rt_finalize_ex() == 0 ? "ok." : "refused.");
}

static char atexit_text[] = "callback ", exit_text[] = "exit-function ";

static void leave_finalizing_to_exit(void)
{
    NEED(atexit(finalize_at_libc_exit) == 0);
    CHECK_EQ(rt_atexit(NULL, NULL, say_it, atexit_text, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, NULL, say_it, exit_text, NULL), RT_OK);
    exit(7);
}

static void finalize_works_in_a_libc_exit_handler(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(leave_finalizing_to_exit, said, sizeof said), 7);
    CHECK(strcmp(said, "callback exit-function ok.") == 0);
}

static int call_exit(void *arg)
{
    (void)arg;
    say("exits ");
    exit(7);
}

static void exit_inside_finalization(void)
{
    NEED(atexit(finalize_at_libc_exit) == 0);
    CHECK_EQ(rt_atexit(NULL, NULL, call_exit, NULL, NULL), RT_OK);
    rt_finalize_ex();
    say("came back");
}

static void a_callback_that_calls_exit_ends_the_process(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(exit_inside_finalization, said, sizeof said), 7);
    CHECK(strcmp(said, "exits refused.") == 0);
}

#ifndef _WIN32

static volatile sig_atomic_t status_in_handler = 1, handler_ran;

static void finalize_in_a_handler(int signal_number)
{
    (void)signal_number;
    status_in_handler = rt_finalize(NULL, NULL, NULL);
    handler_ran = 1;
}

typedef struct interrupter {
    pthread_t finalizer;
    pid_t tid;
    event attached;
} interrupter;

static void *interrupt_the_finalizer(void *arg)
{
    interrupter *i = (interrupter *)arg;
    rt_thread *thread = attach(NULL, "interrupter", 0, RT_POLICY_ERROR);
    event_set(&i->attached);
    while (rt_runtime_state(NULL) == RT_STATE_RUNNING) {
        sched_yield();
    }
    wait_until_asleep(i->tid);
    pthread_kill(i->finalizer, SIGUSR1);
    while (!handler_ran) {
        sched_yield();
    }
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void a_signal_handler_over_the_finalizing_thread_is_refused_at_once(void)
{
    interrupter i = {pthread_self(), my_tid(), EVENT_INIT};
    struct sigaction action;
    pthread_t thread;
    int64_t began = now_us();
    memset(&action, 0, sizeof action);
    action.sa_handler = finalize_in_a_handler;
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    thread = thread_start(interrupt_the_finalizer, &i);
    event_wait(&i.attached);
    CHECK_EQ(rt_finalize_ex(), 0);
    pthread_join(thread, NULL);
    CHECK_EQ(status_in_handler, RT_ERR_IN_CALLBACK);
    CHECK(now_us() - began < 9 * 1000000); /* it did not wait for itself, which takes 10 s */
}

#endif

int main(void)
{
    RUN(a_second_thread_waits_and_gets_the_same_result);
    RUN(an_attached_second_caller_is_not_waited_for);
    RUN(the_second_threads_wait_is_bounded);
    RUN(finalize_works_in_a_libc_exit_handler);
    RUN(a_callback_that_calls_exit_ends_the_process);
    RUN_POSIX(a_signal_handler_over_the_finalizing_thread_is_refused_at_once,
              "signals that run a handler on a thread");
    return check_done();
}

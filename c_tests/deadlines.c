/*
 * What finalization waits for, how long, and what it says meanwhile.
 *
 * The bounds checked here are generous: a hang is meant, not a slow machine.
 */
#include "host.h"

enum { BOUND_US = 20 * 1000000 };

/* A non-daemon thread that stays attached until `may_end` is set. */
typedef struct worker {
    rt_runtime *runtime;
    const char *name;
    event attached, may_end;
} worker;

static void *work_outside(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *thread = attach(w->runtime, w->name, 0, RT_POLICY_ERROR);
    event_set(&w->attached);
    event_wait(&w->may_end);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void *work_inside_without_a_checkpoint(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *thread = attach(w->runtime, w->name, 1, RT_POLICY_ERROR);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    event_set(&w->attached);
    event_wait(&w->may_end);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_ERR_FINALIZING);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void *work_inside_with_checkpoints(void *arg)
{
    worker *w = (worker *)arg;
    rt_thread *thread = attach(w->runtime, w->name, 0, RT_POLICY_ERROR);
    rt_status status;
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    event_set(&w->attached);
    while ((status = rt_thread_checkpoint(thread)) == RT_OK) {
        usleep(10000); /* some work between two checkpoints */
    }
    CHECK_EQ(status, RT_ERR_FINALIZING);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void a_deadline_bounds_the_wait_for_a_thread_that_never_ends(void)
{
    worker w = {NULL, "stubborn", EVENT_INIT, EVENT_INIT};
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(100000);
    pthread_t thread = thread_start(work_outside, &w);
    int64_t began;
    event_wait(&w.attached);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < BOUND_US);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    CHECK(report_says(report, "stubborn"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&w.may_end);
    pthread_join(thread, NULL);
}

static void a_deadline_leaves_time_to_stop_the_threads(void)
{
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    int round;
    /* The first round only warms up: valgrind takes its time over code that it sees first. */
    for (round = 0; round < 2; round++) {
        worker w = {runtime_new("busy runtime"), "busy", EVENT_INIT, EVENT_INIT};
        pthread_t thread = thread_start(work_inside_with_checkpoints, &w);
        event_wait(&w.attached);
        options.deadline_us = round == 0 ? 100000 : 2000000;
        CHECK_EQ(rt_finalize(w.runtime, &options, &report), RT_ERR_INCOMPLETE);
        pthread_join(thread, NULL);
        if (round == 1) {
            /* It was not waited for any longer, but it stopped at a checkpoint: no runaway. */
            CHECK_EQ(summary_of(report).runaways, 0);
            CHECK(report_says(report, "busy"));
        }
        CHECK_EQ(rt_report_free(report), RT_OK);
        CHECK_EQ(rt_runtime_free(w.runtime), RT_OK);
    }
}

static int take_50_ms(void *calls)
{
    const int64_t until = now_us() + 50000;
    while (now_us() < until) {
        sched_yield();
    }
    ++*(int *)calls;
    return 0;
}

static void a_callback_is_not_interrupted_by_the_deadline(void)
{
    int calls = 0;
    rt_finalize_options options = options_with_deadline(10000);
    CHECK_EQ(rt_exit_function(NULL, NULL, take_50_ms, &calls, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_ERR_INCOMPLETE);
    CHECK_EQ(calls, 1);
}

static void the_budget_for_threads_is_one_for_all_passes(void)
{
    worker w = {NULL, "stubborn", EVENT_INIT, EVENT_INIT};
    rt_report *report = NULL;
    pthread_t thread = thread_start(work_outside, &w);
    int64_t began;
    event_wait(&w.attached);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, 50000), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, 0, 1), RT_ERR_INVALID);
    CHECK_EQ(rt_runtime_set_budget(NULL, 15, 1), RT_ERR_INVALID);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < BOUND_US);
    CHECK(rt_report_phase_us(report, RT_PHASE_THREADS) >= 50000);
    CHECK(report_says(report, "stubborn"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&w.may_end);
    pthread_join(thread, NULL);
}

static void the_freeze_has_a_budget_and_names_who_overran_it(void)
{
    worker w = {NULL, "computing", EVENT_INIT, EVENT_INIT};
    rt_report *report = NULL;
    pthread_t thread = thread_start(work_inside_without_a_checkpoint, &w);
    event_wait(&w.attached);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FREEZE, 30000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(rt_report_phase_us(report, RT_PHASE_FREEZE) >= 30000);
    CHECK(rt_report_phase_us(report, RT_PHASE_FREEZE) < BOUND_US);
    CHECK_EQ(summary_of(report).runaways, 1);
    CHECK(report_says(report, "computing"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&w.may_end);
    pthread_join(thread, NULL);
}

static void *finalize_noticing(void *runtime)
{
    rt_finalize_options options = options_none();
    options.notice_us = 1000;
    CHECK_EQ(rt_finalize((rt_runtime *)runtime, &options, NULL), RT_OK);
    return NULL;
}

static void a_long_wait_says_on_stderr_whom_it_waits_for(void)
{
    worker w = {NULL, "slow uploader", EVENT_INIT, EVENT_INIT};
    rt_runtime *runtime = w.runtime = runtime_new("web app");
    pthread_t thread = thread_start(work_outside, &w), finalizer;
    tube t = tube_open();
    int stderr_before = dup(STDERR_FILENO);
    char line[512] = "";
    FILE *lines = fdopen(t.out, "r");
    NEED(stderr_before >= 0 && lines != NULL);
    event_wait(&w.attached);
    NEED(dup2(t.in, STDERR_FILENO) >= 0);
    finalizer = thread_start(finalize_noticing, runtime);

    /* Two lines: it says so again, at growing intervals. */
    CHECK(fgets(line, sizeof line, lines) != NULL);
    CHECK(strncmp(line, "rtfinalize: ", 12) == 0);
    CHECK(strstr(line, "web app") != NULL);
    CHECK(strstr(line, "slow uploader") != NULL);
    CHECK(fgets(line, sizeof line, lines) != NULL);
    CHECK(strstr(line, "slow uploader") != NULL);

    event_set(&w.may_end);
    pthread_join(finalizer, NULL);
    NEED(dup2(stderr_before, STDERR_FILENO) >= 0);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_runtime_state(runtime), RT_STATE_FINALIZED);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    fclose(lines);
    close(t.in);
    close(stderr_before);
}

/* Tells the worker to end once the finalizing thread has tried to say something. */
static void *end_worker_after_a_while(void *arg)
{
    int waits;
    for (waits = 0; waits < 20; waits++) {
        usleep(1000);
    }
    event_set(&((worker *)arg)->may_end);
    return NULL;
}

static void a_notice_nobody_can_read_disturbs_nothing(void)
{
    worker w = {NULL, "quiet", EVENT_INIT, EVENT_INIT};
    pthread_t thread = thread_start(work_outside, &w), ender;
    tube t = tube_open();
    int stderr_before = dup(STDERR_FILENO);
    rt_status status;
    rt_finalize_options options = options_none();
    options.notice_us = 1;
    event_wait(&w.attached);
#ifndef _WIN32
    signal(SIGPIPE, SIG_IGN);
#endif
    close(t.out);
    NEED(dup2(t.in, STDERR_FILENO) >= 0);
    ender = thread_start(end_worker_after_a_while, &w);
    status = rt_finalize(NULL, &options, NULL);
    NEED(dup2(stderr_before, STDERR_FILENO) >= 0);
    CHECK_EQ(status, RT_OK);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
    pthread_join(ender, NULL);
    pthread_join(thread, NULL);
    close(t.in);
    close(stderr_before);
}

/* Returns once stderr, a pipe, has said its name twice. */
static int until_named(void *arg)
{
    char line[512] = "";
    int i;
    for (i = 0; i < 2; i++) {
        CHECK(fgets(line, sizeof line, (FILE *)arg) != NULL);
        CHECK(strstr(line, "'send telemetry' in the phase atexit") != NULL);
    }
    return 0;
}

static void a_callback_that_takes_long_is_named_on_stderr(void)
{
    tube t = tube_open();
    int stderr_before = dup(STDERR_FILENO);
    FILE *lines = fdopen(t.out, "r");
    rt_finalize_options options = options_none();
    rt_status status;
    NEED(stderr_before >= 0 && lines != NULL);
    options.notice_us = 20000;
    CHECK_EQ(rt_atexit(NULL, "send telemetry", until_named, lines, NULL), RT_OK);
    NEED(dup2(t.in, STDERR_FILENO) >= 0);
    status = rt_finalize(NULL, &options, NULL);
    NEED(dup2(stderr_before, STDERR_FILENO) >= 0);
    CHECK_EQ(status, RT_OK);
    fclose(lines);
    close(t.in);
    close(stderr_before);
}

int main(void)
{
    RUN(a_deadline_bounds_the_wait_for_a_thread_that_never_ends);
    RUN(a_deadline_leaves_time_to_stop_the_threads);
    RUN(a_callback_is_not_interrupted_by_the_deadline);
    RUN(the_budget_for_threads_is_one_for_all_passes);
    RUN(the_freeze_has_a_budget_and_names_who_overran_it);
    RUN(a_long_wait_says_on_stderr_whom_it_waits_for);
    RUN(a_notice_nobody_can_read_disturbs_nothing);
    RUN(a_callback_that_takes_long_is_named_on_stderr);
    return check_done();
}

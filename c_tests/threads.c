/*
 * Threads: how they attach, go in and out, and what becomes of them when their runtime finalizes.
 */
#include "host.h"

/* What a thread under test does, and what it found. */
typedef struct subject {
    rt_runtime *runtime;
    uint32_t daemon, policy;
    event ready, go;
    tube input;
    rt_thread *handle;
    rt_status status;
    volatile int returned, unwound, deleted;
    pthread_t deleter;
    volatile pid_t tid;
} subject;

#define SUBJECT(daemon, policy) \
    {NULL, daemon, policy, EVENT_INIT, EVENT_INIT, {-1, -1}, NULL, 1, 0, 0, 0, 0, 0}

static int delete_state(void *state)
{
    subject *s = (subject *)state;
    s->deleted++;
    s->deleter = pthread_self();
    return 0;
}

static void attach_with_state(subject *s, const char *name)
{
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = name;
    options.daemon = s->daemon;
    options.policy = s->policy;
    options.delete_state = delete_state;
    options.state = s;
    s->tid = my_tid();
    CHECK_EQ(rt_thread_attach(s->runtime, &options, &s->handle), RT_OK);
}

static void a_thread_goes_in_and_out(void)
{
    rt_thread *thread = attach(NULL, "me", 0, 0), *second = NULL;
    CHECK_EQ(rt_thread_leave(thread), RT_ERR_STATE);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_OK);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_thread_enter(thread), RT_ERR_STATE);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_OK);
    CHECK_EQ(rt_thread_leave(thread), RT_OK);
    CHECK_EQ(rt_thread_leave(thread), RT_ERR_STATE);
    CHECK_EQ(rt_thread_attach(NULL, NULL, &second), RT_ERR_ALREADY_ATTACHED);
    CHECK(second == NULL);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK); /* from inside, too */
    CHECK_EQ(rt_thread_attach(NULL, NULL, &second), RT_OK);
    CHECK(second != thread);
    CHECK_EQ(rt_thread_detach(second), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void *use_anothers_handle(void *handle)
{
    rt_thread *thread = (rt_thread *)handle;
    CHECK_EQ(rt_thread_enter(thread), RT_ERR_WRONG_THREAD);
    CHECK_EQ(rt_thread_leave(thread), RT_ERR_WRONG_THREAD);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_ERR_WRONG_THREAD);
    CHECK_EQ(rt_thread_detach(thread), RT_ERR_WRONG_THREAD);
    return NULL;
}

static void misuse_of_a_handle_is_told_apart(void)
{
    rt_thread *thread = NULL;
    rt_thread *const made_up = (rt_thread *)(uintptr_t)0x7fffffff;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.policy = 4;
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_ERR_INVALID);
    options.policy = 0;
    options.struct_size = 0;
    CHECK_EQ(rt_thread_attach(NULL, &options, &thread), RT_ERR_STRUCT_SIZE);
    CHECK_EQ(rt_thread_attach(NULL, NULL, NULL), RT_ERR_NULL);

    thread = attach(NULL, NULL, 0, 0);
    pthread_join(thread_start(use_anothers_handle, thread), NULL);
    CHECK_EQ(rt_thread_enter(NULL), RT_ERR_NULL);
    CHECK_EQ(rt_thread_enter(made_up), RT_ERR_HANDLE);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_ERR_HANDLE);
    CHECK_EQ(rt_thread_enter(thread), RT_ERR_HANDLE);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_ERR_HANDLE);
}

static void *wait_outside(void *arg)
{
    subject *s = (subject *)arg;
    attach_with_state(s, "outside");
    event_set(&s->ready);
    event_wait(&s->go);
    s->returned = 1;
    CHECK_EQ(rt_thread_detach(s->handle), RT_OK);
    return NULL;
}

static int let_go(void *arg)
{
    event_set(&((subject *)arg)->go);
    return 0;
}

static void finalization_waits_for_a_thread_that_is_no_daemon(void)
{
    subject s = SUBJECT(0, RT_POLICY_HANG);
    pthread_t thread = thread_start(wait_outside, &s);
    event_wait(&s.ready);
    /* What it needs to end comes as a pending call, made while it is waited for. */
    CHECK_EQ(rt_pending_add(NULL, NULL, let_go, &s, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(s.returned, 1);
    CHECK_EQ(s.deleted, 1);
    pthread_join(thread, NULL);
}

static void finalization_does_not_wait_for_a_daemon(void)
{
    subject s = SUBJECT(1, RT_POLICY_HANG);
    rt_report *report = NULL;
    pthread_t thread = thread_start(wait_outside, &s);
    event_wait(&s.ready);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(s.returned, 0);
    /* Law 1: it still looks at its state, which is kept for it, and entered in the ledger. */
    CHECK_EQ(s.deleted, 0);
    CHECK_EQ(summary_of(report).leaks, 1);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK(report_says(report, "outside"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&s.go);
    pthread_join(thread, NULL);
    CHECK_EQ(s.deleted, 0);
}

static void note_unwinding(void *arg)
{
    ((subject *)arg)->unwound = 1;
}

/* Blocks in a read outside the runtime, then comes back in. */
static void *read_outside(void *arg)
{
    subject *s = (subject *)arg;
    pthread_cleanup_push(note_unwinding, s);
    attach_with_state(s, "reader");
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    CHECK_EQ(rt_thread_leave(s->handle), RT_OK);
    event_set(&s->ready);
    tube_get(&s->input);
    s->status = s->policy == RT_POLICY_EXIT ? rt_thread_enter_or_exit(s->handle)
                                            : rt_thread_enter(s->handle);
    s->returned = 1;
    pthread_cleanup_pop(0);
    return s;
}

/* Loops inside. */
static void *loop_inside(void *arg)
{
    subject *s = (subject *)arg;
    pthread_cleanup_push(note_unwinding, s);
    attach_with_state(s, "looper");
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    event_set(&s->ready);
    do {
        s->status = s->policy == RT_POLICY_EXIT ? rt_thread_checkpoint_or_exit(s->handle)
                                                : rt_thread_checkpoint(s->handle);
    } while (s->status == RT_OK);
    s->returned = 1;
    pthread_cleanup_pop(0);
    return s;
}

/* Finalizes over a looper and a reader of this policy; the reader comes back afterwards. */
static void finalize_over(subject *looper, subject *reader, pthread_t threads[2])
{
    rt_report *report = NULL;
    reader->input = tube_open();
    threads[0] = thread_start(loop_inside, looper);
    threads[1] = thread_start(read_outside, reader);
    event_wait(&looper->ready);
    event_wait(&reader->ready);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).runaways, 0);
    CHECK(report_says(report, "reader"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    tube_put(&reader->input);
}

static void policy_hang_parks_a_thread_for_good(void)
{
    subject looper = SUBJECT(1, RT_POLICY_HANG), reader = SUBJECT(1, 0);
    pthread_t threads[2];
    finalize_over(&looper, &reader, threads);
    /* It can never run again, so its state was deleted, by this thread. */
    CHECK_EQ(looper.deleted, 1);
    CHECK(pthread_equal(looper.deleter, pthread_self()));
    wait_until_asleep(looper.tid);
    wait_until_asleep(reader.tid);
    CHECK_EQ(looper.returned + looper.unwound, 0);
    /* A parked thread neither handles signals nor can be cancelled. */
    CHECK_EQ(pthread_cancel(threads[0]), 0);
    CHECK_EQ(pthread_kill(threads[0], SIGTERM), 0);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    wait_until_asleep(looper.tid);
    CHECK_EQ(looper.returned + looper.unwound, 0);
    CHECK_EQ(reader.returned + reader.unwound, 0);
    CHECK_EQ(looper.deleted, 1);
}

static void policy_error_lets_a_thread_go_on(void)
{
    subject looper = SUBJECT(1, RT_POLICY_ERROR), reader = SUBJECT(1, RT_POLICY_ERROR);
    pthread_t threads[2];
    void *result = NULL;
    finalize_over(&looper, &reader, threads);
    CHECK_EQ(pthread_join(threads[0], &result), 0);
    CHECK(result == &looper);
    CHECK_EQ(pthread_join(threads[1], &result), 0);
    CHECK(result == &reader);
    CHECK_EQ(looper.status, RT_ERR_FINALIZING);
    CHECK_EQ(reader.status, RT_ERR_FINALIZING);
}

static void policy_exit_ends_a_thread_in_the_hosts_own_frame(void)
{
    subject looper = SUBJECT(1, RT_POLICY_EXIT), reader = SUBJECT(1, RT_POLICY_EXIT);
    pthread_t threads[2];
    void *results[2] = {&looper, &reader};
    finalize_over(&looper, &reader, threads);
    CHECK_EQ(pthread_join(threads[0], &results[0]), 0);
    CHECK_EQ(pthread_join(threads[1], &results[1]), 0);
    CHECK_EQ(looper.returned + reader.returned, 0);
#ifndef _WIN32 /* where the end of a thread unwinds nothing, and pthreads hear nothing of it */
    CHECK(results[0] == NULL && results[1] == NULL);
    CHECK_EQ(looper.unwound, 1);
    CHECK_EQ(reader.unwound, 1);
#endif
}

static void *run_away(void *arg)
{
    subject *s = (subject *)arg;
    attach_with_state(s, "number cruncher");
    CHECK_EQ(rt_thread_enter(s->handle), RT_OK);
    event_set(&s->ready);
    event_wait(&s->go);
    s->status = rt_thread_checkpoint(s->handle);
    CHECK_EQ(rt_thread_detach(s->handle), RT_OK);
    return NULL;
}

static void a_runaway_is_named_and_nothing_of_its_is_freed(void)
{
    subject s = SUBJECT(1, RT_POLICY_ERROR);
    rt_report *report = NULL;
    rt_report_leak leak;
    pthread_t thread = thread_start(run_away, &s);
    event_wait(&s.ready);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FREEZE, 10000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(summary_of(report).runaways, 1);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK_EQ(s.deleted, 0);
    CHECK_EQ(summary_of(report).leaks, 1);
    memset(&leak, 0, sizeof leak);
    leak.struct_size = sizeof leak;
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_OK);
    CHECK_EQ(leak.kind, RT_LEAK_THREAD_STATE);
    CHECK(strstr(leak.name, "number cruncher") != NULL);
    CHECK(report_says(report, "number cruncher"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&s.go);
    pthread_join(thread, NULL);
    CHECK_EQ(s.status, RT_ERR_FINALIZING);
    CHECK_EQ(s.deleted, 0);
}

int main(void)
{
    RUN(a_thread_goes_in_and_out);
    RUN(misuse_of_a_handle_is_told_apart);
    RUN(finalization_waits_for_a_thread_that_is_no_daemon);
    RUN(finalization_does_not_wait_for_a_daemon);
    RUN(policy_hang_parks_a_thread_for_good);
    RUN(policy_error_lets_a_thread_go_on);
    RUN(policy_exit_ends_a_thread_in_the_hosts_own_frame);
    RUN(a_runaway_is_named_and_nothing_of_its_is_freed);
    return check_done();
}

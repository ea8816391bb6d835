/*
 * What the environment asks for, in a program whose source nobody changes: a deadline, a grace. (For
 * RTFINALIZE_REPORT see report.c.)
 */
#include "host.h"

/* Far more than any deadline or grace here, far less than for ever. */
enum { BOUND_US = 30 * 1000000 };

typedef struct holder {
    rt_buffered_lock lock;
    event attached, may_end;
} holder;

/* A non-daemon thread that neither detaches nor lets its lock go until it is told to. */
static void *hold(void *arg)
{
    holder *h = (holder *)arg;
    rt_thread *thread = attach(NULL, "holder", 0, RT_POLICY_ERROR);
    CHECK_EQ(rt_buffered_lock_acquire(&h->lock), RT_OK);
    event_set(&h->attached);
    event_wait(&h->may_end);
    CHECK_EQ(rt_buffered_lock_release(&h->lock), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static int take_lock(void *arg)
{
    CHECK_EQ(rt_buffered_lock_acquire((rt_buffered_lock *)arg), RT_ERR_OWNER_BLOCKED);
    return 0;
}

/* Finalizes with a thread that does not end, and a lock that is not let go. */
static void finalize_over_a_holder(const rt_finalize_options *options)
{
    holder h = {RT_BUFFERED_LOCK_INIT, EVENT_INIT, EVENT_INIT};
    pthread_t thread;
    int64_t began;
    NEED(pthread_create(&thread, NULL, hold, &h) == 0);
    event_wait(&h.attached);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, NULL, take_lock, &h.lock, NULL), RT_OK);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, options, NULL), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < BOUND_US);
    event_set(&h.may_end);
    pthread_join(thread, NULL);
}

static void a_deadline_and_a_grace_bound_a_program_that_sets_none(void)
{
    NEED(setenv("RTFINALIZE_DEADLINE", "200ms", 1) == 0);
    NEED(setenv("RTFINALIZE_GRACE", "0.05", 1) == 0);
    finalize_over_a_holder(NULL);
}

static void the_environment_wins_over_what_the_program_sets(void)
{
    rt_finalize_options options = options_none();
    options.deadline_us = -1;
    options.grace_us = (int64_t)3600 * 1000000;
    NEED(setenv("RTFINALIZE_DEADLINE", "200ms", 1) == 0);
    NEED(setenv("RTFINALIZE_GRACE", "50ms", 1) == 0);
    finalize_over_a_holder(&options);
}

static void a_value_that_is_no_time_costs_a_line_and_nothing_else(void)
{
    int ends[2];
    char said[512] = "";
    ssize_t got;
    NEED(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    NEED(setenv("RTFINALIZE_DEADLINE", "soon", 1) == 0);
    CHECK_EQ(rt_finalize_ex(), 0);
    got = read(ends[0], said, sizeof said - 1);
    CHECK(got > 0 && strstr(said, "RTFINALIZE_DEADLINE is 'soon'") != NULL);
}

int main(void)
{
    RUN(a_deadline_and_a_grace_bound_a_program_that_sets_none);
    RUN(the_environment_wins_over_what_the_program_sets);
    RUN(a_value_that_is_no_time_costs_a_line_and_nothing_else);
    return check_done();
}

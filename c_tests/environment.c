/*
 * What the environment asks for, in a program whose source nobody changes: a deadline, a grace (for
 * RTFINALIZE_REPORT see report.c); and the same set by a text of the program's own.
 */
#include "host.h"

#include <fcntl.h>

/* Far longer than any deadline or grace period here, but still finite. */
enum { BOUND_US = 30 * 1000000 };

typedef struct holder {
    rt_buffered_lock lock;
    event attached, may_end;
} holder;

/* A non-daemon thread that stays attached and keeps its lock until `may_end` is set. */
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

static void a_text_of_the_program_s_own_sets_the_same(void)
{
    CHECK(rt_runtime_deadline(NULL) < 0);
    CHECK_EQ(rt_runtime_grace(NULL), 1000000);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_DEADLINE", "200ms"), RT_OK);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_GRACE", "0.05"), RT_OK);
    CHECK_EQ(rt_runtime_deadline(NULL), 200000);
    CHECK_EQ(rt_runtime_grace(NULL), 50000);
    finalize_over_a_holder(NULL);
}

static void the_environment_wins_over_a_text_too(void)
{
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_DEADLINE", "3600s"), RT_OK);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_GRACE", "3600s"), RT_OK);
    NEED(setenv("RTFINALIZE_DEADLINE", "200ms", 1) == 0);
    NEED(setenv("RTFINALIZE_GRACE", "50ms", 1) == 0);
    CHECK_EQ(rt_runtime_deadline(NULL), 200000);
    CHECK_EQ(rt_runtime_grace(NULL), 50000);
    finalize_over_a_holder(NULL);
}

static void a_text_that_says_nothing_sets_nothing_and_is_explained(void)
{
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_DEADLINE", "5s"), RT_OK);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_DEADLINE", "soon"), RT_ERR_INVALID);
    CHECK(strstr(rt_last_error(), "RTFINALIZE_DEADLINE is 'soon'; it takes a time") != NULL);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", "xml"), RT_ERR_INVALID);
    CHECK(strstr(rt_last_error(), "it takes text, json, trace or html") != NULL);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_PATIENCE", "5s"), RT_ERR_INVALID);
    CHECK(strstr(rt_last_error(), "there is no setting RTFINALIZE_PATIENCE") != NULL);
    CHECK_EQ(rt_runtime_set_text(NULL, NULL, "5s"), RT_ERR_NULL);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_GRACE", NULL), RT_ERR_NULL);
    CHECK_EQ(rt_runtime_deadline(NULL), 5000000);
}

static void a_report_wished_for_by_text_is_written_to_its_file(void)
{
    char path[] = "/tmp/rtfinalize-text-XXXXXX", wish[100], report[64] = "";
    int fd = mkstemp(path);
    NEED(fd >= 0 && close(fd) == 0);
    snprintf(wish, sizeof wish, "json:%s", path);
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", wish), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    fd = open(path, O_RDONLY);
    CHECK(read(fd, report, sizeof report - 1) > 0 && report[0] == '{');
    NEED(close(fd) == 0 && unlink(path) == 0);
}

int main(void)
{
    RUN(a_deadline_and_a_grace_bound_a_program_that_sets_none);
    RUN(the_environment_wins_over_what_the_program_sets);
    RUN(a_value_that_is_no_time_costs_a_line_and_nothing_else);
    RUN(a_text_of_the_program_s_own_sets_the_same);
    RUN(the_environment_wins_over_a_text_too);
    RUN(a_text_that_says_nothing_sets_nothing_and_is_explained);
    RUN(a_report_wished_for_by_text_is_written_to_its_file);
    return check_done();
}

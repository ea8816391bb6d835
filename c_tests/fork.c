/*
 * The child of a fork made at any stage of a finalization: both processes finalize, bounded, whatever threads
 * were not copied, and every byte is written once.
 */
#include "forked.h"

/* --- finalization by a thread that is not copied --- */

typedef struct stage {
    int fd;
    rt_writer *writer;
    event arrived, go;
} stage;

static int hold_up(void *arg)
{
    stage *s = (stage *)arg;
    event_set(&s->arrived);
    event_wait(&s->go);
    return 0;
}

static void *finalize_main(void *arg)
{
    (void)arg;
    CHECK_EQ(rt_finalize_ex(), 0);
    return NULL;
}

static int calls_made;

static int count_call(void *arg)
{
    (void)arg;
    calls_made++;
    return 0;
}

static void a_runtime_whose_finalizer_had_only_begun_runs_in_the_child(void)
{
    stage s = {sink_open(), NULL, EVENT_INIT, EVENT_INIT};
    pthread_t finalizer;
    pid_t child;
    s.writer = writer_open(NULL, s.fd, "log", 0, 0);
    CHECK_EQ(rt_atexit(NULL, "later", count_call, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "hold up", hold_up, &s, NULL), RT_OK);
    say(s.writer, "before\n");
    finalizer = thread_start(finalize_main, NULL);
    event_wait(&s.arrived);
    CHECK_EQ(rt_is_finalizing(), 1);
    child = fork_bounded();
    if (child == 0) {
        rt_guard *guard = NULL;
        rt_view *view = NULL;
        rt_report *report = NULL;
        rt_thread *me;
        CHECK_EQ(rt_is_finalizing(), 0);
        CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
        me = attach(NULL, "survivor", 0, 0);
        CHECK_EQ(rt_thread_enter(me), RT_OK);
        CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
        CHECK_EQ(rt_guard_acquire(view, "child's", &guard), RT_OK);
        CHECK_EQ(rt_guard_release(guard), RT_OK);
        say(s.writer, "child\n");
        /* It begins anew: the call that its parent had not come to is the child's, too. */
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
        CHECK_EQ(calls_made, 1);
        CHECK_EQ(summary_of(report).restartable, 1);
        CHECK_EQ(rt_is_finalizing(), 1);
        end_child();
    }
    expect_good_end(child);
    event_set(&s.go);
    pthread_join(finalizer, NULL);
    CHECK_EQ(calls_made, 1);
    CHECK_LINES(s.fd, "before\nchild\n");
}

static void a_runtime_that_was_frozen_is_finalized_in_the_child(void)
{
    stage s = {sink_open(), NULL, EVENT_INIT, EVENT_INIT};
    pthread_t finalizer;
    pid_t child;
    s.writer = writer_open(NULL, s.fd, "log", 0, 0);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "hold up", hold_up, &s, NULL), RT_OK);
    say(s.writer, "before\n");
    finalizer = thread_start(finalize_main, NULL);
    event_wait(&s.arrived);
    child = fork_bounded();
    if (child == 0) {
        rt_report *report = NULL;
        CHECK_EQ(rt_is_finalizing(), 1);
        CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
        REFUSED(rt_writer_write(s.writer, "late\n", 5), RT_ERR_FINALIZING);
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
        CHECK(report_says(report, "finalize"));
        CHECK(report_says(report, "forked in the middle"));
        CHECK_EQ(summary_of(report).restartable, 0);
        CHECK_EQ(summary_of(report).unwritten, 0);
        CHECK_EQ(rt_report_free(report), RT_OK);
        CHECK_EQ(rt_finalize_ex(), 0);
        /* A new life, with a writer of its own. */
        CHECK_EQ(rt_initialize(NULL), RT_OK);
        CHECK_EQ(rt_is_finalizing(), 0);
        say(writer_open(NULL, s.fd, "log", 0, 0), "child\n");
        CHECK_EQ(rt_finalize_ex(), 0);
        end_child();
    }
    expect_good_end(child);
    event_set(&s.go);
    pthread_join(finalizer, NULL);
    CHECK_LINES(s.fd, "before\nchild\n");
}

/* --- finalization by the thread that forks --- */

static pid_t forked_child;

static int fork_in_callback(void *arg)
{
    rt_writer *writer = (rt_writer *)arg;
    say(writer, "callback\n");
    forked_child = fork_bounded();
    say(writer, forked_child == 0 ? "child\n" : "parent\n");
    return 0;
}

static void finalize_in_both(int fd, const char *expected)
{
    rt_finalize_options options = options_none();
    rt_report *report = NULL;
    options.notice_us = 1000; /* the watch has things to say, in both */
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").left_to_parent > 0, forked_child == 0);
    if (forked_child == 0) {
        end_child();
    }
    expect_good_end(forked_child);
    CHECK_LINES(fd, expected);
}

static void an_at_exit_callback_forks_and_both_finalize(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, 0);
    say(writer, "before\n");
    CHECK_EQ(rt_atexit(NULL, "later", count_call, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "fork", fork_in_callback, writer, NULL), RT_OK);
    finalize_in_both(fd, "before\ncallback\nchild\nparent\n");
    CHECK_EQ(calls_made, 1);
}

static void a_late_handler_forks_and_both_finalize(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, 0);
    say(writer, "before\n");
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "fork", fork_in_callback, writer,
                                  NULL),
             RT_OK);
    finalize_in_both(fd, "before\ncallback\nchild\nparent\n");
}

static void an_exit_function_forks_and_both_finalize(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, 0);
    say(writer, "before\n");
    CHECK_EQ(rt_exit_function(NULL, "fork", fork_in_callback, writer, NULL), RT_OK);
    finalize_in_both(fd, "before\ncallback\nchild\nparent\n");
}

static void a_child_of_a_finalized_process_finds_it_finalized(void)
{
    pid_t child;
    CHECK_EQ(rt_finalize_ex(), 0);
    child = fork_bounded();
    if (child == 0) {
        CHECK_EQ(rt_is_finalizing(), 1);
        CHECK_EQ(rt_finalize_ex(), 0);
        CHECK_EQ(rt_initialize(NULL), RT_OK);
        CHECK_EQ(rt_finalize_ex(), 0);
        end_child();
    }
    expect_good_end(child);
}

/* --- what threads of the parent had --- */

static int deleted;

static int delete_state(void *arg)
{
    (void)arg;
    deleted++;
    return 0;
}

static void *attach_and_stay(void *arg)
{
    stage *s = (stage *)arg;
    rt_thread *me = NULL;
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "stayer";
    options.delete_state = delete_state;
    CHECK_EQ(rt_thread_attach(NULL, &options, &me), RT_OK);
    CHECK_EQ(rt_thread_enter(me), RT_OK);
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire(view, "stayer's", &guard), RT_OK);
    hold_up(s);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    CHECK_EQ(rt_thread_detach(me), RT_OK);
    return NULL;
}

static void *fork_natively(void *arg)
{
    rt_writer *writer = (rt_writer *)arg;
    pid_t child = fork_bounded();
    if (child == 0) {
        rt_report *report = NULL;
        say(writer, "child\n");
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
        CHECK_EQ(deleted, 1);
        CHECK_EQ(summary_of(report).runaways, 0);
        CHECK_EQ(summary_of(report).leaks, 0);
        end_child();
    }
    expect_good_end(child);
    return NULL;
}

/* Threads inside, a guard and a host state of theirs: a child waits for none, and deletes the state. */
static void a_native_thread_forks_from_among_attached_ones(void)
{
    stage s = {sink_open(), NULL, EVENT_INIT, EVENT_INIT};
    pthread_t stayer;
    s.writer = writer_open(NULL, s.fd, "log", 0, 0);
    say(s.writer, "before\n");
    stayer = thread_start(attach_and_stay, &s);
    event_wait(&s.arrived);
    pthread_join(thread_start(fork_natively, s.writer), NULL);
    CHECK_EQ(deleted, 0);
    event_set(&s.go);
    pthread_join(stayer, NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(deleted, 1);
    CHECK_LINES(s.fd, "before\nchild\n");
}

static void a_guard_of_the_forking_thread_is_open_in_both(void)
{
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    pid_t child;
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire(view, "forker's", &guard), RT_OK);
    child = fork_bounded();
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    REFUSED(rt_guard_release(guard), RT_ERR_HANDLE);
    CHECK_EQ(rt_finalize_ex(), 0);
    if (child == 0) {
        end_child();
    }
    expect_good_end(child);
}

static void an_operation_of_the_parents_is_not_waited_for_in_the_child(void)
{
    tube t = tube_open();
    rt_overlapped *op = NULL;
    size_t count = 0;
    pid_t child;
    CHECK_EQ(rt_overlapped_aio_read(NULL, t.out, 1, 0, "read", &op), RT_OK);
    child = fork_bounded();
    if (child == 0) {
        rt_report *report = NULL;
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
        CHECK_EQ(summary_of(report).leaks, 1);
        CHECK(report_says(report, "it was begun by the process"));
        CHECK_EQ(rt_overlapped_dealloc(op), RT_LEAKED);
        end_child();
    }
    expect_good_end(child);
    /* Nobody has cancelled it. */
    tube_put(&t);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    CHECK_EQ(rt_overlapped_result(op, &count), RT_OK);
    CHECK_EQ(count, 1);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void a_child_runtime_that_was_frozen_makes_its_parent_incomplete(void)
{
    stage s = {-1, NULL, EVENT_INIT, EVENT_INIT};
    rt_runtime_options born;
    rt_runtime *below = NULL;
    pthread_t finalizer;
    pid_t child;
    memset(&born, 0, sizeof born);
    born.struct_size = sizeof born;
    born.name = "below";
    NEED(rt_runtime_new_child(NULL, &born, &below) == RT_OK);
    CHECK_EQ(rt_phase_add_handler(below, RT_PHASE_FINALIZE, 0, "hold up", hold_up, &s, NULL),
             RT_OK);
    finalizer = thread_start(finalize_main, NULL);
    event_wait(&s.arrived);
    child = fork_bounded();
    if (child == 0) {
        rt_report *report = NULL;
        CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
        CHECK_EQ(rt_runtime_state(below), RT_STATE_FINALIZED);
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
        CHECK_EQ(summary_of(report).children, 1);
        CHECK_EQ(summary_of(report).children_incomplete, 1);
        end_child();
    }
    expect_good_end(child);
    event_set(&s.go);
    pthread_join(finalizer, NULL);
}

int main(void)
{
    RUN(a_runtime_whose_finalizer_had_only_begun_runs_in_the_child);
    RUN(a_runtime_that_was_frozen_is_finalized_in_the_child);
    RUN(an_at_exit_callback_forks_and_both_finalize);
    RUN(a_late_handler_forks_and_both_finalize);
    RUN(an_exit_function_forks_and_both_finalize);
    RUN(a_child_of_a_finalized_process_finds_it_finalized);
    RUN(a_native_thread_forks_from_among_attached_ones);
    RUN(a_guard_of_the_forking_thread_is_open_in_both);
    RUN(an_operation_of_the_parents_is_not_waited_for_in_the_child);
    RUN(a_child_runtime_that_was_frozen_makes_its_parent_incomplete);
    return check_done();
}

/*
 * The child of a fork made at any stage: every byte that a writer took is written once, by one of the
 * two processes, and both finalize, bounded, whatever threads were not copied.
 *
 * Records are lines, so what arrived is compared as a sorted list: which process was faster says nothing.
 */
#include "destination.h"

/* Where both processes write: a file, so that what arrived is there whoever read it when. */
static int sink_open(void)
{
    char path[] = "/tmp/rtfinalize-fork-XXXXXX";
    int fd = mkstemp(path);
    NEED(fd >= 0);
    NEED(unlink(path) == 0);
    NEED(fcntl(fd, F_SETFL, O_APPEND) == 0);
    return fd;
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What arrived, its lines sorted, is exactly `expected`, sorted too. */
#define CHECK_LINES(fd, expected) check_lines(__FILE__, __LINE__, (fd), (expected))
static void check_lines(const char *file, int line, int fd, const char *expected)
{
    bytes got = {NULL, 0, 0};
    char *lines[256], sorted[8192] = "";
    size_t count = 0, i;
    NEED(lseek(fd, 0, SEEK_SET) == 0);
    read_most(fd, &got, SIZE_MAX);
    bytes_add(&got, "", 1);
    for (char *rest = (char *)got.data, *one; (one = strsep(&rest, "\n")) != NULL;) {
        if (*one != '\0' && count < 256) {
            lines[count++] = one;
        }
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (i = 0; i < count; i++) {
        snprintf(sorted + strlen(sorted), sizeof sorted - strlen(sorted), "%s\n", lines[i]);
    }
    if (strcmp(sorted, expected) != 0) {
        fprintf(stderr, "arrived:\n%sexpected:\n%s", sorted, expected);
        check_fail(file, line, "other bytes arrived than were written");
    }
    bytes_free(&got);
}

static void say(rt_writer *writer, const char *text)
{
    CHECK_EQ(rt_writer_write(writer, text, strlen(text)), RT_OK);
}

/* The child ends with 0 if all its checks held. */
static void end_child(void)
{
    if (under_valgrind() && !check_failed_here) {
        /* Not by an exit: memcheck would count what the threads that were not copied had. */
        kill(getpid(), SIGKILL);
    }
    _exit(check_failed_here ? 1 : 0);
}

/* A fork, bounded in the child too: alarms are not inherited. */
static pid_t fork_bounded(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(CHECK_HANG_SECONDS / 2);
    }
    return child;
}

static void expect_good_end(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        NEED(errno == EINTR);
    }
    if (under_valgrind()) {
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    } else {
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
}

/* --- running --- */

static void the_parent_writes_what_was_in_the_buffer_at_the_fork(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, 0);
    rt_report *report = NULL;
    pid_t child;
    say(writer, "before\n");
    child = fork_bounded();
    if (child == 0) {
        CHECK_EQ(account_of(writer).accepted, 0);
        CHECK_EQ(account_of(writer).left_to_parent, 7);
        say(writer, "child\n");
        CHECK_EQ(rt_is_finalizing(), 0);
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
        CHECK_EQ(destination_of(report, "log").accepted, 6);
        CHECK_EQ(destination_of(report, "log").written, 6);
        CHECK_EQ(destination_of(report, "log").left_to_parent, 7);
        CHECK(report_says(report, "left to the parent:  7 bytes  of log"));
        end_child();
    }
    expect_good_end(child);
    say(writer, "parent\n");
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").accepted, 14);
    CHECK_EQ(destination_of(report, "log").left_to_parent, 0);
    CHECK_LINES(fd, "before\nchild\nparent\n");
}

static void a_child_keeps_what_its_host_asked_it_to(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, RT_WRITER_FORK_KEEP);
    pid_t child;
    say(writer, "before\n");
    child = fork_bounded();
    if (child == 0) {
        /* The daemon's way: the parent is gone by _exit, the child has all. */
        CHECK_EQ(account_of(writer).accepted, 7);
        CHECK_EQ(account_of(writer).left_to_parent, 0);
        say(writer, "daemon\n");
        CHECK_EQ(rt_finalize_ex(), 0);
        end_child();
    }
    expect_good_end(child);
    CHECK_LINES(fd, "before\ndaemon\n");
}

typedef struct many {
    rt_writer *writer;
    volatile int stop;
    volatile unsigned long written;
} many;

static void *write_many(void *arg)
{
    many *m = (many *)arg;
    char line[32];
    while (!m->stop) {
        snprintf(line, sizeof line, "%010lu\n", m->written);
        CHECK_EQ(rt_writer_write(m->writer, line, strlen(line)), RT_OK);
        m->written++;
    }
    return NULL;
}

/* Every line of the busy thread's arrives once and in order, whatever forks see of its writer. */
static void children_of_a_busy_process_never_write_its_bytes(void)
{
    enum { FORKS = 30 };
    int fd = sink_open();
    many m = {writer_open(NULL, fd, "busy", 256, 0), 0, 0};
    pthread_t thread = thread_start(write_many, &m);
    bytes got = {NULL, 0, 0};
    unsigned long parents = 0, childs = 0;
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork_bounded();
        if (child == 0) {
            say(m.writer, "0child0000\n");
            CHECK_EQ(rt_finalize_ex(), 0);
            end_child();
        }
        expect_good_end(child);
    }
    m.stop = 1;
    pthread_join(thread, NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
    NEED(lseek(fd, 0, SEEK_SET) == 0);
    read_most(fd, &got, SIZE_MAX);
    bytes_add(&got, "", 1);
    for (char *rest = (char *)got.data, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (strcmp(line, "0child0000") == 0) {
            childs++;
        } else if (*line != '\0') {
            CHECK_EQ(strtoul(line, NULL, 10), parents);
            parents++;
        }
    }
    CHECK_EQ(childs, FORKS);
    CHECK_EQ(parents, m.written);
    bytes_free(&got);
}

static void children_of_a_busy_process_keep_whole_records(void)
{
    int fd = sink_open(), childs_fd;
    many m = {writer_open(NULL, fd, "busy", 1 << 20, RT_WRITER_FORK_KEEP), 0, 0};
    pthread_t thread = thread_start(write_many, &m);
    for (int i = 0; i < 10; i++) {
        pid_t child = fork_bounded();
        if (child == 0) {
            uint64_t kept = account_of(m.writer).accepted;
            bytes got = {NULL, 0, 0};
            unsigned long lines = 0, first = 0;
            CHECK_EQ(kept % 11, 0);
            /* Its own file in the place of the parent's. */
            childs_fd = sink_open();
            NEED(dup2(childs_fd, fd) == fd);
            CHECK_EQ(rt_finalize_ex(), 0);
            NEED(lseek(fd, 0, SEEK_SET) == 0);
            read_most(fd, &got, SIZE_MAX);
            CHECK_EQ(got.len, kept);
            bytes_add(&got, "", 1);
            for (char *rest = (char *)got.data, *line; (line = strsep(&rest, "\n")) != NULL;) {
                if (*line != '\0') {
                    first = lines == 0 ? strtoul(line, NULL, 10) : first;
                    CHECK_EQ(strtoul(line, NULL, 10), first + lines);
                    lines++;
                }
            }
            bytes_free(&got);
            end_child();
        }
        expect_good_end(child);
    }
    m.stop = 1;
    pthread_join(thread, NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static event locked = EVENT_INIT, unlock = EVENT_INIT;

static void *lock_and_write(void *arg)
{
    rt_writer *writer = (rt_writer *)arg;
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    say(writer, "locked\n");
    event_set(&locked);
    event_wait(&unlock);
    CHECK_EQ(rt_writer_unlock(writer), RT_OK);
    return NULL;
}

static void a_lock_that_a_thread_of_the_parent_kept_is_free_in_the_child(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, 0);
    pthread_t thread = thread_start(lock_and_write, writer);
    pid_t child;
    event_wait(&locked);
    child = fork_bounded();
    if (child == 0) {
        say(writer, "child\n");
        CHECK_EQ(account_of(writer).left_to_parent, 7);
        CHECK_EQ(account_of(writer).recovered, 0);
        CHECK_EQ(rt_finalize_ex(), 0);
        end_child();
    }
    expect_good_end(child);
    event_set(&unlock);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_LINES(fd, "child\nlocked\n");
}

static void a_group_goes_on_in_both_processes(void)
{
    int fd = sink_open();
    rt_writer *writer = writer_open(NULL, fd, "log", 0, 0);
    pid_t child;
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    say(writer, "1 before\n");
    child = fork_bounded();
    say(writer, child == 0 ? "2 child\n" : "2 parent\n");
    CHECK_EQ(rt_writer_unlock(writer), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    if (child == 0) {
        end_child();
    }
    expect_good_end(child);
    CHECK_LINES(fd, "1 before\n2 child\n2 parent\n");
}

/* --- inside a writer's callbacks --- */

typedef struct forking_sink {
    int fd;
    int forks;
    pid_t child;
    rt_writer *writer;
} forking_sink;

static int64_t write_and_fork(void *arg, const void *data, size_t len)
{
    forking_sink *sink = (forking_sink *)arg;
    if (sink->forks-- == 1) {
        sink->child = fork_bounded();
    }
    /* What a child says was taken is not asked for; it must not write what is the parent's. */
    return sink->child == 0 ? (int64_t)len : (int64_t)write(sink->fd, data, len);
}

static void an_offer_is_the_parents_when_its_callback_forks(void)
{
    forking_sink sink = {sink_open(), 1, -1, NULL};
    rt_writer_callbacks calls;
    rt_writer_options options = writer_options("log", 0, 0);
    rt_status status;
    memset(&calls, 0, sizeof calls);
    calls.struct_size = sizeof calls;
    calls.write = write_and_fork;
    calls.arg = &sink;
    CHECK_EQ(rt_writer_open_callbacks(NULL, &calls, &options, &sink.writer), RT_OK);
    say(sink.writer, "before\n");
    status = rt_writer_flush(sink.writer, -1);
    if (sink.child == 0) {
        CHECK_EQ(status, RT_ERR_STATE);
        CHECK_EQ(account_of(sink.writer).accepted, 0);
        CHECK_EQ(account_of(sink.writer).left_to_parent, 7);
        sink.child = -1; /* from here on the child's bytes are its own */
        say(sink.writer, "child\n");
        CHECK_EQ(rt_finalize_ex(), 0);
        end_child();
    }
    CHECK_EQ(status, RT_OK);
    expect_good_end(sink.child);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_LINES(sink.fd, "before\nchild\n");
}

static void a_record_is_the_parents_when_its_own_write_forks(void)
{
    forking_sink sink = {sink_open(), 1, -1, NULL};
    rt_writer_callbacks calls;
    rt_writer_options options = writer_options("log", 8, 0);
    rt_status status;
    memset(&calls, 0, sizeof calls);
    calls.struct_size = sizeof calls;
    calls.write = write_and_fork;
    calls.arg = &sink;
    CHECK_EQ(rt_writer_open_callbacks(NULL, &calls, &options, &sink.writer), RT_OK);
    status = rt_writer_write(sink.writer, "larger than the buffer\n", 23);
    if (sink.child == 0) {
        CHECK_EQ(status, RT_ERR_STATE);
        sink.child = -1;
        say(sink.writer, "child\n");
        CHECK_EQ(rt_finalize_ex(), 0);
        end_child();
    }
    CHECK_EQ(status, RT_OK);
    expect_good_end(sink.child);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_LINES(sink.fd, "child\nlarger than the buffer\n");
}

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
    RUN(the_parent_writes_what_was_in_the_buffer_at_the_fork);
    RUN(a_child_keeps_what_its_host_asked_it_to);
    RUN(children_of_a_busy_process_never_write_its_bytes);
    RUN(children_of_a_busy_process_keep_whole_records);
    RUN(a_lock_that_a_thread_of_the_parent_kept_is_free_in_the_child);
    RUN(a_group_goes_on_in_both_processes);
    RUN(an_offer_is_the_parents_when_its_callback_forks);
    RUN(a_record_is_the_parents_when_its_own_write_forks);
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

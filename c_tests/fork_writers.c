/*
 * Writers in the child of a fork: every byte that a writer took is written once, by one of the two
 * processes, whatever threads were not copied.
 */
#include "forked.h"

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

static void open_forking(forking_sink *sink, size_t capacity)
{
    rt_writer_callbacks calls;
    rt_writer_options options = writer_options("log", capacity, 0);
    memset(&calls, 0, sizeof calls);
    calls.struct_size = sizeof calls;
    calls.write = write_and_fork;
    calls.arg = sink;
    CHECK_EQ(rt_writer_open_callbacks(NULL, &calls, &options, &sink->writer), RT_OK);
}

static void an_offer_is_the_parents_when_its_callback_forks(void)
{
    forking_sink sink = {sink_open(), 1, -1, NULL};
    rt_status status;
    open_forking(&sink, 0);
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
    rt_status status;
    open_forking(&sink, 8);
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
    return check_done();
}

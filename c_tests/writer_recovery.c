/*
 * What becomes of a writer whose lock is held by somebody who never comes back, or only too late:
 * parked, ended, or blocked in a system call. Each byte is written once, or counted.
 */
#include "destination.h"

enum { CAPACITY = 1000, AMPLE = 30000000 };

/* A thread that locks the writer, writes records, and does not come back. */
typedef struct holder {
    rt_writer *writer;
    rt_thread *thread;
    event holds, go;
    int exits;
} holder;

#define HOLDER(w, how) {(w), NULL, EVENT_INIT, EVENT_INIT, (how)}

static void *hold(void *arg)
{
    holder *h = (holder *)arg;
    int i;
    h->thread = attach(NULL, "holder", 1, RT_POLICY_HANG);
    CHECK_EQ(rt_thread_enter(h->thread), RT_OK);
    CHECK_EQ(rt_writer_lock(h->writer), RT_OK);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_writer_write(h->writer, stream(100 * (size_t)i, 100), 100), RT_OK);
    }
    event_set(&h->holds);
    if (h->exits) {
        pthread_exit(NULL);
    }
    CHECK_EQ(rt_thread_leave(h->thread), RT_OK);
    event_wait(&h->go);
    rt_thread_enter(h->thread); /* parks it */
    CHECK(!"a parked thread goes on");
    return NULL;
}

static int let_go(void *arg)
{
    event_set(&((holder *)arg)->go);
    return 0;
}

static void bytes_under_the_lock_of_a_parked_thread_are_written_once(void)
{
    int ends[2];
    rt_report *report = NULL;
    rt_report_destination log;
    bytes got = {0};
    rt_finalize_options options = options_with_grace(AMPLE);
    holder h = HOLDER(NULL, 0);
    pipe_open(ends);
    h.writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    thread_start(hold, &h);
    event_wait(&h.holds);
    /* It comes back when the runtime is frozen. */
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, 1, "let go", let_go, &h, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    log = destination_of(report, "log");
    CHECK_EQ(log.accepted, 300);
    CHECK_EQ(log.written, 300);
    CHECK_EQ(log.recovered, 300);
    CHECK_EQ(summary_of(report).recovered, 300);
    CHECK_EQ(summary_of(report).leaks, 0);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 300);
    CHECK_EQ(rt_writer_close(h.writer, 0), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

static void an_owner_that_ended_gives_its_lock_and_bytes_to_the_next(void)
{
    int ends[2];
    rt_report *report = NULL;
    rt_report_destination log;
    bytes got = {0};
    holder h = HOLDER(NULL, 1);
    pipe_open(ends);
    h.writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    pthread_join(thread_start(hold, &h), NULL);
    /* While the runtime runs, the next writer takes over at once, behind those bytes. */
    CHECK_EQ(rt_writer_write(h.writer, stream(300, 50), 50), RT_OK);
    CHECK_EQ(account_of(h.writer).recovered, 300);
    CHECK_EQ(rt_writer_unlock(h.writer), RT_ERR_NOT_OWNER);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    log = destination_of(report, "log");
    CHECK_EQ(log.written, 350);
    CHECK_EQ(summary_of(report).undetached, 1);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 350);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

static void an_owner_that_ended_is_recovered_by_finalization(void)
{
    int ends[2];
    rt_report *report = NULL;
    bytes got = {0};
    holder h = HOLDER(NULL, 1);
    pipe_open(ends);
    h.writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    pthread_join(thread_start(hold, &h), NULL);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").recovered, 300);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 300);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

/*
 * A destination that leaves the runtime for its write, as an interpreter does that lets go of its
 * global lock: it takes a part, publishes it, and is parked on its way back.
 */
typedef struct leaver {
    rt_writer *writer;
    rt_thread *thread;
    size_t from, len;
    int fd, calls;
    event took, go;
} leaver;

static int64_t leave_and_write(void *arg, const void *data, size_t len)
{
    leaver *l = (leaver *)arg;
    int own = l->thread != NULL && l->calls++ == 0;
    size_t part = own ? len / 3 : len;
    ssize_t wrote;
    if (own) {
        CHECK_EQ(rt_thread_leave(l->thread), RT_OK);
    }
    wrote = write(l->fd, data, part);
    CHECK_EQ(wrote, part);
    if (own) {
        CHECK_EQ(rt_writer_publish_progress(l->writer, (size_t)wrote), RT_OK);
        event_set(&l->took);
        event_wait(&l->go);
        rt_thread_enter(l->thread); /* parks it */
        CHECK(!"a parked thread goes on");
    }
    return wrote;
}

static void *write_leaving(void *arg)
{
    leaver *l = (leaver *)arg;
    l->thread = attach(NULL, "leaver", 1, RT_POLICY_HANG);
    CHECK_EQ(rt_thread_enter(l->thread), RT_OK);
    rt_writer_write(l->writer, stream(l->from, l->len), l->len);
    rt_writer_flush(l->writer, -1);
    return NULL;
}

static int let_leaver_go(void *arg)
{
    event_set(&((leaver *)arg)->go);
    return 0;
}

static rt_writer *open_over(int64_t (*write)(void *, const void *, size_t), void *arg)
{
    rt_writer *writer = NULL;
    rt_writer_callbacks callbacks;
    rt_writer_options options = writer_options("log", CAPACITY, 0);
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.write = write;
    callbacks.arg = arg;
    CHECK_EQ(rt_writer_open_callbacks(NULL, &callbacks, &options, &writer), RT_OK);
    return writer;
}

/* `len` up to CAPACITY goes through the buffer, more is offered as it is. */
static void park_in_the_middle_of_a_write(size_t len, size_t written, size_t recovered)
{
    int ends[2];
    rt_report *report = NULL;
    rt_report_destination log;
    bytes got = {0};
    rt_finalize_options options = options_with_grace(AMPLE);
    leaver fresh = {NULL, NULL, 0, 0, 0, 0, EVENT_INIT, EVENT_INIT}, l = fresh;
    NEED(pipe(ends) == 0);
    l.fd = ends[1];
    l.len = len;
    l.writer = open_over(leave_and_write, &l);
    thread_start(write_leaving, &l);
    event_wait(&l.took);
    CHECK_EQ(account_of(l.writer).in_flight, len);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, 1, "let go", let_leaver_go, &l, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    log = destination_of(report, "log");
    CHECK_EQ(log.accepted, written);
    CHECK_EQ(log.written, written);
    CHECK_EQ(log.recovered, recovered);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, written);
    CHECK_EQ(summary_of(report).leaks, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

static void a_flush_parked_in_its_callback_is_finished_from_where_it_was(void)
{
    park_in_the_middle_of_a_write(900, 900, 600);
}

static void a_large_record_parked_in_its_callback_counts_what_was_taken(void)
{
    park_in_the_middle_of_a_write(30000, 10000, 0);
}

/* A destination that blocks in a write with the lock held, and cannot be asked beforehand. */
static int64_t write_all_blocking(void *arg, const void *data, size_t len)
{
    leaver *l = (leaver *)arg;
    ssize_t wrote;
    if (l->thread != NULL) {
        CHECK_EQ(rt_thread_leave(l->thread), RT_OK);
    }
    l->from = len;
    event_set(&l->took);
    wrote = write(l->fd, data, len); /* blocks: the pipe is smaller */
    event_set(&l->go);
    return wrote < 0 ? -errno : wrote;
}

static void *write_blocking(void *arg)
{
    leaver *l = (leaver *)arg;
    const unsigned char *data = stream(0, l->len);
    l->calls = my_tid();
    rt_writer_write(l->writer, data, l->len);
    rt_writer_flush(l->writer, -1);
    return NULL;
}

static void block_in_a_write(size_t len)
{
    int ends[2];
    rt_report *report = NULL;
    rt_report_destination log;
    rt_report_leak leak;
    rt_finalize_options options = options_with_grace(100000);
    bytes got = {0};
    pthread_t thread;
    int64_t began;
    leaver fresh = {NULL, NULL, 0, 0, 0, 0, EVENT_INIT, EVENT_INIT}, l = fresh;
    pipe_open(ends);
    l.fd = ends[1];
    l.len = len;
    l.writer = open_over(write_all_blocking, &l);
    NEED(write(ends[1], stream(0, PIPE_SIZE), PIPE_SIZE) == PIPE_SIZE); /* full from the start */
    thread = thread_start(write_blocking, &l);
    event_wait(&l.took);
    wait_until_asleep(l.calls);
    CHECK_EQ(rt_writer_write_timed(l.writer, "x", 1, 0), RT_ERR_TIMEOUT);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < 10000000);
    log = destination_of(report, "log");
    CHECK_EQ(log.accepted, len);
    CHECK_EQ(log.written, 0);
    CHECK_EQ(log.in_flight, len);
    CHECK_EQ(log.unwritten, 0);
    CHECK(strlen(log.reason) > 0);
    CHECK_EQ(summary_of(report).leaks, 1);
    memset(&leak, 0, sizeof leak);
    leak.struct_size = sizeof leak;
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_OK);
    CHECK_EQ(leak.kind, RT_LEAK_WRITER);
    CHECK(strcmp(leak.name, "log") == 0);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK_EQ(rt_writer_close(l.writer, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_abandon(l.writer, NULL), RT_ERR_OWNER_BLOCKED);
    /* The call returns at last: what it wrote is all that is ever written. */
    read_most(ends[0], &got, PIPE_SIZE);
    bytes_free(&got);
    read_most(ends[0], &got, len);
    pthread_join(thread, NULL);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, len);
    CHECK_EQ(account_of(l.writer).written, len);
    CHECK_EQ(account_of(l.writer).in_flight, 0);
    CHECK_EQ(rt_writer_close(l.writer, 0), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

/* The same for a part: a file that may block, and a short write when it goes on. */
static int64_t write_a_part_blocking(void *arg, const void *data, size_t len)
{
    leaver *l = (leaver *)arg;
    ssize_t wrote;
    l->calls++;
    event_set(&l->took);
    event_wait(&l->go);
    wrote = write(l->fd, data, len / 2);
    return wrote;
}

static void *write_part(void *arg)
{
    leaver *l = (leaver *)arg;
    CHECK_EQ(rt_writer_write(l->writer, stream(0, l->len), l->len),
             l->len > CAPACITY ? RT_ERR_FINALIZING : RT_OK);
    /* Of a large record nothing more is accepted, so nothing is left to flush. */
    CHECK_EQ(rt_writer_flush(l->writer, -1), l->len > CAPACITY ? RT_OK : RT_ERR_FINALIZING);
    return NULL;
}

static void return_late_with_a_part(size_t len)
{
    int ends[2];
    rt_report *report = NULL;
    rt_finalize_options options = options_with_grace(50000);
    bytes got = {0};
    pthread_t thread;
    leaver fresh = {NULL, NULL, 0, 0, 0, 0, EVENT_INIT, EVENT_INIT}, l = fresh;
    NEED(pipe(ends) == 0);
    l.fd = ends[1];
    l.len = len;
    l.writer = open_over(write_a_part_blocking, &l);
    thread = thread_start(write_part, &l);
    event_wait(&l.took);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(destination_of(report, "log").in_flight, len);
    event_set(&l.go);
    pthread_join(thread, NULL);
    CHECK_EQ(l.calls, 1); /* nothing is offered after the end */
    read_now(ends[0], &got);
    CHECK_STREAM(&got, len / 2);
    CHECK_EQ(account_of(l.writer).written, len / 2);
    CHECK_EQ(rt_writer_close(l.writer, 0), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

static void an_owner_blocked_in_a_write_from_the_buffer_is_in_flight_and_leaked(void)
{
    block_in_a_write(CAPACITY - 1);
}

static void an_owner_blocked_in_the_write_of_a_large_record_is_in_flight_and_leaked(void)
{
    block_in_a_write(3 * PIPE_SIZE);
}

static void after_the_end_a_late_write_is_not_continued(void)
{
    return_late_with_a_part(CAPACITY);
}

static void after_the_end_a_late_large_write_is_not_continued(void)
{
    return_late_with_a_part(3 * CAPACITY);
}

int main(void)
{
    RUN(bytes_under_the_lock_of_a_parked_thread_are_written_once);
    RUN(an_owner_that_ended_gives_its_lock_and_bytes_to_the_next);
    RUN(an_owner_that_ended_is_recovered_by_finalization);
    RUN(a_flush_parked_in_its_callback_is_finished_from_where_it_was);
    RUN(a_large_record_parked_in_its_callback_counts_what_was_taken);
    RUN(an_owner_blocked_in_a_write_from_the_buffer_is_in_flight_and_leaked);
    RUN(an_owner_blocked_in_the_write_of_a_large_record_is_in_flight_and_leaked);
    RUN(after_the_end_a_late_write_is_not_continued);
    RUN(after_the_end_a_late_large_write_is_not_continued);
    return check_done();
}

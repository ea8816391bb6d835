/*
 * A slow destination is not a dead one: what a reader takes late arrives whole, however long it pauses, and a
 * notice on stderr names it meanwhile. The deadline and a phase's budget bound that; the grace, which is for
 * locks and threads, does not.
 */
#include "destination.h"

enum { CAPACITY = 1000, PAUSE_US = 1500000 }; /* longer than the default grace */

/* Reads everything, after a pause. */
typedef struct late_reader {
    pthread_t thread;
    int fd;
    bytes got;
} late_reader;

static void *read_late(void *arg)
{
    late_reader *r = (late_reader *)arg;
    usleep(PAUSE_US);
    read_most(r->fd, &r->got, SIZE_MAX);
    return NULL;
}

static void late_reader_start(late_reader *r, int fd)
{
    memset(r, 0, sizeof *r);
    r->fd = fd;
    r->thread = thread_start(read_late, r);
}

static bytes *late_reader_join(late_reader *r)
{
    NEED(pthread_join(r->thread, NULL) == 0);
    return &r->got;
}

/* A writer over a pipe without room, with `left` bytes in its buffer. */
static rt_writer *full_writer(int ends[2], const char *name, size_t left)
{
    rt_writer *writer;
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], name, CAPACITY, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, PIPE_SIZE), PIPE_SIZE), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(PIPE_SIZE, left), left), RT_OK);
    return writer;
}

static void finalize_for_a_reader_that_pauses(void)
{
    int ends[2];
    late_reader r;
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    full_writer(ends, "log", 900);
    late_reader_start(&r, ends[0]);
    options.grace_us = 10000; /* for locks and threads */
    options.notice_us = 100000;
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    CHECK(report_says(report, "room at the destination of writer 'log'"));
    CHECK_EQ(summary_of(report).unwritten, 0);
    close(ends[1]);
    CHECK_STREAM(late_reader_join(&r), PIPE_SIZE + 900);
    bytes_free(&r.got);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_reader_that_pauses_gets_every_byte_and_is_named_meanwhile(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(finalize_for_a_reader_that_pauses, said, sizeof said), 97);
    CHECK(strstr(said, "for room at the destination of writer 'log' for 900 bytes") != NULL);
}

static void with_a_deadline_the_same_ends_in_time_and_the_rest_is_counted(void)
{
    int ends[2];
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(500000);
    int64_t began = now_us();
    bytes got = {0};
    full_writer(ends, "log", 900);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < 10000000);
    CHECK_EQ(destination_of(report, "log").unwritten, 900);
    CHECK(report_says(report, "room at the destination of writer 'log'"));
    CHECK(report_says(report, "still full"));
    read_now(ends[0], &got);
    CHECK_STREAM(&got, PIPE_SIZE);
    bytes_free(&got);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_budget_of_the_host_bounds_the_wait_for_room(void)
{
    int ends[2];
    rt_report *report = NULL;
    int64_t began = now_us();
    full_writer(ends, "log", 900);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_FROZEN, 100000), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_LATE, 100000), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < 10000000);
    CHECK_EQ(destination_of(report, "log").unwritten, 900);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* A thread that keeps a writer's lock. */
typedef struct keeper {
    rt_writer *writer;
    event holds, may_end;
} keeper;

static void *keep_the_lock(void *arg)
{
    keeper *k = (keeper *)arg;
    CHECK_EQ(rt_writer_lock(k->writer), RT_OK);
    CHECK_EQ(rt_writer_write(k->writer, "12345", 5), RT_OK);
    event_set(&k->holds);
    event_wait(&k->may_end);
    CHECK_EQ(rt_writer_unlock(k->writer), RT_OK);
    return NULL;
}

static void a_lock_costs_the_grace_beside_a_reader_that_pauses(void)
{
    int ends[2], kept_ends[2], fine_ends[2];
    late_reader r;
    keeper k = {NULL, EVENT_INIT, EVENT_INIT};
    pthread_t thread;
    rt_report *report = NULL;
    rt_finalize_options options = options_with_grace(50000);
    bytes got = {0};
    full_writer(ends, "slow", 900);
    pipe_open(kept_ends);
    k.writer = writer_open(NULL, kept_ends[1], "kept", CAPACITY, 0);
    thread = thread_start(keep_the_lock, &k);
    event_wait(&k.holds);
    pipe_open(fine_ends);
    CHECK_EQ(rt_writer_write(writer_open(NULL, fine_ends[1], "fine", CAPACITY, 0), stream(0, 700), 700),
             RT_OK);
    late_reader_start(&r, ends[0]);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(destination_of(report, "slow").unwritten, 0);
    CHECK_EQ(destination_of(report, "kept").unwritten, 5);
    CHECK(report_says(report, "lock of writer 'kept', held by"));
    read_now(fine_ends[0], &got);
    CHECK_STREAM(&got, 700);
    close(ends[1]);
    CHECK_STREAM(late_reader_join(&r), PIPE_SIZE + 900);
    event_set(&k.may_end);
    NEED(pthread_join(thread, NULL) == 0);
    bytes_free(&r.got);
    bytes_free(&got);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void *end_the_keeper_late(void *arg)
{
    usleep(PAUSE_US);
    event_set(&((keeper *)arg)->may_end);
    return NULL;
}

static void a_grace_that_the_host_sets_is_given_whole(void)
{
    int ends[2];
    keeper k = {NULL, EVENT_INIT, EVENT_INIT};
    pthread_t thread, ender;
    rt_report *report = NULL;
    rt_finalize_options options = options_with_grace(30 * 1000000);
    pipe_open(ends);
    k.writer = writer_open(NULL, ends[1], "kept", CAPACITY, 0);
    thread = thread_start(keep_the_lock, &k);
    event_wait(&k.holds);
    ender = thread_start(end_the_keeper_late, &k);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    CHECK_EQ(destination_of(report, "kept").written, 5);
    CHECK(report_says(report, "lock of writer 'kept'"));
    NEED(pthread_join(thread, NULL) == 0 && pthread_join(ender, NULL) == 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int write_a_lot(void *arg)
{
    size_t at;
    for (at = 0; at < 3 * PIPE_SIZE; at += 500) {
        CHECK_EQ(rt_writer_write((rt_writer *)arg, stream(at, 500), 500), RT_OK);
    }
    return 0;
}

static void a_handler_after_the_freeze_waits_for_a_reader_that_pauses(void)
{
    int ends[2];
    late_reader r;
    rt_report *report = NULL;
    rt_writer *writer;
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "write a lot", write_a_lot, writer, NULL),
             RT_OK);
    late_reader_start(&r, ends[0]);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(report_says(report, "callback 'write a lot', waiting for room"));
    close(ends[1]);
    CHECK_STREAM(late_reader_join(&r), account_of(writer).accepted);
    bytes_free(&r.got);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* A child without a deadline whose reader pauses keeps nothing of its parent's back. */
static event parents_bytes_came;

static void *read_the_parent_then_the_child(void *arg)
{
    int *ends = (int *)arg;
    bytes got = {0};
    read_most(ends[1], &got, 700);
    CHECK_STREAM(&got, 700);
    event_set(&parents_bytes_came);
    bytes_free(&got);
    read_most(ends[0], &got, PIPE_SIZE + 900);
    CHECK_STREAM(&got, PIPE_SIZE + 900);
    bytes_free(&got);
    return NULL;
}

static void a_child_s_slow_reader_keeps_no_byte_of_the_parent_back(void)
{
    static const event fresh = EVENT_INIT;
    int ends[2], parent_ends[2], both[2];
    pthread_t thread;
    rt_runtime *child = NULL;
    rt_writer *writer;
    parents_bytes_came = fresh;
    NEED(rt_runtime_new_child(NULL, NULL, &child) == RT_OK);
    pipe_open(ends);
    writer = writer_open(child, ends[1], "child's", CAPACITY, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, PIPE_SIZE), PIPE_SIZE), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(PIPE_SIZE, 900), 900), RT_OK);
    pipe_open(parent_ends);
    CHECK_EQ(rt_writer_write(writer_open(NULL, parent_ends[1], "parent's", CAPACITY, 0), stream(0, 700),
                             700),
             RT_OK);
    both[0] = ends[0];
    both[1] = parent_ends[0];
    thread = thread_start(read_the_parent_then_the_child, both);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK(event_is_set(&parents_bytes_came));
}

static int64_t never_room(void *arg, const void *data, size_t len)
{
    (void)arg;
    (void)data;
    (void)len;
    return -EAGAIN;
}

static int fail_to_wait(void *arg, int64_t timeout_us)
{
    (void)arg;
    (void)timeout_us;
    return -1;
}

static void a_destination_whose_wait_fails_is_not_waited_for(void)
{
    rt_writer_callbacks callbacks;
    rt_writer_options options = writer_options("broken", CAPACITY, 0);
    rt_writer *writer = NULL;
    rt_report *report = NULL;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.write = never_room;
    callbacks.wait = fail_to_wait;
    CHECK_EQ(rt_writer_open_callbacks(NULL, &callbacks, &options, &writer), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "12345", 5), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(destination_of(report, "broken").unwritten, 5);
    CHECK(report_says(report, "wait callback failed"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(a_reader_that_pauses_gets_every_byte_and_is_named_meanwhile);
    RUN(with_a_deadline_the_same_ends_in_time_and_the_rest_is_counted);
    RUN(a_budget_of_the_host_bounds_the_wait_for_room);
    RUN(a_lock_costs_the_grace_beside_a_reader_that_pauses);
    RUN(a_grace_that_the_host_sets_is_given_whole);
    RUN(a_handler_after_the_freeze_waits_for_a_reader_that_pauses);
    RUN(a_child_s_slow_reader_keeps_no_byte_of_the_parent_back);
    RUN(a_destination_whose_wait_fails_is_not_waited_for);
    return check_done();
}

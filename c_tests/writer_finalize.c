/*
 * The buffered writer and finalization: what was accepted is flushed, or counted to the byte; stuck
 * destinations are waited for all together; who comes too late is refused.
 */
#include "destination.h"

enum { CAPACITY = 1000, AMPLE = 30000000 };

static void buffered_bytes_are_flushed(void)
{
    int ends[2];
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 900), 900), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 900);
    log = destination_of(report, "log");
    CHECK_EQ(log.accepted, 900);
    CHECK_EQ(log.flushed, 900);
    CHECK_EQ(log.recovered, 0);
    CHECK_EQ(rt_writer_write(writer, "x", 1), RT_ERR_FINALIZING);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

/* A daemon thread that writes more than there is room for. */
typedef struct daemon_writer {
    rt_runtime *runtime;
    rt_writer *writer;
    rt_status status;
    pid_t tid;
    event begun;
} daemon_writer;

static void *write_too_much(void *arg)
{
    daemon_writer *d = (daemon_writer *)arg;
    rt_thread *thread = attach(d->runtime, "logger", 1, RT_POLICY_HANG);
    size_t at;
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    d->tid = my_tid();
    event_set(&d->begun);
    for (at = 0; d->status == RT_OK; at += 100) {
        d->status = rt_writer_write(d->writer, stream(at, 100), 100);
    }
    rt_thread_checkpoint(thread); /* parks it */
    return NULL;
}

static pthread_t block_a_daemon(daemon_writer *d, rt_runtime *runtime, rt_writer *writer)
{
    daemon_writer fresh = {NULL, NULL, RT_OK, 0, EVENT_INIT};
    pthread_t thread;
    *d = fresh;
    d->runtime = runtime;
    d->writer = writer;
    thread = thread_start(write_too_much, d);
    event_wait(&d->begun);
    while (account_of(writer).accepted <= PIPE_SIZE + CAPACITY - 100) {
        sched_yield();
    }
    wait_until_asleep(d->tid);
    return thread;
}

static void a_full_pipe_nobody_reads_costs_the_deadline_and_is_counted_to_the_byte(void)
{
    int ends[2];
    daemon_writer d;
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
    rt_finalize_options options = options_with_deadline(200000);
    rt_writer_account account;
    int64_t began;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    block_a_daemon(&d, NULL, writer);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < 10000000);
    log = destination_of(report, "log");
    account = account_of(writer);
    CHECK_EQ(log.accepted, account.accepted);
    CHECK(log.written > PIPE_SIZE - CAPACITY); /* a pipe takes no part of a small write */
    CHECK_EQ(log.written, account.written);
    CHECK_EQ(log.in_flight, 0);
    CHECK(strlen(log.reason) > 0);
    CHECK_EQ(summary_of(report).unwritten, log.unwritten);
    CHECK(report_says(report, "log"));
    /* Room comes too late: nothing more is written, also not by the daemon. */
    read_most(ends[0], &got, log.written);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, log.written);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

static void a_slow_reader_gets_everything(void)
{
    int ends[2];
    daemon_writer d;
    reader r;
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    block_a_daemon(&d, NULL, writer);
    reader_start(&r, ends[0], SIZE_MAX, 2000);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    log = destination_of(report, "log");
    CHECK_EQ(log.unwritten, 0);
    CHECK_EQ(log.in_flight, 0);
    close(ends[1]);
    CHECK_STREAM(reader_join(&r), log.accepted);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&r.got);
}

static void eight_stuck_pipes_share_the_budget_of_a_flush(void)
{
    enum { STUCK = 8, BUDGET_US = 1000000 };
    int ends[STUCK][2], i;
    daemon_writer daemons[STUCK];
    rt_writer *writers[STUCK], *fine;
    rt_report *report = NULL;
    int64_t began, took;
    uint64_t unwritten = 0;
    int fine_ends[2];
    bytes got = {0};
    for (i = 0; i < STUCK; i++) {
        char name[16];
        pipe_open(ends[i]);
        snprintf(name, sizeof name, "stuck %d", i);
        writers[i] = writer_open(NULL, ends[i][1], name, CAPACITY, 0);
        block_a_daemon(&daemons[i], NULL, writers[i]);
    }
    pipe_open(fine_ends);
    fine = writer_open(NULL, fine_ends[1], "fine", CAPACITY, 0);
    CHECK_EQ(rt_writer_write(fine, stream(0, 700), 700), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_FROZEN, BUDGET_US), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_LATE, BUDGET_US), RT_OK);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    took = now_us() - began;
    CHECK(took < STUCK * BUDGET_US / 2 + 2 * BUDGET_US); /* one budget each would be far more */
    for (i = 0; i < STUCK; i++) {
        rt_writer_account account = account_of(writers[i]);
        bytes_free(&got);
        read_now(ends[i][0], &got);
        CHECK_STREAM(&got, account.written);
        CHECK(account.accepted > account.written);
        unwritten += account.accepted - account.written;
    }
    CHECK_EQ(summary_of(report).unwritten, unwritten);
    bytes_free(&got);
    read_now(fine_ends[0], &got);
    CHECK_STREAM(&got, 700);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

/* The finalizing thread writes in every stage after the freeze. */
static rt_writer *stage_writer;
static size_t stage_sent;

static int write_in_stage(void *arg)
{
    (void)arg;
    CHECK_EQ(rt_writer_write(stage_writer, stream(stage_sent, 300), 300), RT_OK);
    stage_sent += 300;
    return 0;
}

static void *write_late(void *arg)
{
    return (void *)(intptr_t)rt_writer_write((rt_writer *)arg, "late", 4);
}

static int let_another_thread_write(void *arg)
{
    void *status = NULL;
    pthread_join(thread_start(write_late, arg), &status);
    CHECK_EQ((intptr_t)status, RT_ERR_FINALIZING);
    return 0;
}

static void the_finalizing_thread_writes_to_the_end_and_others_are_refused(void)
{
    static const uint32_t phases[] = {RT_PHASE_FINALIZE, RT_PHASE_DEALLOC, RT_PHASE_OVERLAPPED,
                                      RT_PHASE_RECLAIM, RT_PHASE_EXIT_FUNCTIONS};
    int ends[2];
    size_t i;
    rt_report *report = NULL;
    bytes got = {0};
    pipe_open(ends);
    stage_writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    for (i = 0; i < sizeof phases / sizeof *phases; i++) {
        CHECK_EQ(rt_phase_add_handler(NULL, phases[i], 1, "write", write_in_stage, NULL, NULL), RT_OK);
        CHECK_EQ(rt_phase_add_handler(NULL, phases[i], 2, "late", let_another_thread_write,
                                      stage_writer, NULL), RT_OK);
    }
    CHECK_EQ(rt_atexit(NULL, "write", write_in_stage, NULL, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, "write", write_in_stage, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(stage_sent, 7 * 300);
    CHECK_EQ(destination_of(report, "log").written, stage_sent);
    CHECK_EQ(summary_of(report).late_calls, 5);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, stage_sent);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

/* The finalizing thread waits for room until the deadline, and no longer. */
static int fill_a_full_pipe(void *arg)
{
    rt_writer *writer = (rt_writer *)arg;
    rt_status status;
    do {
        status = rt_writer_write(writer, stream(0, CAPACITY), CAPACITY);
    } while (status == RT_OK);
    CHECK_EQ(status, RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_close(writer, -1), RT_ERR_TIMEOUT);
    return 0;
}

static void a_handler_that_writes_to_a_full_pipe_cannot_hang_the_finalization(void)
{
    int ends[2];
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
    rt_finalize_options options = options_with_deadline(300000);
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "fill", fill_a_full_pipe, writer, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    log = destination_of(report, "log");
    CHECK(log.unwritten > 0);
    read_now(ends[0], &got);
    CHECK_EQ(got.len, log.written);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

/* A native thread, attached to nothing, that writes until it is refused. */
typedef struct hammer {
    rt_writer *writer;
    uint64_t accepted;
    size_t size;
    rt_status last;
    event begun;
} hammer;

static void *hammer_body(void *arg)
{
    hammer *h = (hammer *)arg;
    do {
        h->last = rt_writer_write(h->writer, stream(h->accepted, h->size), h->size);
        if (h->last == RT_OK) {
            h->accepted += h->size;
        }
        if (h->accepted > 20 * CAPACITY) {
            event_set(&h->begun);
        }
    } while (h->last == RT_OK);
    return NULL;
}

static void what_a_native_thread_was_told_is_accepted_is_written_or_counted(void)
{
    int round;
    for (round = 0; round < 50; round++) {
        static const size_t sizes[] = {1, 64, CAPACITY, 3 * CAPACITY + 7};
        hammer fresh = {NULL, 0, 0, RT_OK, EVENT_INIT}, h = fresh;
        int ends[2];
        reader r;
        pthread_t thread;
        rt_runtime *runtime = runtime_new("hammered");
        rt_report *report = NULL;
        rt_report_destination log;
        /* In every other round the reader stops early: bytes are left over. */
        rt_finalize_options options =
            round % 2 ? options_with_deadline(40000) : options_with_grace(AMPLE);
        pipe_open(ends);
        reader_start(&r, ends[0], round % 2 ? 21 * CAPACITY : SIZE_MAX, 0);
        h.writer = writer_open(runtime, ends[1], "log", CAPACITY, 0);
        h.size = sizes[round / 2 % 4];
        thread = thread_start(hammer_body, &h);
        event_wait(&h.begun);
        rt_finalize(runtime, &options, &report);
        log = destination_of(report, "log");
        pthread_join(thread, NULL);
        close(ends[1]);
        reader_join(&r);
        read_most(ends[0], &r.got, SIZE_MAX);
        /* The latter while the finalizing thread writes, and the thread has waited its grace for that. */
        CHECK(h.last == RT_ERR_FINALIZING || h.last == RT_ERR_OWNER_BLOCKED);
        CHECK_STREAM(&r.got, account_of(h.writer).written);
        if (round % 2 == 0) {
            CHECK_EQ(log.unwritten, 0);
            CHECK_EQ(log.in_flight, 0);
            CHECK_EQ(summary_of(report).leaks, 0);
        }
        if (log.in_flight == 0) {
            CHECK_EQ(log.accepted, h.accepted);
            CHECK_EQ(r.got.len, log.written);
            CHECK_EQ(r.got.len + log.unwritten, h.accepted);
        } else { /* the grace was over before the system ran the thread again */
            CHECK(log.written <= r.got.len && r.got.len <= log.written + log.in_flight);
        }
        CHECK_EQ(rt_report_free(report), RT_OK);
        CHECK_EQ(rt_writer_close(h.writer, -1), RT_OK);
        CHECK_EQ(rt_runtime_free(runtime), RT_OK);
        close(ends[0]);
        bytes_free(&r.got);
    }
}

static void a_native_thread_blocked_on_a_full_pipe_is_told_that_it_is_over(void)
{
    int ends[2];
    void *status = NULL;
    pthread_t thread;
    hammer fresh = {NULL, 0, CAPACITY, RT_OK, EVENT_INIT}, h = fresh;
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(1000000);
    pipe_open(ends);
    h.writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    thread = thread_start(hammer_body, &h);
    while (account_of(h.writer).accepted < PIPE_SIZE + CAPACITY / 2) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    NEED(pthread_join(thread, &status) == 0); /* nobody ever reads the pipe */
    CHECK_EQ(h.last, RT_ERR_FINALIZING);
    CHECK_EQ(destination_of(report, "log").accepted, h.accepted);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

#ifndef _WIN32

static void a_terminal_nobody_reads_does_not_hang_the_finalization(void)
{
    int in, out = posix_openpt(O_RDWR | O_NOCTTY);
    size_t sent = 0;
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
    rt_finalize_options options = options_with_deadline(100000);
    bytes got = {0};
    NEED(out >= 0 && grantpt(out) == 0 && unlockpt(out) == 0);
    in = open(ptsname(out), O_RDWR | O_NOCTTY);
    NEED(in >= 0);
    writer = writer_open(NULL, in, "tty", CAPACITY, 0);
    while (rt_writer_write_timed(writer, stream(sent, CAPACITY), CAPACITY, 100000) == RT_OK) {
        sent += CAPACITY;
    }
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    log = destination_of(report, "tty");
    CHECK_EQ(log.accepted, sent);
    CHECK(log.unwritten > 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

#endif

int main(void)
{
    RUN(buffered_bytes_are_flushed);
    RUN(a_full_pipe_nobody_reads_costs_the_deadline_and_is_counted_to_the_byte);
    RUN(a_slow_reader_gets_everything);
    RUN(eight_stuck_pipes_share_the_budget_of_a_flush);
    RUN(the_finalizing_thread_writes_to_the_end_and_others_are_refused);
    RUN(a_handler_that_writes_to_a_full_pipe_cannot_hang_the_finalization);
    RUN(what_a_native_thread_was_told_is_accepted_is_written_or_counted);
    RUN(a_native_thread_blocked_on_a_full_pipe_is_told_that_it_is_over);
    RUN_POSIX(a_terminal_nobody_reads_does_not_hang_the_finalization, "pty");
    return check_done();
}

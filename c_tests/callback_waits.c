/*
 * A callback of a finalization waits inside the library: for a lock, for room, for an operation, for another
 * finalization. Whatever it waits for, the wait ends with the time of the finalization, and notice, report and
 * last line name what it was for and who kept it.
 */
#include "destination.h"

enum { CAPACITY = 1000, BOUND_US = 20000000 };

/* A thread outside the runtime that holds two locks until `may_end` is set. */
typedef struct keeper {
    rt_writer *writer;
    rt_buffered_lock lock;
    pthread_t thread;
    pid_t waiter;
    event holds, may_end;
} keeper;

static void *keep(void *arg)
{
    keeper *k = (keeper *)arg;
    rt_thread *thread = attach(NULL, "worker", 1, RT_POLICY_ERROR);
    CHECK_EQ(rt_writer_lock(k->writer), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&k->lock), RT_OK);
    event_set(&k->holds);
    event_wait(&k->may_end);
    CHECK_EQ(rt_buffered_lock_release(&k->lock), RT_OK);
    CHECK_EQ(rt_writer_unlock(k->writer), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void keeper_start(keeper *k)
{
    const keeper fresh = {NULL, RT_BUFFERED_LOCK_INIT, 0, 0, EVENT_INIT, EVENT_INIT};
    int ends[2];
    *k = fresh;
    pipe_open(ends);
    k->writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    k->thread = thread_start(keep, k);
    event_wait(&k->holds);
}

static void keeper_end(keeper *k)
{
    event_set(&k->may_end);
    NEED(pthread_join(k->thread, NULL) == 0);
}

static int write_to_it(void *arg)
{
    CHECK_EQ(rt_writer_write(((keeper *)arg)->writer, "goodbye\n", 8), RT_ERR_OWNER_BLOCKED);
    return 0;
}

static int try_everything(void *arg)
{
    keeper *k = (keeper *)arg;
    CHECK_EQ(rt_writer_flush(k->writer, -1), RT_ERR_OWNER_BLOCKED);
    CHECK_EQ(rt_writer_lock(k->writer), RT_ERR_OWNER_BLOCKED);
    CHECK_EQ(rt_writer_close(k->writer, -1), RT_ERR_OWNER_BLOCKED);
    CHECK_EQ(rt_writer_abandon(k->writer, NULL), RT_ERR_OWNER_BLOCKED);
    CHECK_EQ(rt_buffered_lock_acquire(&k->lock), RT_ERR_OWNER_BLOCKED);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&k->lock, 3600 * (int64_t)1000000), RT_ERR_OWNER_BLOCKED);
    return 0;
}

static void finalize_over_a_keeper(void)
{
    keeper k;
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(400000);
    int64_t began = now_us();
    options.notice_us = 50000;
    keeper_start(&k);
    CHECK_EQ(rt_atexit(NULL, "everything", try_everything, &k, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "goodbye", write_to_it, &k, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(now_us() - began < BOUND_US);
    CHECK(report_says(report, "callback 'goodbye', waiting for the lock of writer"));
    CHECK(report_says(report, "callback 'everything', waiting for a buffered lock"));
    keeper_end(&k);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_wait_for_a_lock_ends_in_time_and_notice_and_report_name_it_with_its_holder(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(finalize_over_a_keeper, said, sizeof said), 97);
    CHECK(strstr(said, "the callback 'goodbye' in the phase atexit to return, waiting for the lock of writer "
                       "'log', held by 'worker' (thread ") != NULL);
}

static void a_budget_that_the_host_sets_for_a_phase_ends_a_wait_in_it(void)
{
    keeper k;
    rt_report *report = NULL;
    keeper_start(&k);
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_ATEXIT, 100000), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "goodbye", write_to_it, &k, NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FLUSH_EARLY, -1, NULL, set_event, &k.may_end, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(report_says(report, "callback 'goodbye', waiting for the lock of writer"));
    keeper_end(&k);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* A wait that has a time of its own. */
static int try_for_a_while(void *arg)
{
    CHECK_EQ(rt_writer_write_timed(((keeper *)arg)->writer, "goodbye\n", 8, 200000), RT_ERR_TIMEOUT);
    return 0;
}

static void a_wait_that_gives_up_by_itself_is_in_the_report_and_makes_nothing_incomplete(void)
{
    keeper k;
    rt_report *report = NULL;
    keeper_start(&k);
    CHECK_EQ(rt_atexit(NULL, "a while", try_for_a_while, &k, NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FLUSH_EARLY, -1, NULL, set_event, &k.may_end, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(report_says(report, "callback 'a while', waiting for the lock of writer"));
    CHECK(report_says(report, "not waited for any"));
    keeper_end(&k);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int wait_for_the_lock(void *arg)
{
    CHECK_EQ(rt_writer_write(((keeper *)arg)->writer, "goodbye\n", 8), RT_OK);
    return 0;
}

static void *end_the_keeper_when_the_other_sleeps(void *arg)
{
    wait_until_asleep(((keeper *)arg)->waiter);
    keeper_end((keeper *)arg);
    return NULL;
}

static void without_a_deadline_the_lock_is_waited_for_as_long_as_it_takes(void)
{
    keeper k;
    pthread_t thread;
    rt_report *report = NULL;
    keeper_start(&k);
    k.waiter = my_tid();
    CHECK_EQ(rt_atexit(NULL, "goodbye", wait_for_the_lock, &k, NULL), RT_OK);
    thread = thread_start(end_the_keeper_when_the_other_sleeps, &k);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").written, 8);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void end_by_the_deadline(void)
{
    static keeper k;
    rt_finalize_options options = options_exiting(200000);
    keeper_start(&k);
    CHECK_EQ(rt_atexit(NULL, "everything", try_everything, &k, NULL), RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void by_overrun_exit_the_process_ends_too(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(end_by_the_deadline, said, sizeof said), 120);
}

static int fill(void *arg)
{
    rt_status status;
    do {
        status = rt_writer_write((rt_writer *)arg, stream(0, CAPACITY), CAPACITY);
    } while (status == RT_OK);
    CHECK_EQ(status, RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_flush((rt_writer *)arg, -1), RT_ERR_TIMEOUT);
    return 0;
}

static void a_wait_for_room_before_the_freeze_ends_in_time(void)
{
    int ends[2];
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(400000);
    pipe_open(ends);
    CHECK_EQ(rt_atexit(NULL, "fill", fill, writer_open(NULL, ends[1], "log", CAPACITY, 0), NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(destination_of(report, "log").unwritten > 0);
    CHECK(report_says(report, "callback 'fill', waiting for room at the destination"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

#ifndef _WIN32
static int wait_for_a_read(void *arg)
{
    CHECK_EQ(rt_overlapped_wait((rt_overlapped *)arg, -1), RT_ERR_TIMEOUT);
    return 0;
}

static void a_wait_for_an_operation_ends_in_time(void)
{
    int ends[2];
    rt_report *report = NULL;
    rt_overlapped *read = NULL;
    rt_finalize_options options = options_with_deadline(400000);
    pipe_open(ends);
    CHECK_EQ(rt_overlapped_aio_read(NULL, ends[0], 100, 0, "idle", &read), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "wait", wait_for_a_read, read, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(report_says(report, "callback 'wait', waiting for the operation 'idle'"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}
#endif

/* Another runtime, whose thread stays attached until `may_end` is set. */
typedef struct other {
    rt_runtime *runtime;
    pthread_t thread;
    event attached, may_end, finalizes;
} other;

static void *stay(void *arg)
{
    other *o = (other *)arg;
    rt_thread *thread = attach(o->runtime, "stays", 0, RT_POLICY_ERROR);
    event_set(&o->attached);
    event_wait(&o->may_end);
    rt_thread_detach(thread);
    return NULL;
}

static void other_start(other *o)
{
    const other fresh = {NULL, 0, EVENT_INIT, EVENT_INIT, EVENT_INIT};
    *o = fresh;
    o->runtime = runtime_new("other");
    o->thread = thread_start(stay, o);
    event_wait(&o->attached);
}

static int finalize_the_other(void *arg)
{
    CHECK_EQ(rt_finalize(((other *)arg)->runtime, NULL, NULL), RT_ERR_INCOMPLETE);
    return 0;
}

static void the_finalization_of_another_runtime_ends_in_time(void)
{
    other o;
    int64_t began = now_us();
    rt_finalize_options options = options_with_deadline(400000);
    other_start(&o);
    CHECK_EQ(rt_atexit(NULL, "end the other", finalize_the_other, &o, NULL), RT_OK);
    rt_finalize(NULL, &options, NULL);
    CHECK(now_us() - began < BOUND_US);
    event_set(&o.may_end);
    NEED(pthread_join(o.thread, NULL) == 0);
}

static void *finalize_elsewhere(void *arg)
{
    other *o = (other *)arg;
    CHECK_EQ(rt_phase_add_handler(o->runtime, RT_PHASE_GUARDS, -1, NULL, set_event, &o->finalizes, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(o->runtime, NULL, NULL), RT_OK);
    return NULL;
}

static int join_the_other(void *arg)
{
    rt_finalize_options patient = options_none();
    patient.join_us = 3600 * (int64_t)1000000;
    CHECK_EQ(rt_finalize(((other *)arg)->runtime, &patient, NULL), RT_ERR_TIMEOUT);
    return 0;
}

static void the_wait_for_another_thread_that_finalizes_ends_in_time(void)
{
    other o;
    pthread_t thread;
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(400000);
    other_start(&o);
    thread = thread_start(finalize_elsewhere, &o);
    event_wait(&o.finalizes);
    CHECK_EQ(rt_atexit(NULL, "join", join_the_other, &o, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(report_says(report, "callback 'join', waiting for the end of the finalization"));
    event_set(&o.may_end);
    NEED(pthread_join(o.thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(a_wait_for_a_lock_ends_in_time_and_notice_and_report_name_it_with_its_holder);
    RUN(a_budget_that_the_host_sets_for_a_phase_ends_a_wait_in_it);
    RUN(a_wait_that_gives_up_by_itself_is_in_the_report_and_makes_nothing_incomplete);
    RUN(without_a_deadline_the_lock_is_waited_for_as_long_as_it_takes);
    RUN(by_overrun_exit_the_process_ends_too);
    RUN(a_wait_for_room_before_the_freeze_ends_in_time);
    RUN_POSIX(a_wait_for_an_operation_ends_in_time, "AIO");
    RUN(the_finalization_of_another_runtime_ends_in_time);
    RUN(the_wait_for_another_thread_that_finalizes_ends_in_time);
    return check_done();
}

/*
 * Threads that end with no hook called, by TerminateThread: what they held is taken over, and nobody
 * waits for them.
 */
#include "killed.h"

static event waits = EVENT_INIT;
static pid_t waits_as;

static void terminate(pthread_t thread)
{
    HANDLE handle = (HANDLE)pthread_gethandle(thread);
    NEED(TerminateThread(handle, 1));
    NEED(WaitForSingleObject(handle, CHECK_HANG_SECONDS * 500) == WAIT_OBJECT_0);
}

static void a_lock_is_taken_over_from_a_terminated_thread(void)
{
    terminate(start_one_that_holds_all(hold_all, NULL));
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
}

static void a_writer_is_taken_over_from_a_terminated_thread_with_its_bytes(void)
{
    bytes got = {0};
    terminate(start_one_that_holds_all(hold_all, NULL));
    CHECK_EQ(rt_writer_write(writer, stream(300, 100), 100), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 1000000), RT_OK);
    CHECK_EQ(account_of(writer).recovered, 300);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 400);
    bytes_free(&got);
}

static void *wait_for_the_lock(void *arg)
{
    waits_as = my_tid();
    event_set(&waits);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_RECOVERED);
    return arg;
}

static void a_thread_that_waits_already_takes_over_from_one_that_is_terminated(void)
{
    pthread_t owner = start_one_that_holds_all(hold_all, NULL), waiter = thread_start(wait_for_the_lock, NULL);
    event_wait(&waits);
    wait_until_asleep(waits_as);
    terminate(owner);
    NEED(pthread_join(waiter, NULL) == 0);
}

static void a_finalization_waits_for_no_terminated_thread_and_writes_what_it_held(void)
{
    bytes got = {0};
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    options.grace_us = 100000;
    terminate(start_one_that_holds_all(hold_all, NULL));
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").recovered, 300);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 300);
    bytes_free(&got);
    rt_report_free(report);
}

int main(void)
{
    RUN(a_lock_is_taken_over_from_a_terminated_thread);
    RUN(a_writer_is_taken_over_from_a_terminated_thread_with_its_bytes);
    RUN(a_thread_that_waits_already_takes_over_from_one_that_is_terminated);
    RUN(a_finalization_waits_for_no_terminated_thread_and_writes_what_it_held);
    return check_done();
}

/*
 * A host with buffers, thread states and a gate of its own, which parks its threads by itself and
 * adds what it knows to the library's account: what a fork of CPython does.
 */
#include "host.h"

static rt_report_destination file_of_the_host(uint64_t written, uint64_t unwritten)
{
    rt_report_destination file = {.struct_size = sizeof file, .name = "journal.log"};
    file.accepted = written + unwritten;
    file.written = file.flushed = written;
    file.unwritten = unwritten;
    file.reason = unwritten > 0 ? "No space left on device" : NULL;
    return file;
}

static int note_lost_bytes(void *arg)
{
    rt_report_destination file = file_of_the_host(100, 23);
    (void)arg;
    return rt_note_destination(NULL, &file);
}

static void bytes_of_the_hosts_own_buffer_are_counted_like_a_writers(void)
{
    rt_report *report;
    rt_report_summary summary = {.struct_size = sizeof summary};
    rt_report_destination seen = {.struct_size = sizeof seen};
    rt_phase_add_handler(NULL, RT_PHASE_FLUSH_FROZEN, 0, "files", note_lost_bytes, NULL, NULL);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(rt_report_get_summary(report, &summary), RT_OK);
    CHECK_EQ(summary.unwritten, 23);
    CHECK_EQ(summary.destinations, 1);
    CHECK_EQ(rt_report_get_destination(report, 0, &seen), RT_OK);
    CHECK(strcmp(seen.name, "journal.log") == 0);
    CHECK(strcmp(seen.reason, "No space left on device") == 0);
    CHECK_EQ(seen.accepted, 123);
    CHECK_EQ(seen.written, 100);
    rt_report_free(report);
}

static void a_buffer_that_was_written_whole_leaves_the_finalization_complete(void)
{
    rt_report_destination file = file_of_the_host(100, 0);
    CHECK_EQ(rt_note_destination(NULL, &file), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void what_the_host_keeps_stands_in_the_ledger(void)
{
    rt_report *report;
    rt_report_summary summary = {.struct_size = sizeof summary};
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_THREAD_STATE};
    rt_report_leak seen = {.struct_size = sizeof seen};
    leak.name = "reader";
    leak.reason = "the thread is in read(2)";
    leak.bytes = 4096;
    CHECK_EQ(rt_note_leak(NULL, &leak), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(rt_report_get_summary(report, &summary), RT_OK);
    CHECK_EQ(summary.leaks, 1);
    CHECK_EQ(summary.restartable, 0);
    CHECK_EQ(rt_report_get_leak(report, 0, &seen), RT_OK);
    CHECK_EQ(seen.kind, RT_LEAK_THREAD_STATE);
    CHECK_EQ(seen.bytes, 4096);
    CHECK(strcmp(seen.name, "reader") == 0);
    CHECK(strcmp(seen.reason, "the thread is in read(2)") == 0);
    rt_report_free(report);
}

static void what_is_wrong_or_late_is_refused(void)
{
    rt_report_destination file = file_of_the_host(1, 1);
    rt_report_leak leak = {.struct_size = sizeof leak, .kind = RT_LEAK_HOST, .name = "n"};
    REFUSED(rt_note_leak(NULL, &leak), RT_ERR_NULL);
    leak.reason = "r";
    leak.kind = 99;
    REFUSED(rt_note_leak(NULL, &leak), RT_ERR_INVALID);
    leak.kind = RT_LEAK_HOST;
    leak.struct_size = 1;
    REFUSED(rt_note_leak(NULL, &leak), RT_ERR_STRUCT_SIZE);
    leak.struct_size = sizeof leak;
    file.accepted = 3;
    REFUSED(rt_note_destination(NULL, &file), RT_ERR_INVALID);
    file.accepted = 2;
    file.name = NULL;
    REFUSED(rt_note_destination(NULL, &file), RT_ERR_NULL);
    file.name = "\xff";
    REFUSED(rt_note_destination(NULL, &file), RT_ERR_UTF8);
    REFUSED(rt_note_destination(NULL, NULL), RT_ERR_NULL);
    file.name = "file";
    CHECK_EQ(rt_finalize_ex(), 0);
    REFUSED(rt_note_destination(NULL, &file), RT_ERR_FINALIZING);
    REFUSED(rt_note_leak(NULL, &leak), RT_ERR_FINALIZING);
}

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
static event holds = EVENT_INIT;

static void *hold_and_park(void *arg)
{
    (void)arg;
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    event_set(&holds);
    rt_thread_park();
    CHECK(!"a parked thread does not return");
    return NULL;
}

static void a_lock_is_taken_over_from_a_thread_the_host_parked(void)
{
    thread_start(hold_and_park, NULL);
    event_wait(&holds);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_RECOVERED);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static int32_t states[4];

static int see_state(void *at)
{
    states[(intptr_t)at] = rt_state_inline();
    CHECK_EQ(rt_state_inline(), rt_runtime_state(NULL));
    return 0;
}

static void the_state_can_be_read_without_a_call(void)
{
    states[0] = rt_state_inline();
    CHECK_EQ(rt_atexit(NULL, NULL, see_state, (void *)1, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, NULL, see_state, (void *)2, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    states[3] = rt_state_inline();
    CHECK_EQ(states[0], RT_STATE_RUNNING);
    CHECK_EQ(states[1], RT_STATE_PRE_FINALIZING);
    CHECK_EQ(states[2], RT_STATE_FINALIZING);
    CHECK_EQ(states[3], RT_STATE_FINALIZED);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_state_inline(), RT_STATE_RUNNING);
}

int main(void)
{
    RUN(bytes_of_the_hosts_own_buffer_are_counted_like_a_writers);
    RUN(a_buffer_that_was_written_whole_leaves_the_finalization_complete);
    RUN(what_the_host_keeps_stands_in_the_ledger);
    RUN(what_is_wrong_or_late_is_refused);
    RUN(a_lock_is_taken_over_from_a_thread_the_host_parked);
    RUN(the_state_can_be_read_without_a_call);
    return check_done();
}

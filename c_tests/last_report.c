/*
 * The report of a process that ends at its deadline: it is written after the bytes and the line on stderr, and never keeps
 * the process, wherever the finalizing thread is stuck.
 */
#include "destination.h"
#include "stuck_heap.h"

enum { EXIT_CODE = 75 };

#define DEADLINE_US (under_valgrind() ? 5000000 : 300000)

static char path[] = "/tmp/rtfinalize-last-report-XXXXXX";

static void begin(void)
{
    int fd = mkstemp(path);
    NEED(fd >= 0);
    NEED(close(fd) == 0);
}

/* What was written there; the caller frees it. */
static char *report_in_file(void)
{
    bytes got = {NULL, 0, 0};
    int fd = open(path, O_RDONLY);
    NEED(fd >= 0);
    read_most(fd, &got, SIZE_MAX);
    bytes_add(&got, "", 1);
    NEED(close(fd) == 0);
    NEED(unlink(path) == 0);
    memcpy(path + strlen(path) - 6, "XXXXXX", 6);
    return (char *)got.data;
}

static void finalize_by_the_deadline(void)
{
    rt_finalize_options options = options_exiting(DEADLINE_US);
    char wish[sizeof path + 8];
    options.exit_code = EXIT_CODE;
    snprintf(wish, sizeof wish, "json:%s", path);
    NEED(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", wish) == RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static int get_stuck(void *arg)
{
    rt_report_destination lost = {.struct_size = sizeof lost, .name = "journal", .accepted = 7, .unwritten = 7};
    rt_seen_thread seen = {.struct_size = sizeof seen, .name = "thread 'reader'", .state = RT_SEEN_WAITING};
    (void)arg;
    NEED(rt_note_destination(NULL, &lost) == RT_OK);
    NEED(rt_note_thread(NULL, &seen) == RT_OK);
    NEED(rt_note_wait(NULL, "a lock of the host's", 0, NULL) == RT_OK);
    sleep_indefinitely();
    return 0;
}

static void stuck_in_a_callback(const given *g)
{
    rt_writer *writer = writer_open(NULL, g->fds[0], "log", 0, 0);
    NEED(rt_writer_write(writer, "accepted\n", 9) == RT_OK);
    CHECK_EQ(rt_atexit(NULL, "save", get_stuck, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_process_that_ends_at_its_deadline_leaves_its_report(void)
{
    const given g = {NULL, {file_without_name(), -1}};
    char said[4096], *json;
    begin();
    CHECK_EQ(exit_code_given(stuck_in_a_callback, &g, said, sizeof said), EXIT_CODE);
    CHECK(strstr(said, "overran its deadline in the phase atexit, in callback 'save'") != NULL);
    json = report_in_file();
    CHECK(strstr(json, "\"name\":\"Incomplete\"") != NULL);
    CHECK(strstr(json, "\"what\":\"callback 'save'\"") != NULL);
    CHECK(strstr(json, "\"outcome\":\"not over when the process ended\"") != NULL);
    CHECK(strstr(json, "\"name\":\"atexit\"") != NULL);
    CHECK(strstr(json, "\"missing_bytes\":7") != NULL);
    CHECK(strstr(json, "{\"name\":\"journal\",\"accepted\":7,\"written\":0") != NULL);
    CHECK(strstr(json, "{\"name\":\"log\",\"accepted\":9,\"written\":9") != NULL);
    CHECK(strstr(json, "\"what\":\"a lock of the host's\"") != NULL);
    CHECK(strstr(json, "\"threads\":[{\"name\":\"thread 'reader'\"") != NULL);
    if (check_failed_here) {
        fprintf(stderr, "said: %s\nreport: %s\n", said, json);
    }
    free(json);
}

static int get_stuck_in_the_heap(void *arg)
{
    void *volatile memory;
    if (under_valgrind()) {
        sleep_indefinitely();
    }
    (void)arg;
    heap_stick();
    memory = malloc(1 << 16);
    free(memory);
    return 0;
}

static void stuck_in_malloc(const given *g)
{
    rt_writer *writer = writer_open(NULL, g->fds[0], "log", 0, 0);
    NEED(rt_writer_write(writer, "accepted\n", 9) == RT_OK);
    CHECK_EQ(rt_atexit(NULL, "allocate", get_stuck_in_the_heap, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_report_for_which_the_heap_is_needed_does_not_keep_the_process(void)
{
    int file = file_without_name();
    const given g = {NULL, {file, -1}};
    char said[4096], *json;
    begin();
    CHECK_EQ(exit_code_given(stuck_in_malloc, &g, said, sizeof said), EXIT_CODE);
    CHECK(strstr(said, "9 bytes written at the last moment, none lost; exit code 75\n") != NULL);
    if (!under_valgrind()) {
        CHECK(strstr(said, "rtfinalize: the report could not be written in time\n") != NULL);
    }
    CHECK_EQ(lseek(file, 0, SEEK_END), 9);
    json = report_in_file();
    CHECK(under_valgrind() || json[0] == '\0');
    free(json);
}

static int decide_to_exit(const rt_event *event, void *arg)
{
    (void)arg;
    return event->kind == RT_EVENT_OVERRUN ? RT_OVERRUN_EXIT : 0;
}

static void exits_because_of_a_guard(const given *g)
{
    rt_finalize_options options = {.struct_size = sizeof options};
    char wish[sizeof path + 8];
    rt_view *view;
    rt_guard *guard;
    (void)g;
    NEED(rt_view_from(NULL, &view) == RT_OK);
    NEED(rt_guard_acquire_shared(view, "poller", &guard) == RT_OK);
    options.deadline_us = DEADLINE_US;
    options.on_event = decide_to_exit;
    options.exit_code = EXIT_CODE;
    snprintf(wish, sizeof wish, "json:%s", path);
    NEED(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", wish) == RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void a_listener_that_ends_the_process_leaves_a_report_of_what_it_was_for(void)
{
    const given g = {NULL, {-1, -1}};
    char said[4096], *json;
    begin();
    CHECK_EQ(exit_code_given(exits_because_of_a_guard, &g, said, sizeof said), EXIT_CODE);
    json = report_in_file();
    CHECK(strstr(json, "\"phase\":\"guards\",\"what\":\"guard 'poller'") != NULL);
    if (check_failed_here) {
        fprintf(stderr, "said: %s\nreport: %s\n", said, json);
    }
    free(json);
}

int main(void)
{
    RUN(a_process_that_ends_at_its_deadline_leaves_its_report);
    RUN(a_report_for_which_the_heap_is_needed_does_not_keep_the_process);
    RUN(a_listener_that_ends_the_process_leaves_a_report_of_what_it_was_for);
    return check_done();
}

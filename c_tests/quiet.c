/*
 * By default the library stays quiet: no watching thread is started, and nothing is written to stderr, nor to
 * a file of the program that was given descriptor 2.
 */
#include "host.h"
#ifndef _WIN32
#include <fcntl.h>
#include <poll.h>

static int counted, counted_by_the_library;

static int count_threads(void *unused)
{
    (void)unused;
    counted = thread_count();
    counted_by_the_library = (int)rt_watch_threads();
    return RT_OK;
}

static int come_to_wait_and_count(void *unused)
{
    CHECK_EQ(rt_may_wait(NULL), RT_OK);
    CHECK_EQ(rt_may_wait(NULL), RT_OK);
    return count_threads(unused);
}

static void add_brief(rt_callback handler)
{
    rt_handler_options options = {sizeof options, 1, RT_WORK_BRIEF, NULL, NULL};
    CHECK_EQ(rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, "brief", &options, handler, NULL, NULL), RT_OK);
}

static void a_finalization_that_nobody_asks_about_begins_no_thread(void)
{
    int silenced = open("/dev/null", O_WRONLY), saved = dup(STDERR_FILENO);
    /* Whoever runs this may have a terminal. */
    NEED(dup2(silenced, STDERR_FILENO) >= 0);
    CHECK_EQ(rt_runtime_notice(NULL), -1);
    CHECK_EQ(rt_atexit(NULL, "counts", count_threads, NULL, NULL), RT_OK);
    add_brief(come_to_wait_and_count);
    CHECK_EQ(rt_finalize_ex(), 0);
    NEED(dup2(saved, STDERR_FILENO) >= 0);
    CHECK_EQ(counted, 1);
    CHECK_EQ(counted_by_the_library, 0);
}

static void a_watch_that_was_asked_for_is_counted(void)
{
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_NOTICE", "60s"), RT_OK);
    CHECK_EQ(rt_runtime_notice(NULL), 60000000);
    add_brief(come_to_wait_and_count);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(counted, 2);
    CHECK_EQ(counted_by_the_library, 1);
    CHECK_EQ(rt_watch_threads(), 0);
}

static void descriptor_2_is_not_written_to_when_it_is_a_file_of_the_programs(void)
{
    char name[] = "/tmp/rtfinalize-quiet-XXXXXX", text[64];
    int data = mkstemp(name), saved = dup(STDERR_FILENO), ends[2];
    ssize_t got;
    NEED(data >= 0 && unlink(name) == 0 && dup2(data, STDERR_FILENO) >= 0);
    CHECK_EQ(rt_tell("a line"), RT_OK);
    CHECK_EQ(lseek(data, 0, SEEK_END), 0);
    /* A pipe is where a host leads its messages. */
    NEED(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    CHECK_EQ(rt_tell("a\nline"), RT_OK);
    NEED(dup2(saved, STDERR_FILENO) >= 0);
    close(ends[1]);
    got = read(ends[0], text, sizeof text);
    CHECK_EQ(got, (ssize_t)strlen("rtfinalize: a?line\n"));
    CHECK_EQ(memcmp(text, "rtfinalize: a?line\n", (size_t)got), 0);
    REFUSED(rt_tell(NULL), RT_ERR_NULL);
}

static size_t describe(char *text, size_t size)
{
    static const char words[] = "in the host's own code";
    size_t length = sizeof words - 1 < size ? sizeof words - 1 : size;
    memcpy(text, words, length);
    return length;
}

/* Returns when there is a line to read. */
static int wait_for_a_line(void *descriptor)
{
    struct pollfd line = {*(int *)descriptor, POLLIN, 0};
    CHECK_EQ(poll(&line, 1, -1), 1);
    return RT_OK;
}

static void a_line_says_where_in_the_hosts_code_the_thread_is(void)
{
    char said[1024];
    int ends[2], saved = dup(STDERR_FILENO);
    ssize_t got;
    rt_finalize_options options = options_none();
    options.notice_us = 50000;
    CHECK_EQ(rt_describe_work(NULL, describe), RT_OK);
    NEED(pipe(ends) == 0);
    CHECK_EQ(rt_atexit(NULL, "slow", wait_for_a_line, &ends[0], NULL), RT_OK);
    NEED(dup2(ends[1], STDERR_FILENO) >= 0);
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    NEED(dup2(saved, STDERR_FILENO) >= 0);
    close(ends[1]);
    CHECK_EQ(rt_describe_work(NULL, NULL), RT_OK);
    got = read(ends[0], said, sizeof said - 1);
    NEED(got > 0);
    said[got] = '\0';
    CHECK(strstr(said, "callback 'slow' in the phase atexit to return, in the host's own code") != NULL);
}

#endif

int main(void)
{
    RUN_POSIX(a_finalization_that_nobody_asks_about_begins_no_thread, "threads in /proc");
    RUN_POSIX(a_watch_that_was_asked_for_is_counted, "threads in /proc");
    RUN_POSIX(descriptor_2_is_not_written_to_when_it_is_a_file_of_the_programs, "descriptors");
    RUN_POSIX(a_line_says_where_in_the_hosts_code_the_thread_is, "descriptors");
    return check_done();
}

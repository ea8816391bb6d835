/*
 * The hard deadline: with RT_OVERRUN_EXIT a process ends at its deadline wherever its threads are stuck,
 * with the exit code its host chose, with one line on stderr, and with every byte written once or
 * counted on that line.
 *
 * Each host is a process of its own, in which somebody may be stuck in the heap: a library that
 * allocates on its way out hangs, and its host is killed by an alarm.
 */
#include "destination.h"
#include "stuck_heap.h"
#ifndef _WIN32
#include <sys/mman.h>
#endif

enum { EXIT_CODE = 75 };

/* Time enough to get stuck before it passes. */
#define DEADLINE_US (under_valgrind() ? 5000000 : 300000)

/* --- a host that comes to its end --- */

typedef struct line {
    char text[4096];
    unsigned long long written, lost, in_flight, losers;
} line;

/* The number before `what` on the line, 0 if it does not say so. */
static unsigned long long number_before(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    if (at == NULL) {
        return 0;
    }
    while (at > text && at[-1] >= '0' && at[-1] <= '9') {
        at--;
    }
    return strtoull(at, NULL, 10);
}

static void parse(line *l)
{
    char *newline = strchr(l->text, '\n');
    CHECK(newline != NULL && newline[1] == '\0'); /* one line */
    CHECK(strncmp(l->text, "rtfinalize: 'main' ", 19) == 0);
    CHECK(strstr(l->text, "; exit code 75\n") != NULL);
    l->written = number_before(l->text, " byte written at") + number_before(l->text, " bytes written at");
    l->lost = number_before(l->text, " byte of") + number_before(l->text, " bytes of");
    l->losers = number_before(l->text, " writer not") + number_before(l->text, " writers not");
    l->in_flight = number_before(l->text, " of them in a write");
    if (check_failed_here) {
        fprintf(stderr, "the line: %s\n", l->text);
    }
}

/* Runs `host` in a process of its own, which has to end by its deadline; what it said then. */
static line outcome_of(void (*host)(const given *), int fd, int other)
{
    const given g = {NULL, {fd, other}};
    line said;
    memset(&said, 0, sizeof said);
    CHECK_EQ(exit_code_given(host, &g, said.text, sizeof said.text), EXIT_CODE);
    parse(&said);
    return said;
}

static void finalize_by_the_deadline(void)
{
    rt_finalize_options options = options_exiting(DEADLINE_US);
    options.exit_code = EXIT_CODE;
    rt_finalize(NULL, &options, NULL);
}

static int get_stuck(void *arg)
{
    (void)arg;
    sleep_indefinitely();
    return 0;
}

static void say(rt_writer *writer, const char *text)
{
    NEED(rt_writer_write(writer, text, strlen(text)) == RT_OK);
}

#define CHECK_FILE(fd, expected) check_file(__FILE__, __LINE__, (fd), (expected))
static void check_file(const char *file, int at, int fd, const char *expected)
{
    bytes got = {NULL, 0, 0};
    NEED(lseek(fd, 0, SEEK_SET) == 0);
    read_most(fd, &got, SIZE_MAX);
    if (got.len != strlen(expected) || memcmp(got.data, expected, got.len) != 0) {
        fprintf(stderr, "arrived: %.*s\n", (int)got.len, (char *)got.data);
        check_fail(file, at, "other bytes arrived than were written");
    }
    bytes_free(&got);
}

/* --- where the main thread is stuck --- */

static void stuck_in_a_callback(const given *g)
{
    say(writer_open(NULL, g->fds[0], "log", 0, 0), "accepted\n");
    CHECK_EQ(rt_atexit(NULL, "save\nhistory", get_stuck, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_host_stuck_in_an_at_exit_callback_ends_in_time(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_in_a_callback, fd, -1);
    CHECK_FILE(fd, "accepted\n");
    CHECK_EQ(said.written, 9);
    CHECK_EQ(said.lost, 0);
    CHECK(strstr(said.text, "phase atexit") != NULL);
    CHECK(strstr(said.text, "save?history") != NULL);
}

static int write_and_get_stuck(void *arg)
{
    say((rt_writer *)arg, "late\n");
    return get_stuck(NULL);
}

static void stuck_in_a_handler(const given *g)
{
    rt_writer *writer = writer_open(NULL, g->fds[0], "log", 0, 0);
    say(writer, "early\n");
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "clear", write_and_get_stuck, writer,
                                  NULL),
             RT_OK);
    finalize_by_the_deadline();
}

static void a_host_stuck_in_a_late_handler_ends_in_time(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_in_a_handler, fd, -1);
    CHECK_FILE(fd, "early\nlate\n");
    CHECK_EQ(said.written, 5);
    CHECK_EQ(said.lost, 0);
    CHECK(strstr(said.text, "phase finalize") != NULL);
}

static int allocate_and_get_stuck(void *arg)
{
    void *volatile memory;
    if (under_valgrind()) {
        return get_stuck(arg);
    }
    heap_stick();
    memory = malloc(1 << 16); /* as much as no heap gives out without its lock */
    free(memory);
    return 0;
}

/* What is stuck is the library's own next use of the heap. */
static int let_the_library_get_stuck(void *arg)
{
    (void)arg;
    heap_stick();
    return 0;
}

static void stuck_in_malloc(const given *g)
{
    say(writer_open(NULL, g->fds[0], "log", 0, 0), "accepted\n");
    CHECK_EQ(rt_atexit(NULL, "allocate", allocate_and_get_stuck, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_host_stuck_inside_malloc_ends_in_time(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_in_malloc, fd, -1);
    CHECK_FILE(fd, "accepted\n");
    CHECK_EQ(said.written, 9);
}

static void stuck_in_the_librarys_malloc(const given *g)
{
    say(writer_open(NULL, g->fds[0], "log", 0, 0), "accepted\n");
    CHECK_EQ(rt_atexit(NULL, "allocate", let_the_library_get_stuck, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_library_stuck_inside_malloc_ends_in_time(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_in_the_librarys_malloc, fd, -1);
    CHECK_FILE(fd, "accepted\n");
    CHECK_EQ(said.written + said.lost, 9);
    CHECK_EQ(said.lost, 0);
}

/* --- who has a writer's lock --- */

static int write_a_group_and_get_stuck(void *arg)
{
    rt_writer *writer = (rt_writer *)arg;
    NEED(rt_writer_lock(writer) == RT_OK);
    say(writer, "first of the group\n");
    say(writer, "second\n");
    return allocate_and_get_stuck(NULL);
}

static void stuck_with_a_lock(const given *g)
{
    rt_writer *writer = writer_open(NULL, g->fds[0], "log", 0, 0);
    CHECK_EQ(rt_atexit(NULL, "group", write_a_group_and_get_stuck, writer, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void bytes_under_a_lock_that_a_stuck_thread_keeps_arrive(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_with_a_lock, fd, -1);
    CHECK_FILE(fd, "first of the group\nsecond\n");
    CHECK_EQ(said.written, 26);
    CHECK_EQ(said.lost, 0);
}

static int64_t never_return(void *arg, const void *data, size_t len)
{
    (void)data;
    (void)len;
    sleep_indefinitely();
    return *(int64_t *)arg;
}

static int flush_and_get_stuck(void *arg)
{
    return rt_writer_flush((rt_writer *)arg, -1);
}

static void stuck_in_a_write_callback(const given *g)
{
    rt_writer *stuck = NULL;
    rt_writer_callbacks calls;
    rt_writer_options options = writer_options("socket", 0, 0);
    memset(&calls, 0, sizeof calls);
    calls.struct_size = sizeof calls;
    calls.write = never_return;
    NEED(rt_writer_open_callbacks(NULL, &calls, &options, &stuck) == RT_OK);
    say(stuck, "in flight\n");
    say(writer_open(NULL, g->fds[0], "log", 0, 0), "accepted\n");
    CHECK_EQ(rt_atexit(NULL, "flush", flush_and_get_stuck, stuck, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void bytes_in_a_stuck_write_callback_are_counted_as_in_flight(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_in_a_write_callback, fd, -1);
    CHECK_FILE(fd, "accepted\n");
    CHECK_EQ(said.written, 9);
    CHECK_EQ(said.lost, 10);
    CHECK_EQ(said.losers, 1);
    CHECK_EQ(said.in_flight, 10);
}

/* What a busy thread was told is accepted. */
typedef struct busy {
    rt_writer *writer;
    atomic_ulong *accepted;
} busy;

/* A number in a file, for all processes to see that have it open. */
static atomic_ulong *number_in(int fd)
{
#ifdef _WIN32
    HANDLE mapping = CreateFileMappingA((HANDLE)_get_osfhandle(fd), NULL, PAGE_READWRITE, 0, 4096, NULL);
    void *at = mapping == NULL ? NULL : MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, 0);
    NEED(at != NULL);
#else
    void *at;
    NEED(ftruncate(fd, 4096) == 0);
    at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    NEED(at != MAP_FAILED);
#endif
    return (atomic_ulong *)at;
}

static void *write_on_and_on(void *arg)
{
    busy *b = (busy *)arg;
    char text[16];
    for (unsigned long i = 0;; i++) {
        snprintf(text, sizeof text, "%09lu\n", i);
        if (rt_writer_write(b->writer, text, 10) != RT_OK) {
            return NULL;
        }
        atomic_store(b->accepted, i + 1);
    }
}

static void busy_to_the_end(const given *g)
{
    static busy b;
    b.writer = writer_open(NULL, g->fds[0], "busy", 4000, 0);
    b.accepted = number_in(g->fds[1]);
    CHECK_EQ(rt_atexit(NULL, "stuck", get_stuck, NULL, NULL), RT_OK);
    thread_start(write_on_and_on, &b);
    finalize_by_the_deadline();
}

/* A thread that writes up to the last moment: each record arrives once, or is counted. */
static void what_a_busy_thread_wrote_arrives_once_or_is_counted(void)
{
    int shared = file_without_name();
    atomic_ulong *number = number_in(shared);
    for (int round = 0; round < (under_valgrind() ? 2 : 10); round++) {
        bytes got = {NULL, 0, 0};
        unsigned long lines = 0, accepted;
        line said;
        int fd = file_without_name();
        atomic_store(number, 0);
        said = outcome_of(busy_to_the_end, fd, shared);
        accepted = atomic_load(number);
        NEED(lseek(fd, 0, SEEK_SET) == 0);
        read_most(fd, &got, SIZE_MAX);
        for (size_t at = 0; at + 10 <= got.len; at += 10, lines++) {
            if (strtoul((char *)got.data + at, NULL, 10) != lines) {
                check_fail(__FILE__, __LINE__, "a record was lost, torn or written twice");
                break;
            }
        }
        /* The last one may be accepted and its writer not told so any more. */
        CHECK(accepted * 10 <= got.len + said.lost && got.len + said.lost <= accepted * 10 + 10);
        close(fd);
        bytes_free(&got);
    }
    close(shared);
}

/* --- where the bytes go --- */

static void one_full_one_not(const given *g)
{
    say(writer_open(NULL, g->fds[0], "full", 0, 0), "no room for this\n");
    say(writer_open(NULL, g->fds[1], "good", 0, 0), "room for this\n");
    CHECK_EQ(rt_atexit(NULL, "stuck", get_stuck, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_full_pipe_costs_only_its_own_bytes(void)
{
    int pipe_ends[2], good = file_without_name();
    char filling[PIPE_SIZE];
    line said;
    pipe_open(pipe_ends);
    memset(filling, 'x', sizeof filling);
    NEED(write(pipe_ends[1], filling, sizeof filling) == PIPE_SIZE);
    said = outcome_of(one_full_one_not, pipe_ends[1], good);
    CHECK_FILE(good, "room for this\n");
    CHECK_EQ(said.written, 14);
    CHECK_EQ(said.lost, 17);
    CHECK_EQ(said.losers, 1);
    CHECK_EQ(said.in_flight, 0);
}

static void a_lot_for_a_pipe(const given *g)
{
    rt_writer *writer = writer_open(NULL, g->fds[0], "pipe", 0, 0);
    NEED(rt_writer_write(writer, stream(0, 100000), 100000) == RT_OK);
    CHECK_EQ(rt_atexit(NULL, "stuck", get_stuck, NULL, NULL), RT_OK);
    finalize_by_the_deadline();
}

static void a_pipe_that_is_read_gets_what_the_line_says(void)
{
    int pipe_ends[2];
    reader r;
    line said;
    bytes *got;
    pipe_open(pipe_ends);
    reader_start(&r, pipe_ends[0], SIZE_MAX, 0);
    said = outcome_of(a_lot_for_a_pipe, pipe_ends[1], -1);
    close(pipe_ends[1]);
    got = reader_join(&r);
    CHECK_EQ(got->len, said.written);
    CHECK_STREAM(got, (size_t)said.written);
    CHECK_EQ(said.written + said.lost, 100000);
    CHECK(said.written > PIPE_SIZE); /* room was waited for */
    bytes_free(got);
}

static void a_pipe_nobody_reads_any_more_ends_nobody_by_a_signal(void)
{
    int pipe_ends[2];
    line said;
    pipe_open(pipe_ends);
    close(pipe_ends[0]);
    said = outcome_of(a_lot_for_a_pipe, pipe_ends[1], -1);
    CHECK_EQ(said.written, 0);
    CHECK_EQ(said.lost, 100000);
}

static void *finalize_the_other(void *arg)
{
    rt_finalize_options options = options_exiting(DEADLINE_US);
    options.exit_code = EXIT_CODE;
    rt_finalize((rt_runtime *)arg, &options, NULL);
    return NULL;
}

static void two_deadlines_at_once(const given *g)
{
    rt_runtime *other = runtime_new("main' or the other");
    say(writer_open(other, g->fds[0], "log", 0, 0), "once\n");
    CHECK_EQ(rt_atexit(NULL, "stuck", get_stuck, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(other, "stuck", get_stuck, NULL, NULL), RT_OK);
    thread_start(finalize_the_other, other);
    finalize_by_the_deadline();
}

static void of_two_that_end_the_process_one_does(void)
{
    int fd = file_without_name();
    line said = outcome_of(two_deadlines_at_once, fd, -1);
    CHECK_FILE(fd, "once\n");
    CHECK_EQ(said.written, 5);
}

#ifndef _WIN32

static int fork_and_go_on_in_the_child(void *arg)
{
    pid_t child = fork();
    (void)arg;
    NEED(child >= 0);
    if (child > 0) {
        _exit(EXIT_CODE); /* the line to come is the child's, and stderr ends with it */
    }
    alarm(CHECK_HANG_SECONDS / 3);
    return 0;
}

static void stuck_in_a_child(const given *g)
{
    rt_writer *writer = writer_open(NULL, g->fds[0], "log", 0, 0);
    CHECK_EQ(rt_atexit(NULL, "group", write_a_group_and_get_stuck, writer, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "fork", fork_and_go_on_in_the_child, NULL, NULL), RT_OK);
    say(writer, "the parent's\n");
    finalize_by_the_deadline();
}

/* The watch is a thread, which no fork copies. */
static void a_child_forked_in_a_callback_ends_in_time_too(void)
{
    int fd = file_without_name();
    line said = outcome_of(stuck_in_a_child, fd, -1);
    CHECK_FILE(fd, "first of the group\nsecond\n");
    CHECK_EQ(said.written, 26);
    CHECK_EQ(said.lost, 0);
}

#endif

int main(void)
{
    RUN(a_host_stuck_in_an_at_exit_callback_ends_in_time);
    RUN(a_host_stuck_in_a_late_handler_ends_in_time);
    if (under_valgrind()) {
        printf("not tried: being stuck inside malloc, for valgrind's stands in for this program's\n");
    } else {
        RUN(a_host_stuck_inside_malloc_ends_in_time);
        RUN(a_library_stuck_inside_malloc_ends_in_time);
    }
    RUN(bytes_under_a_lock_that_a_stuck_thread_keeps_arrive);
    RUN(bytes_in_a_stuck_write_callback_are_counted_as_in_flight);
    RUN(what_a_busy_thread_wrote_arrives_once_or_is_counted);
    RUN(a_full_pipe_costs_only_its_own_bytes);
    RUN(a_pipe_that_is_read_gets_what_the_line_says);
    RUN(a_pipe_nobody_reads_any_more_ends_nobody_by_a_signal);
    RUN(of_two_that_end_the_process_one_does);
    RUN_POSIX(a_child_forked_in_a_callback_ends_in_time_too, "fork");
    return check_done();
}

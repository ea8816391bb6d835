/*
 * A writer is over a descriptor, and the host puts another open file in that one's place: what is there is
 * asked again before each write, so that none blocks, and none goes to the wrong place in a file.
 */
#include "destination.h"

enum { CAPACITY = 1000 };

/* A pipe without room. */
static void full_pipe(int ends[2])
{
    pipe_open(ends);
    NEED(write(ends[1], stream(0, PIPE_SIZE), PIPE_SIZE) == PIPE_SIZE);
}

/* The terminal's end of a pseudo-terminal, whose other end is stored in `out`. */
static int terminal_open(int *out)
{
    int in;
    *out = posix_openpt(O_RDWR | O_NOCTTY);
    NEED(*out >= 0 && grantpt(*out) == 0 && unlockpt(*out) == 0);
    in = open(ptsname(*out), O_RDWR | O_NOCTTY);
    NEED(in >= 0);
    return in;
}

static void put_in_the_place_of(int fd, int other)
{
    NEED(dup2(other, fd) == fd);
    close(other);
}

/* What was over `before` is over a full pipe now: nothing blocks, and when there is room all arrives. */
static void a_full_pipe_comes_for(int before)
{
    int ends[2];
    rt_writer *writer = writer_open(NULL, before, "log", CAPACITY, 0);
    bytes got = {0};
    full_pipe(ends);
    put_in_the_place_of(before, ends[1]);
    CHECK_EQ(rt_writer_write(writer, stream(PIPE_SIZE, 900), 900), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 0), RT_ERR_TIMEOUT);
    read_most(ends[0], &got, PIPE_SIZE);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    read_most(ends[0], &got, PIPE_SIZE + 900);
    CHECK_STREAM(&got, PIPE_SIZE + 900);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    bytes_free(&got);
}

static void a_full_pipe_in_the_place_of_a_file_is_waited_for(void)
{
    a_full_pipe_comes_for(file_without_name());
}

static void a_full_pipe_in_the_place_of_a_socket_is_waited_for(void)
{
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    a_full_pipe_comes_for(ends[1]);
}

static void a_full_pipe_in_the_place_of_a_terminal_is_waited_for(void)
{
    int out;
    a_full_pipe_comes_for(terminal_open(&out));
}

static void a_terminal_nobody_reads_in_the_place_of_a_file_blocks_no_write(void)
{
    int out, fd = file_without_name();
    rt_writer *writer = writer_open(NULL, fd, "log", CAPACITY, 0);
    rt_status status = RT_OK;
    int records;
    put_in_the_place_of(fd, terminal_open(&out));
    for (records = 0; status == RT_OK && records < 10000; records++) {
        status = rt_writer_write_timed(writer, stream(0, CAPACITY), CAPACITY, 0);
    }
    CHECK_EQ(status, RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_abandon(writer, NULL), RT_OK);
}

/* What was over `before` is over a file now: its bytes stand behind those that are there. */
static void a_file_comes_for(int before)
{
    int fd = file_without_name(), copy;
    rt_writer *writer = writer_open(NULL, before, "log", CAPACITY, 0);
    bytes got = {0};
    NEED(write(fd, stream(0, 500), 500) == 500);
    NEED((copy = dup(fd)) >= 0);
    put_in_the_place_of(before, fd);
    CHECK_EQ(rt_writer_write(writer, stream(500, 900), 900), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    NEED(lseek(copy, 0, SEEK_SET) == 0);
    read_most(copy, &got, SIZE_MAX);
    CHECK_STREAM(&got, 1400);
    bytes_free(&got);
}

static void a_file_in_the_place_of_a_terminal_keeps_what_it_has(void)
{
    int out;
    a_file_comes_for(terminal_open(&out));
}

static void a_file_in_the_place_of_a_pipe_keeps_what_it_has(void)
{
    int ends[2];
    pipe_open(ends);
    a_file_comes_for(ends[1]);
}

/* A writer over a file that is a full pipe by now, with a record in its buffer. */
static rt_writer *turned_round(void)
{
    int ends[2], fd = file_without_name();
    rt_writer *writer = writer_open(NULL, fd, "log", CAPACITY, 0);
    full_pipe(ends);
    put_in_the_place_of(fd, ends[1]);
    CHECK_EQ(rt_writer_write(writer, "record\n", 7), RT_OK);
    return writer;
}

static void a_finalization_with_a_deadline_counts_what_such_a_pipe_does_not_take(void)
{
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(300000);
    turned_round();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(destination_of(report, "log").unwritten, 7);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int never_return(void *arg)
{
    for (;;) {
        pause();
    }
    return arg == NULL;
}

static void end_at_the_deadline(void)
{
    rt_finalize_options options = options_exiting(200000);
    turned_round();
    CHECK_EQ(rt_atexit(NULL, "never returns", never_return, NULL, NULL), RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void the_last_word_does_not_block_in_it(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(end_at_the_deadline, said, sizeof said), 120);
    CHECK(strstr(said, "7 bytes of 1 writer not written") != NULL);
}

int main(void)
{
    RUN(a_full_pipe_in_the_place_of_a_file_is_waited_for);
    RUN(a_full_pipe_in_the_place_of_a_socket_is_waited_for);
    RUN(a_full_pipe_in_the_place_of_a_terminal_is_waited_for);
    RUN(a_terminal_nobody_reads_in_the_place_of_a_file_blocks_no_write);
    RUN(a_file_in_the_place_of_a_terminal_keeps_what_it_has);
    RUN(a_file_in_the_place_of_a_pipe_keeps_what_it_has);
    RUN(a_finalization_with_a_deadline_counts_what_such_a_pipe_does_not_take);
    RUN(the_last_word_does_not_block_in_it);
    return check_done();
}

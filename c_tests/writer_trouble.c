/*
 * The buffered writer when its destination fails, closes or is full: what was accepted stays, can be
 * tried again, and is counted when it is given up.
 */
#include "destination.h"

#ifdef _WIN32
#include "scarce.h"

/* What the system says of a pipe that nobody reads. */
#define BROKEN_PIPE "(os error 232)"

enum { CLOSED_PLACES = 1 };

#else

#include <sys/resource.h>

#define BROKEN_PIPE "Broken pipe"

enum { CLOSED_PLACES = 2 };

static int sigpipe_is_pending(void)
{
    sigset_t pending;
    NEED(sigpending(&pending) == 0);
    return sigismember(&pending, SIGPIPE);
}

static void block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    NEED(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
}

#endif

/* A pipe, then what else a descriptor can be that somebody reads. */
static void closed_place_open(int number, int ends[2])
{
    if (number == 0) {
        pipe_open(ends);
        return;
    }
#ifndef _WIN32
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
#endif
}

/* Writes to a pipe, then to a socket, that nobody can read any more. */
static void write_to_the_closed(void)
{
    int ends[2], round;
    for (round = 0; round < CLOSED_PLACES; round++) {
        rt_writer *writer;
        uint64_t lost = 0;
        closed_place_open(round, ends);
        writer = writer_open(NULL, ends[1], "log", 10, 0);
        close(ends[0]);
        CHECK_EQ(rt_writer_write(writer, "12345678", 8), RT_OK);
        CHECK_EQ(rt_writer_write(writer, "12345678", 8), RT_ERR_IO);
        CHECK(strstr(rt_last_error(), BROKEN_PIPE) != NULL);
        CHECK(strstr(rt_last_error(), "log") != NULL);
        CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
        CHECK_EQ(rt_writer_close(writer, -1), RT_ERR_IO);
        CHECK_EQ(account_of(writer).unwritten, 8);
        CHECK_EQ(rt_writer_abandon(writer, &lost), RT_OK);
        CHECK_EQ(lost, 8);
        close(ends[1]);
    }
}

static void a_closed_reader_is_an_error_and_not_the_end_of_the_process(void)
{
#ifndef _WIN32
    NEED(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
#endif
    write_to_the_closed();
#ifndef _WIN32
    CHECK(!sigpipe_is_pending());
#endif
}

#ifndef _WIN32

static void a_host_that_blocks_sigpipe_finds_none_pending(void)
{
    block_sigpipe();
    write_to_the_closed();
    CHECK(!sigpipe_is_pending());
}

static void a_sigpipe_that_was_pending_stays_pending(void)
{
    sigset_t set;
    int number = 0;
    block_sigpipe();
    NEED(pthread_kill(pthread_self(), SIGPIPE) == 0);
    write_to_the_closed();
    CHECK(sigpipe_is_pending());
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK_EQ(sigwait(&set, &number), 0);
    CHECK(!sigpipe_is_pending());
}

#endif

static void a_finalization_to_a_closed_pipe_ends_normally_and_counts_the_bytes(void)
{
    int ends[2];
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
#ifndef _WIN32
    NEED(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
#endif
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 100, 0);
    CHECK_EQ(rt_writer_write(writer, "12345678", 8), RT_OK);
    close(ends[0]);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    log = destination_of(report, "log");
    CHECK_EQ(log.unwritten, 8);
    CHECK(strstr(log.reason, BROKEN_PIPE) != NULL);
#ifndef _WIN32
    CHECK(!sigpipe_is_pending());
#endif
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
}

#ifdef _WIN32

typedef LONG(WINAPI *write_file)(HANDLE file, HANDLE event, void *call, void *arg, void *status, const void *data,
                                 ULONG size, LARGE_INTEGER *offset, ULONG *key);

static patch full_disk;
static HANDLE on_a_full_disk;

static LONG WINAPI find_no_room(HANDLE file, HANDLE event, void *call, void *arg, void *status,
                                const void *data, ULONG size, LARGE_INTEGER *offset, ULONG *key)
{
    LONG answer = (LONG)0xC000007F; /* STATUS_DISK_FULL */
    if (file != on_a_full_disk) {
        patch_undo(&full_disk);
        answer = ((write_file)(uintptr_t)full_disk.at)(file, event, call, arg, status, data, size, offset, key);
        patch_set(&full_disk, "NtWriteFile", (uintptr_t)find_no_room);
    }
    return answer;
}

static int open_on_a_full_disk(void)
{
    int file = file_without_name();
    on_a_full_disk = (HANDLE)_get_osfhandle(file);
    patch_set(&full_disk, "NtWriteFile", (uintptr_t)find_no_room);
    return file;
}

/* There is room; the file that the descriptor leads to from here on. */
static int make_room(int full)
{
    patch_undo(&full_disk);
    return full;
}

#else

static int open_on_a_full_disk(void)
{
    int full = open("/dev/full", O_WRONLY);
    NEED(full >= 0);
    return full;
}

static int make_room(int full)
{
    int file = file_without_name();
    NEED(dup2(file, full) == full);
    return file;
}

#endif

static void when_a_full_disk_has_room_again_each_byte_is_written_once(void)
{
    int full = open_on_a_full_disk(), file, i;
    rt_writer *writer = writer_open(NULL, full, "log", 100, 0);
    bytes got = {0};
    CHECK_EQ(rt_writer_write(writer, stream(0, 60), 60), RT_OK);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_writer_write(writer, stream(0, 60), 60), RT_ERR_IO);
        CHECK(strstr(rt_last_error(), "No space left") != NULL);
        CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
    }
    CHECK_EQ(account_of(writer).accepted, 60);
    CHECK_EQ(rt_writer_write(writer, stream(60, 40), 40), RT_OK);
    file = make_room(full);
    CHECK_EQ(rt_writer_write(writer, stream(100, 300), 300), RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    NEED(lseek(file, 0, SEEK_SET) == 0);
    read_most(file, &got, SIZE_MAX);
    CHECK_STREAM(&got, 400);
    bytes_free(&got);
}

#ifndef _WIN32

static void a_file_that_may_not_grow_takes_a_part_and_the_rest_stays(void)
{
    char path[] = "/tmp/rtfinalize-limit-XXXXXX";
    int file = mkstemp(path);
    struct rlimit limit, before;
    rt_writer *writer;
    bytes got = {0};
    NEED(file >= 0 && unlink(path) == 0);
    NEED(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    NEED(getrlimit(RLIMIT_FSIZE, &before) == 0);
    limit = before;
    limit.rlim_cur = 250;
    NEED(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    writer = writer_open(NULL, file, "log", 200, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 200), 200), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(200, 200), 200), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
    CHECK_EQ(account_of(writer).written, 250);
    CHECK_EQ(account_of(writer).unwritten, 150);
    NEED(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    NEED(lseek(file, 0, SEEK_SET) == 0);
    read_most(file, &got, SIZE_MAX);
    CHECK_STREAM(&got, 400);
    bytes_free(&got);
}

#endif

static int is_open(int fd)
{
#ifdef _WIN32
    return _get_osfhandle(fd) != -1;
#else
    return fcntl(fd, F_GETFD) >= 0;
#endif
}

static void a_descriptor_closed_behind_the_writers_back_keeps_the_bytes(void)
{
    int ends[2], other[2];
    rt_writer *writer;
    bytes got = {0};
    pipe_open(ends);
    pipe_open(other);
    writer = writer_open(NULL, ends[1], "log", 100, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 60), 60), RT_OK);
    close(ends[1]);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_writer_write(writer, stream(60, 60), 60), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_writer_close(writer, -1), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(account_of(writer).unwritten, 60);
    NEED(dup2(other[1], ends[1]) == ends[1]);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    read_now(other[0], &got);
    CHECK_STREAM(&got, 60);
    bytes_free(&got);
}

static void the_bytes_go_where_the_descriptor_leads_when_they_are_written(void)
{
    int ends[2], other[2];
    rt_writer *writer;
    bytes got = {0};
    pipe_open(ends);
    pipe_open(other);
    writer = writer_open(NULL, ends[1], "log", 100, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 60), 60), RT_OK);
    NEED(dup2(other[1], ends[1]) == ends[1]); /* the host turns its log elsewhere */
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    read_now(other[0], &got);
    CHECK_STREAM(&got, 60);
    bytes_free(&got);
}

static void an_owned_descriptor_is_closed_and_a_lent_one_is_not(void)
{
    int lent[2], owned[2], lost_one[2];
    uint64_t lost = 0;
    rt_writer *writer;
    pipe_open(lent);
    pipe_open(owned);
    pipe_open(lost_one);
    CHECK_EQ(rt_writer_close(writer_open(NULL, lent[1], "lent", 0, 0), 0), RT_OK);
    CHECK(is_open(lent[1]));
    writer = writer_open(NULL, owned[1], "owned", 0, RT_WRITER_OWNS_FD);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK(!is_open(owned[1]));
    CHECK_EQ(rt_writer_close(writer, 0), RT_ERR_HANDLE);
    /* The close itself fails: the handle is gone nevertheless, and the report counts the lost bytes. */
    writer = writer_open(NULL, lost_one[1], "lost", 0, RT_WRITER_OWNS_FD);
    CHECK_EQ(rt_writer_write(writer, "12345678", 8), RT_OK);
    close(lost_one[1]);
    CHECK_EQ(rt_writer_abandon(writer, &lost), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(lost, 8);
    CHECK_EQ(rt_writer_abandon(writer, NULL), RT_ERR_HANDLE);
}

static void a_close_that_times_out_changes_nothing(void)
{
    int ends[2];
    rt_writer *writer;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 10, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, PIPE_SIZE + 10), PIPE_SIZE + 10), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_close(writer, 20000), RT_ERR_TIMEOUT);
    CHECK_EQ(account_of(writer).unwritten, 10);
    read_most(ends[0], &got, PIPE_SIZE);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "x", 1), RT_ERR_HANDLE);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, PIPE_SIZE + 10);
    bytes_free(&got);
}

static void what_is_abandoned_is_counted_to_the_byte_in_the_report(void)
{
    int ends[2];
    uint64_t lost = 0;
    rt_writer *writer;
    rt_report *report = NULL;
    rt_report_destination log;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 1000, RT_WRITER_OWNS_FD);
    CHECK_EQ(rt_writer_write(writer, stream(0, PIPE_SIZE + 700), PIPE_SIZE + 700), RT_OK);
    CHECK_EQ(rt_writer_abandon(writer, &lost), RT_OK);
    CHECK_EQ(lost, 700);
    read_most(ends[0], &got, SIZE_MAX); /* its end was closed: this ends */
    CHECK_STREAM(&got, PIPE_SIZE);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    log = destination_of(report, "log");
    CHECK_EQ(log.written, PIPE_SIZE);
    CHECK_EQ(log.unwritten, 700);
    CHECK_EQ(rt_report_free(report), RT_OK);
    bytes_free(&got);
}

static void *write_one(void *arg)
{
    return (void *)(intptr_t)rt_writer_write((rt_writer *)arg, "x", 1);
}

static void *write_one_watched(void *arg)
{
    void **pair = (void **)arg;
    pid_t tid = my_tid();
    __atomic_store_n((pid_t *)pair[1], tid, __ATOMIC_RELEASE);
    return write_one(pair[0]);
}

static void closing_a_writer_lets_those_go_who_wait_for_its_lock(void)
{
    int ends[2], abandons;
    for (abandons = 0; abandons < 2; abandons++) {
        pid_t tid = 0;
        void *pair[2], *status = NULL;
        pthread_t thread;
        rt_writer *writer;
        pipe_open(ends);
        writer = writer_open(NULL, ends[1], "log", 0, 0);
        CHECK_EQ(rt_writer_lock(writer), RT_OK);
        CHECK_EQ(rt_writer_write(writer, "12345678", 8), RT_OK);
        pair[0] = writer;
        pair[1] = &tid;
        thread = thread_start(write_one_watched, pair);
        while (__atomic_load_n(&tid, __ATOMIC_ACQUIRE) == 0) {
            sched_yield();
        }
        wait_until_asleep(tid);
        CHECK_EQ(abandons ? rt_writer_abandon(writer, NULL) : rt_writer_close(writer, -1), RT_OK);
        pthread_join(thread, &status);
        CHECK_EQ((intptr_t)status, RT_ERR_STATE);
    }
}

int main(void)
{
    RUN(a_closed_reader_is_an_error_and_not_the_end_of_the_process);
    RUN_POSIX(a_host_that_blocks_sigpipe_finds_none_pending, "SIGPIPE");
    RUN_POSIX(a_sigpipe_that_was_pending_stays_pending, "SIGPIPE");
    RUN(a_finalization_to_a_closed_pipe_ends_normally_and_counts_the_bytes);
    RUN(when_a_full_disk_has_room_again_each_byte_is_written_once);
    RUN_POSIX(a_file_that_may_not_grow_takes_a_part_and_the_rest_stays, "limit on a file");
    RUN(a_descriptor_closed_behind_the_writers_back_keeps_the_bytes);
    RUN(the_bytes_go_where_the_descriptor_leads_when_they_are_written);
    RUN(an_owned_descriptor_is_closed_and_a_lent_one_is_not);
    RUN(a_close_that_times_out_changes_nothing);
    RUN(what_is_abandoned_is_counted_to_the_byte_in_the_report);
    RUN(closing_a_writer_lets_those_go_who_wait_for_its_lock);
    return check_done();
}

/*
 * System calls that a sandbox refuses. The library makes several only because they do something better than
 * another one does: whichever of them a filter refuses, and by whatever error, no byte is lost and nothing
 * blocks, crashes or spins.
 */
#include "destination.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <termios.h>

enum { CAPACITY = 1000 };

static int refused_call, refused_by;

/* From here on the call gives this error to the thread and all that it makes. */
static void refuse(int call, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, filter};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0);
}

static void all_arrives(int in, int out)
{
    rt_writer *writer = writer_open(NULL, out, "whole", CAPACITY, 0);
    bytes got = {0};
    CHECK_EQ(rt_writer_write(writer, stream(0, 900), 900), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 1000000), RT_OK);
    read_most(in, &got, 900);
    CHECK_STREAM(&got, 900);
    CHECK_EQ(rt_writer_close(writer, 1000000), RT_OK);
    bytes_free(&got);
}

static int count_call(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static void live_and_end_without_the_call(void)
{
    int pipes[2], sockets[2], full[2], broken[2], pty, tty, file, called = 0;
    struct termios raw;
    rt_writer *writer;
    rt_report *report = NULL;
    rt_finalize_options options = options_exiting(20000000);
    uint64_t lost = 0;
    signal(SIGPIPE, SIG_DFL);
    pipe_open(pipes);
    pipe_open(full);
    pipe_open(broken);
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    pty = posix_openpt(O_RDWR | O_NOCTTY);
    NEED(pty >= 0 && grantpt(pty) == 0 && unlockpt(pty) == 0);
    tty = open(ptsname(pty), O_RDWR | O_NOCTTY);
    NEED(tty >= 0 && tcgetattr(tty, &raw) == 0);
    cfmakeraw(&raw);
    NEED(tcsetattr(tty, TCSANOW, &raw) == 0);
    file = file_without_name();
    NEED(write(full[1], stream(0, PIPE_SIZE), PIPE_SIZE) == PIPE_SIZE);
    close(broken[0]);
    refuse(refused_call, refused_by);
    all_arrives(pipes[0], pipes[1]);
    all_arrives(sockets[0], sockets[1]);
    all_arrives(pty, tty);
    writer = writer_open(NULL, file, "file", CAPACITY, 0);
    CHECK_EQ(rt_writer_write(writer, stream(0, 900), 900), RT_OK);
    writer = writer_open(NULL, full[1], "full", CAPACITY, 0);
    CHECK_EQ(rt_writer_write(writer, "12345", 5), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 10000), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_abandon(writer, &lost), RT_OK);
    CHECK_EQ(lost, 5);
    writer = writer_open(NULL, broken[1], "broken", CAPACITY, 0);
    CHECK_EQ(rt_writer_write(writer, "12345", 5), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 1000000), RT_ERR_IO); /* and no signal */
    CHECK(strstr(rt_last_error(), "Broken pipe") != NULL);
    CHECK_EQ(rt_writer_abandon(writer, &lost), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "count", count_call, &called, NULL), RT_OK);
    rt_finalize(NULL, &options, &report);
    CHECK_EQ(called, 1);
    CHECK_EQ(destination_of(report, "file").written, 900);
    CHECK_EQ(summary_of(report).unwritten, 10); /* of the two that were given up */
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void is_done_without(int call)
{
    static const int errors[] = {EPERM, ENOSYS, EACCES, EINVAL, EOPNOTSUPP};
    char said[4000];
    size_t i;
    refused_call = call;
    for (i = 0; i < sizeof errors / sizeof *errors; i++) {
        refused_by = errors[i];
        CHECK_EQ(exit_code_of(live_and_end_without_the_call, said, sizeof said), 97);
    }
}

#define DONE_WITHOUT(name, call) \
    static void name##_is_done_without(void) { is_done_without(call); }

DONE_WITHOUT(pwritev2, SYS_pwritev2)
DONE_WITHOUT(sendto, SYS_sendto)
DONE_WITHOUT(poll, SYS_poll)
DONE_WITHOUT(fstat, SYS_fstat)
DONE_WITHOUT(newfstatat, SYS_newfstatat)
DONE_WITHOUT(fcntl, SYS_fcntl)
DONE_WITHOUT(ioctl, SYS_ioctl)
DONE_WITHOUT(openat, SYS_openat)
DONE_WITHOUT(readlink, SYS_readlink)
DONE_WITHOUT(membarrier, SYS_membarrier)
DONE_WITHOUT(gettid, SYS_gettid)
DONE_WITHOUT(prctl, SYS_prctl)
DONE_WITHOUT(rt_sigprocmask, SYS_rt_sigprocmask)
DONE_WITHOUT(rt_sigpending, SYS_rt_sigpending)
DONE_WITHOUT(rt_sigtimedwait, SYS_rt_sigtimedwait)
DONE_WITHOUT(rt_sigaction, SYS_rt_sigaction)
DONE_WITHOUT(clock_nanosleep, SYS_clock_nanosleep)
DONE_WITHOUT(sched_yield, SYS_sched_yield)
DONE_WITHOUT(mincore, SYS_mincore)
DONE_WITHOUT(clone3, SYS_clone3)

/* What a plain write is refused by is an error, as ever. */
static void refuse_to_write(void)
{
    int fd = file_without_name();
    rt_writer *writer = writer_open(NULL, fd, "log", CAPACITY, 0);
    refuse(SYS_write, EPERM);
    CHECK_EQ(rt_writer_write(writer, "12345", 5), RT_OK);
    /* What it says goes to stderr by a call that is refused, too: so by its exit code. */
    _exit(rt_writer_flush(writer, -1) == RT_ERR_IO ? 44 : 45);
}

static void a_refused_write_is_an_error(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(refuse_to_write, said, sizeof said), 44);
}

int main(void)
{
    if (under_valgrind()) {
        printf("skipped refused_calls.c: a filter would be valgrind's, too\n");
        return check_done();
    }
    RUN(pwritev2_is_done_without);
    RUN(sendto_is_done_without);
    RUN(poll_is_done_without);
    RUN(fstat_is_done_without);
    RUN(newfstatat_is_done_without);
    RUN(fcntl_is_done_without);
    RUN(ioctl_is_done_without);
    RUN(openat_is_done_without);
    RUN(readlink_is_done_without);
    RUN(membarrier_is_done_without);
    RUN(gettid_is_done_without);
    RUN(prctl_is_done_without);
    RUN(rt_sigprocmask_is_done_without);
    RUN(rt_sigpending_is_done_without);
    RUN(rt_sigtimedwait_is_done_without);
    RUN(rt_sigaction_is_done_without);
    RUN(clock_nanosleep_is_done_without);
    RUN(sched_yield_is_done_without);
    RUN(mincore_is_done_without);
    RUN(clone3_is_done_without);
    RUN(a_refused_write_is_an_error);
    return check_done();
}

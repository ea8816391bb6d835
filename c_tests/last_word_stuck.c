/*
 * The last word of a process gets stuck in a write that never returns, as one to a file system that is gone:
 * another thread ends the process all the same, in time and with the host's exit code.
 *
 * Such a write is made by a filter that hands it to a supervisor, and the supervisor does not answer.
 */
#include "destination.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

enum { CODE = 75, BOUND_US = 10000000 };

/* From here on a write to this descriptor does not return. */
static void lose(int fd)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)fd, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {6, filter};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) >= 0);
}

static int never_return(void *arg)
{
    for (;;) {
        pause();
    }
    return arg == NULL;
}

static int answer_exit(const rt_event *event, void *arg)
{
    (void)arg;
    return event->kind == RT_EVENT_OVERRUN ? (int)RT_OVERRUN_EXIT : 0;
}

static void hold_bytes_for_what_is_lost(void)
{
    int fd = file_without_name();
    CHECK_EQ(rt_writer_write(writer_open(NULL, fd, "gone", 1000, 0), "record\n", 7), RT_OK);
    lose(fd);
}

static void hang_in_a_callback(void)
{
    rt_finalize_options options = options_exiting(200000);
    options.exit_code = CODE;
    hold_bytes_for_what_is_lost();
    /* Before the early flush, which would be stuck in it. */
    CHECK_EQ(rt_atexit(NULL, "never returns", never_return, NULL, NULL), RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void flush_what_is_lost(void)
{
    rt_finalize_options options = options_exiting(200000);
    options.exit_code = CODE;
    hold_bytes_for_what_is_lost();
    rt_finalize(NULL, &options, NULL);
}

/* The listener's word ends the process, on the finalizing thread: in the phase that waits for threads. */
static void *stay(void *arg)
{
    attach(NULL, "stays", 0, RT_POLICY_ERROR);
    event_set((event *)arg);
    never_return(NULL);
    return NULL;
}

static void be_ended_by_the_finalizing_thread(void)
{
    static event attached = EVENT_INIT;
    rt_finalize_options options = options_none();
    options.deadline_us = 10000000;
    options.exit_code = CODE;
    options.on_event = answer_exit;
    thread_start(stay, &attached);
    event_wait(&attached);
    hold_bytes_for_what_is_lost();
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_THREADS, 50000), RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void ends_in_time(void (*body)(void))
{
    char said[4000];
    int64_t began = now_us();
    CHECK_EQ(exit_code_of(body, said, sizeof said), CODE);
    CHECK(now_us() - began < BOUND_US);
    CHECK(strstr(said, "did not return, in write of descriptor") != NULL);
}

static void a_process_ends_though_its_last_word_is_stuck_in_a_write(void)
{
    ends_in_time(hang_in_a_callback);
}

static void a_process_ends_though_the_finalizing_thread_says_the_last_word(void)
{
    ends_in_time(be_ended_by_the_finalizing_thread);
}

/* Here the flush is what is stuck: its writer is counted, and nobody writes to it again. */
static void a_process_ends_though_a_flush_is_stuck_in_a_write(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(flush_what_is_lost, said, sizeof said), CODE);
    CHECK(strstr(said, "7 bytes of 1 writer not written (7 of them in a write that has not returned)") != NULL);
}

/* The watch thread is stuck in its own line. */
static void say_it_to_what_is_lost(void)
{
    rt_finalize_options options = options_exiting(300000);
    options.exit_code = CODE;
    options.notice_us = 50000;
    NEED(dup2(file_without_name(), STDERR_FILENO) >= 0);
    lose(STDERR_FILENO);
    CHECK_EQ(rt_atexit(NULL, "never returns", never_return, NULL, NULL), RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void a_process_ends_though_its_notices_are_stuck_in_a_write(void)
{
    char said[4000];
    CHECK_EQ(exit_code_of(say_it_to_what_is_lost, said, sizeof said), CODE);
}

int main(void)
{
    if (under_valgrind()) {
        printf("skipped last_word_stuck.c: a filter would be valgrind's, too\n");
        return check_done();
    }
    RUN(a_process_ends_though_its_last_word_is_stuck_in_a_write);
    RUN(a_process_ends_though_the_finalizing_thread_says_the_last_word);
    RUN(a_process_ends_though_a_flush_is_stuck_in_a_write);
    RUN(a_process_ends_though_its_notices_are_stuck_in_a_write);
    return check_done();
}

/*
 * What the tests of forks share: a file that both processes write to, and bounded children.
 *
 * Records are lines, so what arrived is compared as a sorted list: which process was faster says nothing.
 */
#ifndef FORKED_H
#define FORKED_H

#include "destination.h"

/* Where both processes write: a file, so that what arrived is there whoever read it when. */
static inline int sink_open(void)
{
    char path[] = "/tmp/rtfinalize-fork-XXXXXX";
    int fd = mkstemp(path);
    NEED(fd >= 0);
    NEED(unlink(path) == 0);
    NEED(fcntl(fd, F_SETFL, O_APPEND) == 0);
    return fd;
}

static inline int compare_lines(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What arrived, its lines sorted, is exactly `expected`, sorted too. */
#define CHECK_LINES(fd, expected) check_lines(__FILE__, __LINE__, (fd), (expected))
static inline void check_lines(const char *file, int line, int fd, const char *expected)
{
    bytes got = {NULL, 0, 0};
    char *lines[256], sorted[8192] = "";
    size_t count = 0, i;
    NEED(lseek(fd, 0, SEEK_SET) == 0);
    read_most(fd, &got, SIZE_MAX);
    bytes_add(&got, "", 1);
    for (char *rest = (char *)got.data, *one; (one = strsep(&rest, "\n")) != NULL;) {
        if (*one != '\0' && count < 256) {
            lines[count++] = one;
        }
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (i = 0; i < count; i++) {
        snprintf(sorted + strlen(sorted), sizeof sorted - strlen(sorted), "%s\n", lines[i]);
    }
    if (strcmp(sorted, expected) != 0) {
        fprintf(stderr, "arrived:\n%sexpected:\n%s", sorted, expected);
        check_fail(file, line, "other bytes arrived than were written");
    }
    bytes_free(&got);
}

static inline void say(rt_writer *writer, const char *text)
{
    CHECK_EQ(rt_writer_write(writer, text, strlen(text)), RT_OK);
}

/* The child ends with 0 if all its checks held. */
static inline void end_child(void)
{
    if (under_valgrind() && !check_failed_here) {
        /* Not by an exit: memcheck would count what the threads that were not copied had. */
        kill(getpid(), SIGKILL);
    }
    _exit(check_failed_here ? 1 : 0);
}

/* A fork, bounded in the child too: alarms are not inherited. */
static inline pid_t fork_bounded(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(CHECK_HANG_SECONDS / 2);
    }
    return child;
}

static inline void expect_good_end(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        NEED(errno == EINTR);
    }
    if (under_valgrind()) {
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    } else {
        CHECK(WIFEXITED(status));
        CHECK_EQ(WEXITSTATUS(status), 0);
    }
}

#endif

/* The observer: starts a host as a child process, holds the other ends of everything the host
   writes to, and keeps every byte that comes out of them. */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* No host takes this long; one that does hangs. */
enum { HANG_SECONDS = 60 };

int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void need(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "demo: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

void channel_trouble(struct channel *channel, const char *format, ...)
{
    va_list arguments;
    char text[sizeof channel->trouble];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!__atomic_exchange_n(&channel->in_trouble, 1, __ATOMIC_RELAXED)) {
        memcpy(channel->trouble, text, sizeof text);
    }
}

void wait_until_asleep(pid_t tid)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    for (;;) {
        FILE *stat = fopen(path, "r");
        const char *state = NULL;
        if (stat == NULL) {
            return;
        }
        if (fgets(line, sizeof line, stat) != NULL) {
            state = strrchr(line, ')');
        }
        fclose(stat);
        if (state == NULL || state[2] == 'S') {
            return;
        }
        usleep(200);
    }
}

/* Makes both ends of every connection: `host` for the child, `mine` for this process. */
static void connect_ends(struct ends *host, struct ends *mine)
{
    const char *directory = getenv("TMPDIR");
    char path[4096];
    int pair[2];
    snprintf(path, sizeof path, "%s/rtfinalize-demo-XXXXXX", directory ? directory : "/tmp");
    host->fd[APP_LOG] = mkstemp(path);
    need(host->fd[APP_LOG] >= 0, "mkstemp");
    mine->fd[APP_LOG] = open(path, O_RDONLY);
    need(mine->fd[APP_LOG] >= 0 && unlink(path) == 0, path);

    need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    mine->fd[METRICS] = pair[0];
    host->fd[METRICS] = pair[1];

    static const enum destination pipes[] = {STDOUT, ALERTS, UPLINK};
    for (size_t i = 0; i < sizeof pipes / sizeof pipes[0]; i++) {
        need(pipe(pair) == 0, "pipe");
        mine->fd[pipes[i]] = pair[0];
        host->fd[pipes[i]] = pair[1];
    }
    need(pipe(pair) == 0, "pipe");
    host->idle = pair[0];
    mine->idle = pair[1];
}

static void close_ends(const struct ends *ends)
{
    for (int i = 0; i < DESTINATIONS; i++) {
        close(ends->fd[i]);
    }
    close(ends->idle);
}

/* Reads once: how many bytes, 0 at the end. */
static size_t read_some(int fd, struct bytes *into)
{
    enum { CHUNK = 1 << 18 };
    ssize_t got;
    if (into->size - into->len < CHUNK) {
        into->size = 2 * into->size + CHUNK;
        into->data = realloc(into->data, into->size);
        need(into->data != NULL, "memory for what arrives");
    }
    do {
        got = read(fd, into->data + into->len, CHUNK);
    } while (got < 0 && errno == EINTR);
    /* A socket whose other end died with unread data says so instead of ending. */
    need(got >= 0 || errno == ECONNRESET, "read");
    into->len += got > 0 ? (size_t)got : 0;
    return got > 0 ? (size_t)got : 0;
}

/* Reads what the host sends to the ends that are read, until the host has gone. */
static void read_while_it_runs(const struct ends *mine, struct observation *seen)
{
    enum destination which[] = {STDOUT, METRICS};
    struct pollfd fds[] = {{mine->fd[STDOUT], POLLIN, 0}, {mine->fd[METRICS], POLLIN, 0}};
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        int ready = poll(fds, 2, -1);
        need(ready >= 0 || errno == EINTR, "poll");
        for (int i = 0; ready > 0 && i < 2; i++) {
            if (fds[i].revents != 0 && read_some(fds[i].fd, &seen->arrived[which[i]]) == 0) {
                fds[i].fd = -1;
            }
        }
    }
}

void observe(host_main host, const struct text *text, struct observation *seen)
{
    struct ends hosts, mine;
    int64_t began;
    pid_t child;
    memset(seen, 0, sizeof *seen);
    seen->channel = mmap(NULL, sizeof *seen->channel, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    need(seen->channel != MAP_FAILED, "mmap");
    connect_ends(&hosts, &mine);
    fflush(NULL);
    began = now_us();
    child = fork();
    need(child >= 0, "fork");
    if (child == 0) {
        close_ends(&mine);
        alarm(HANG_SECONDS); /* Its signal ends a host that hangs; the observer sees that. */
        exit(host(text, &hosts, seen->channel));
    }
    close_ends(&hosts);
    read_while_it_runs(&mine, seen);
    need(waitpid(child, &seen->wait_status, 0) == child, "waitpid");
    seen->took_us = now_us() - began;

    /* The host is gone: what its file and the pipes nobody read hold now is all that arrived. */
    static const enum destination rest[] = {APP_LOG, ALERTS, UPLINK};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++) {
        while (read_some(mine.fd[rest[i]], &seen->arrived[rest[i]]) > 0) {
        }
    }
    close_ends(&mine);
}

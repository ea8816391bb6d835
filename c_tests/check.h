/*
 * What the C tests share: checks that say what was expected, events to wait for instead of sleeping,
 * and a bound on everything (a test that hangs ends with a message).
 *
 * A test program is a main() that calls RUN for each test function and returns check_done(). Each
 * test is named after the behaviour it pins.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef _WIN32
#include "windows/posix.h"
#else
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#endif

#include "rtfinalize.h"

/* No test takes this long; one that does hangs. Under valgrind all takes longer. */
#ifndef CHECK_HANG_SECONDS
#define CHECK_HANG_SECONDS (check_in_valgrind() ? 300 : 60)
#endif

/* The exit code of a test that came to its end and whose checks all held: 0 is what one has, too, that ends on
   its way. */
enum { CHECK_HELD = 95 };

static inline int check_in_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "valgrind") != NULL;
}

static int check_failed_here;
static int check_passed;
static int check_failed;

static const char check_last_error[] = "\n  last error: ";

static inline void check_fail(const char *file, int line, const char *text)
{
    fprintf(stderr, "%s:%d: %s%s%s\n", file, line, text, check_last_error, rt_last_error());
    check_failed_here = 1;
}

/* A check that failed in a process of a test's own is the test's, whatever that process's exit code is. */
static inline void check_what_was_said(const char *said)
{
    if (strstr(said, check_last_error) != NULL) {
        fputs(said, stderr);
        check_failed_here = 1;
    }
}

/* Goes on after a failure, so that a test shows all that is wrong. */
#define CHECK(condition)                                       \
    do {                                                       \
        if (!(condition)) {                                    \
            check_fail(__FILE__, __LINE__, "not so: " #condition); \
        }                                                      \
    } while (0)

#define CHECK_EQ(actual, expected)                                                        \
    do {                                                                                  \
        long long check_a = (long long)(actual), check_e = (long long)(expected);         \
        if (check_a != check_e) {                                                         \
            char check_text[256];                                                         \
            snprintf(check_text, sizeof check_text, "%s is %lld, expected %s (%lld)",     \
                     #actual, check_a, #expected, check_e);                               \
            check_fail(__FILE__, __LINE__, check_text);                                   \
        }                                                                                 \
    } while (0)

/* The call is refused with this status, and the last error is about it. */
#define REFUSED(call, status)                                                      \
    do {                                                                           \
        CHECK_EQ((call), (status));                                                \
        CHECK(strstr(rt_last_error(), rt_strerror(status)) != NULL);               \
    } while (0)

/* For what a test needs and does not test: without it there is no sense in going on. */
#define NEED(condition)                                                        \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: needed: %s (%s)\n", __FILE__, __LINE__,    \
                    #condition, strerror(errno));                              \
            _exit(99);                                                         \
        }                                                                      \
    } while (0)

/* What a process of its own is given by the test that starts it. */
typedef struct given {
    const char *text; /* NULL: none */
    int fds[2];       /* descriptors, which may have other numbers there; -1: none */
} given;

#ifdef _WIN32
#include "windows/check.h"
#else

static inline void check_hang(int signal_number)
{
    static const char text[] = "the test hangs\n";
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)signal_number;
    (void)ignored;
    _exit(98);
}

/*
 * Runs a test in a process of its own: every test finalizes the default runtime if it wants to, leaves
 * parked threads behind, and may crash without taking the others along.
 */
static inline void check_run(const char *name, void (*test)(void))
{
    int status = 0;
    pid_t child;
    fflush(NULL);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        signal(SIGALRM, check_hang);
        alarm(CHECK_HANG_SECONDS);
        test();
        fflush(NULL);
        _exit(check_failed_here ? 1 : CHECK_HELD);
    }
    while (waitpid(child, &status, 0) < 0) {
        NEED(errno == EINTR);
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_HELD) {
        check_passed++;
        printf("ok %s\n", name);
    } else {
        check_failed++;
        if (WIFSIGNALED(status)) {
            printf("FAILED %s: killed by %s\n", name, strsignal(WTERMSIG(status)));
        } else {
            printf("FAILED %s: exit code %d\n", name, WEXITSTATUS(status));
        }
    }
    fflush(stdout);
}

/* The calling thread's number in the system. */
static inline pid_t my_tid(void)
{
    return (pid_t)syscall(SYS_gettid);
}

/* Runs `body` in a process of its own; its exit code, and what it said on stderr. */
static inline int exit_code_given(void (*body)(const given *), const given *g, char *said, size_t size)
{
    int ends[2], status = 0;
    size_t len = 0;
    ssize_t got;
    pid_t child;
    NEED(pipe(ends) == 0);
    fflush(NULL);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        signal(SIGALRM, check_hang);
        alarm((unsigned)CHECK_HANG_SECONDS / 2);
        NEED(dup2(ends[1], STDERR_FILENO) >= 0);
        close(ends[0]);
        close(ends[1]);
        body(g);
        _exit(97); /* it came to its end */
    }
    close(ends[1]);
    while ((got = read(ends[0], said + len, size - 1 - len)) > 0) {
        len += (size_t)got;
    }
    said[len] = '\0';
    close(ends[0]);
    check_what_was_said(said);
    NEED(waitpid(child, &status, 0) == child);
    NEED(WIFEXITED(status));
    return WEXITSTATUS(status);
}

#endif

static void (*check_plain_body)(void);

static inline void check_call_plain_body(const given *g)
{
    (void)g;
    check_plain_body();
}

/* The same for a body that is given nothing. */
static inline int exit_code_of(void (*body)(void), char *said, size_t size)
{
    const given none = {NULL, {-1, -1}};
    check_plain_body = body;
    return exit_code_given(check_call_plain_body, &none, said, size);
}

#define RUN(test) check_run(#test, test)

/* A test of something that only POSIX has. */
#ifdef _WIN32
#define RUN_POSIX(test, what) check_skip(#test, what)
#else
#define RUN_POSIX(test, what) RUN(test)
#endif

/* The closing line and the exit code. */
static inline int check_done(void)
{
    printf("%d passed, %d failed\n", check_passed, check_failed);
    return check_failed != 0;
}

/* An event: set once, waited for by any number of threads. */
typedef struct event {
    pthread_mutex_t mutex;
    pthread_cond_t set;
    int is_set;
} event;

#define EVENT_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static inline void event_set(event *e)
{
    pthread_mutex_lock(&e->mutex);
    e->is_set = 1;
    pthread_cond_broadcast(&e->set);
    pthread_mutex_unlock(&e->mutex);
}

static inline void event_wait(event *e)
{
    pthread_mutex_lock(&e->mutex);
    while (!e->is_set) {
        pthread_cond_wait(&e->set, &e->mutex);
    }
    pthread_mutex_unlock(&e->mutex);
}

#ifndef _WIN32

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The threads of this process, those of the library included. */
static inline int thread_count(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    int count = 0;
    NEED(tasks != NULL);
    while ((task = readdir(tasks)) != NULL) {
        count += task->d_name[0] != '.';
    }
    closedir(tasks);
    return count;
}

/*
 * Waits until a thread of this process sleeps in the kernel (or is gone): the only way to know that it
 * has arrived in a blocking call. `tid` is its gettid().
 */
static inline void wait_until_asleep(pid_t tid)
{
    char path[64], line[512];
    for (;;) {
        FILE *stat;
        char *state = NULL;
        snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
        stat = fopen(path, "r");
        if (stat == NULL) {
            return;
        }
        if (fgets(line, sizeof line, stat) != NULL) {
            state = strrchr(line, ')');
        }
        fclose(stat);
        if (state != NULL && state[2] == 'S') {
            return;
        }
        sched_yield();
    }
}

/* Waits until a thread of this process is gone. */
static inline void wait_until_gone(pid_t tid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d", (int)tid);
    while (access(path, F_OK) == 0) {
        sched_yield();
    }
}

#endif

#endif

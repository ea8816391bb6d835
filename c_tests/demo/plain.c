/*
 * The same host without the library, by CPython's rules:
 *
 *   - a writer's lock is a plain lock, held over the raw write;
 *   - daemon and native threads hang for good where they next want the interpreter's lock, whatever
 *     other lock they hold;
 *   - at exit stdout's lock is waited for at most a second. Who does not get it ends the process by
 *     a fatal error, and what the buffers held is gone.
 */
#include "demo.h"

#include <aio.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* CPython's patience with a held buffer at shutdown. */
enum { PATIENCE_S = 1 };

struct plain_writer {
    pthread_mutex_t lock;
    int fd;
    size_t len;
    char buffer[BUFFER_SIZE];
};

static const struct text *text;
static struct channel *channel;
static struct plain_writer writers[DESTINATIONS];
static int finalizing;
static sem_t group_may_begin, group_has_begun;
static pid_t alerter_tid, uploader_tid;

/* Called with the lock held: the raw write blocks if it must. */
static int flush_locked(struct plain_writer *writer)
{
    size_t done = 0;
    while (done < writer->len) {
        ssize_t wrote = write(writer->fd, writer->buffer + done, writer->len - done);
        if (wrote < 0 && errno != EINTR) {
            return -1;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    writer->len = 0;
    return 0;
}

static int write_locked(enum destination to, unsigned thread)
{
    struct plain_writer *writer = &writers[to];
    struct tally *accepted = &channel->accepted[to][thread];
    char record[RECORD_MAX];
    size_t len = record_make(record, text, to, thread, accepted->records);
    if (writer->len + len > BUFFER_SIZE && flush_locked(writer) != 0) {
        return -1;
    }
    memcpy(writer->buffer + writer->len, record, len);
    writer->len += len;
    accepted->records++;
    accepted->bytes += len;
    return 0;
}

static int log_record(enum destination to, unsigned thread)
{
    int result;
    pthread_mutex_lock(&writers[to].lock);
    result = write_locked(to, thread);
    pthread_mutex_unlock(&writers[to].lock);
    return result;
}

/* Where a thread takes the interpreter's lock: once finalizing it never gets it. */
static void take_gil(void)
{
    while (__atomic_load_n(&finalizing, __ATOMIC_ACQUIRE)) {
        pause();
    }
}

static void wait_for(sem_t *step)
{
    while (sem_wait(step) != 0 && errno == EINTR) {
    }
}

static void *logger(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    uint64_t bytes = 0;
    for (unsigned turn = me; bytes < SHARE; turn++) {
        enum destination to = turn % SHARED_DESTINATIONS;
        uint64_t before = channel->accepted[to][me].bytes;
        if (log_record(to, me) != 0) {
            break;
        }
        bytes += channel->accepted[to][me].bytes - before;
    }
    return NULL;
}

/* Daemon or native: here they end alike. */
static void *endless_logger(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    for (unsigned turn = me; log_record(turn % SHARED_DESTINATIONS, me) == 0; turn++) {
        take_gil();
    }
    return NULL;
}

static void *reporter(void *arg)
{
    (void)arg;
    wait_for(&group_may_begin);
    pthread_mutex_lock(&writers[STDOUT].lock);
    for (int i = 0; i < GROUP; i++) {
        write_locked(STDOUT, REPORTER);
    }
    sem_post(&group_has_begun);
    for (;;) {
        take_gil();
        sched_yield();
    }
    return NULL;
}

static void *stuck_logger(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    __atomic_store_n(me == ALERTER ? &alerter_tid : &uploader_tid, gettid(), __ATOMIC_RELEASE);
    while (log_record(me == ALERTER ? ALERTS : UPLINK, me) == 0) {
    }
    return NULL;
}

static void wait_until_stuck(pid_t *tid)
{
    while (__atomic_load_n(tid, __ATOMIC_ACQUIRE) == 0) {
        sched_yield();
    }
    wait_until_asleep(*tid);
}

static pthread_t start(void *(*body)(void *), unsigned thread)
{
    pthread_t started;
    if (pthread_create(&started, NULL, body, (void *)(uintptr_t)thread) != 0) {
        channel_trouble(channel, "no thread %u", thread);
    }
    return started;
}

/* CPython's flush at shutdown. */
static void flush_at_exit(enum destination to)
{
    struct timespec until;
    int64_t began = now_us();
    int got;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    got = pthread_mutex_timedlock(&writers[to].lock, &until);
    channel->exit_us += now_us() - began;
    if (got != 0) {
        fprintf(stderr,
                "Fatal Python error: _enter_buffered_busy: could not acquire lock for "
                "<_io.BufferedWriter name='<%s>'> at interpreter shutdown, possibly due to daemon "
                "threads\n",
                destination_names[to]);
        abort();
    }
    flush_locked(&writers[to]);
    pthread_mutex_unlock(&writers[to].lock);
}

static void run_callbacks_at_exit(void)
{
    log_record(APP_LOG, MAIN_THREAD);
    channel->callbacks_run++;
    fprintf(stderr, "Exception ignored in atexit callback: send_telemetry\n");
    channel->callbacks_run++;
    sem_post(&group_may_begin);
    wait_for(&group_has_begun);
    channel->callbacks_run++;
}

int host_without_library(const struct text *what, const struct ends *ends, struct channel *observer)
{
    static char read_buffer[4096];
    static struct aiocb operation;
    struct rlimit no_core = {0, 0};
    pthread_t loggers[3];

    text = what;
    channel = observer;
    setrlimit(RLIMIT_CORE, &no_core);
    sem_init(&group_may_begin, 0, 0);
    sem_init(&group_has_begun, 0, 0);
    for (int to = 0; to < DESTINATIONS; to++) {
        pthread_mutex_init(&writers[to].lock, NULL);
        writers[to].fd = ends->fd[to];
    }
    operation.aio_fildes = ends->idle;
    operation.aio_buf = read_buffer;
    operation.aio_nbytes = sizeof read_buffer;
    aio_read(&operation);

    start(reporter, REPORTER);
    start(stuck_logger, ALERTER);
    start(stuck_logger, UPLOADER);
    for (unsigned i = 0; i < 3; i++) {
        loggers[i] = start(logger, LOGGER + i);
        start(endless_logger, DAEMON_LOGGER + i);
    }
    for (unsigned i = 0; i < 2; i++) {
        start(endless_logger, NATIVE_LOGGER + i);
    }
    wait_until_stuck(&alerter_tid);
    wait_until_stuck(&uploader_tid);

    /* Py_FinalizeEx: non-daemon threads, callbacks, the point of no return, stdout. */
    for (unsigned i = 0; i < 3; i++) {
        pthread_join(loggers[i], NULL);
    }
    run_callbacks_at_exit();
    __atomic_store_n(&finalizing, 1, __ATOMIC_RELEASE);
    flush_at_exit(STDOUT);
    /* Not reached: the other files are flushed when the modules are cleared, much later. */
    for (int to = 0; to < DESTINATIONS; to++) {
        flush_at_exit(to);
    }
    channel->callbacks_run++;
    return 0;
}

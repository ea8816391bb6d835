/*
 * The host with the library: the example to read.
 *
 * It logs lines through writers from threads of all kinds, and calls rt_finalize while
 *   - a daemon thread is in the middle of a group of lines, holding the lock of `stdout`,
 *   - another waits for room in `alerts`, a pipe nobody reads,
 *   - another sits in a blocked write(2) for `uplink`, with the writer's lock held,
 *   - an AIO read is in flight on a pipe that never has anything to read,
 *   - a thread has forgotten to release a guard, so that a phase overruns,
 *   - callbacks are registered, of which one fails.
 */
#include "demo.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rtfinalize.h"

enum { AIO_READ_SIZE = 4096 };

static const struct text *text;
static struct channel *channel;
static rt_writer *writers[DESTINATIONS];

/* Steps one thread waits for another to reach. */
static sem_t logger_is_attached, alerts_are_full, uplink_is_open, group_may_begin, group_has_begun,
    guard_is_open;
static pid_t alerter_tid, uploader_tid;

/* Logs the next record of a thread at a destination. Only what the writer accepted is counted; a
   record it refused is the next one again. */
static rt_status log_record(enum destination to, unsigned thread, int64_t timeout_us)
{
    struct tally *accepted = &channel->accepted[to][thread];
    char record[RECORD_MAX];
    size_t len = record_make(record, text, to, thread, accepted->records);
    rt_status status = rt_writer_write_timed(writers[to], record, len, timeout_us);
    if (status == RT_OK) {
        accepted->records++;
        accepted->bytes += len;
    } else if (status != RT_ERR_FINALIZING && status != RT_ERR_TIMEOUT) {
        channel_trouble(channel, "thread %u could not log to %s: %s", thread, destination_names[to],
                        rt_last_error());
    }
    return status;
}

static void wait_for(sem_t *step)
{
    while (sem_wait(step) != 0 && errno == EINTR) {
    }
}

/* Attaches the calling thread and goes inside, as a thread of a language runtime does. */
static rt_thread *begin_thread(const char *name, int is_daemon)
{
    rt_thread_options options = {.struct_size = sizeof options, .name = name, .daemon = is_daemon};
    rt_thread *thread = NULL;
    if (rt_thread_attach(NULL, &options, &thread) != RT_OK || rt_thread_enter(thread) != RT_OK) {
        channel_trouble(channel, "thread '%s' could not attach: %s", name, rt_last_error());
        pthread_exit(NULL);
    }
    return thread;
}

/* Finishes its share; rt_finalize waits for it to detach. */
static void *logger(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    rt_thread *thread = begin_thread("logger", 0);
    uint64_t bytes = 0;
    sem_post(&logger_is_attached);
    for (unsigned turn = me; bytes < SHARE; turn++) {
        enum destination to = turn % SHARED_DESTINATIONS;
        uint64_t before = channel->accepted[to][me].bytes;
        if (log_record(to, me, -1) != RT_OK || rt_thread_checkpoint(thread) != RT_OK) {
            channel_trouble(channel, "logger %u was stopped before its share was done", me);
            break;
        }
        bytes += channel->accepted[to][me].bytes - before;
    }
    rt_thread_detach(thread);
    return NULL;
}

/* Logs until it is stopped: the checkpoint does not return then. */
static void *daemon_logger(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    rt_thread *thread = begin_thread("daemon logger", 1);
    for (unsigned turn = me; rt_thread_checkpoint(thread) == RT_OK; turn++) {
        log_record(turn % SHARED_DESTINATIONS, me, -1);
    }
    return NULL;
}

/* Never attaches; it learns of the exit by the writer's answer. */
static void *native_logger(void *arg)
{
    unsigned me = (unsigned)(uintptr_t)arg;
    for (unsigned turn = me; log_record(turn % SHARED_DESTINATIONS, me, -1) == RT_OK; turn++) {
    }
    return NULL;
}

/* Will be stopped in the middle of a group of lines, with the writer's lock held. */
static void *reporter(void *arg)
{
    rt_thread *thread = begin_thread("reporter", 1);
    (void)arg;
    rt_thread_leave(thread);
    wait_for(&group_may_begin);
    rt_thread_enter(thread);
    if (rt_writer_lock(writers[STDOUT]) != RT_OK) {
        channel_trouble(channel, "the reporter has no lock: %s", rt_last_error());
    }
    for (int i = 0; i < GROUP; i++) {
        log_record(STDOUT, REPORTER, -1);
    }
    sem_post(&group_has_begun);
    while (rt_thread_checkpoint(thread) == RT_OK) {
        sched_yield(); /* It computes what the next line of the group shall be. */
    }
    return NULL;
}

/* Fills the pipe and the buffer, then waits for room in rt_writer_write. */
static void *alerter(void *arg)
{
    begin_thread("alerter", 1);
    (void)arg;
    while (log_record(ALERTS, ALERTER, 0) == RT_OK) {
    }
    alerter_tid = gettid();
    sem_post(&alerts_are_full);
    while (log_record(ALERTS, ALERTER, -1) == RT_OK) {
    }
    return NULL;
}

/* The uplink: a driver of the host's that can only block. */
static struct uplink {
    int fd;
    pthread_t user;    /* the thread that may block in it */
    rt_thread *thread; /* its attachment */
    int calls;
} uplink;

static int64_t uplink_write(void *arg, const void *data, size_t len)
{
    struct uplink *to = arg;
    ssize_t taken;
    if (!pthread_equal(pthread_self(), to->user)) {
        return -EAGAIN; /* The thread that finalizes must not be stuck here. */
    }
    __atomic_add_fetch(&to->calls, 1, __ATOMIC_RELEASE);
    rt_thread_leave(to->thread);
    taken = write(to->fd, data, len);
    if (taken < 0) {
        taken = -errno;
    } else {
        /* The thread can be parked as it enters: what was taken must be known before. */
        rt_writer_publish_progress(writers[UPLINK], (size_t)taken);
    }
    rt_thread_enter(to->thread);
    return taken;
}

static void *uploader(void *arg)
{
    (void)arg;
    uplink.user = pthread_self();
    uplink.thread = begin_thread("uploader", 1);
    uploader_tid = gettid();
    sem_post(&uplink_is_open);
    while (log_record(UPLINK, UPLOADER, -1) == RT_OK) {
    }
    return NULL;
}

/* The uploader sleeps, and not in its first calls, for which the pipe has room. */
static void wait_until_uplink_is_stuck(void)
{
    int calls = 0;
    wait_for(&uplink_is_open);
    do {
        calls = __atomic_load_n(&uplink.calls, __ATOMIC_ACQUIRE);
        wait_until_asleep(uploader_tid);
    } while (calls == 0 || calls != __atomic_load_n(&uplink.calls, __ATOMIC_ACQUIRE));
}

/* A library in the process that pins the runtime for its callbacks, and never lets go. */
static void *crash_reporter(void *arg)
{
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    (void)arg;
    if (rt_view_from(NULL, &view) != RT_OK ||
        rt_guard_acquire(view, FORGOTTEN_GUARD, &guard) != RT_OK) {
        channel_trouble(channel, "no guard: %s", rt_last_error());
    }
    sem_post(&guard_is_open);
    for (;;) {
        pause();
    }
    return NULL;
}

/* Hears what overruns, while it does. By the option the wait for it ends then. */
static int32_t on_event(const rt_event *event, void *arg)
{
    (void)arg;
    if (event->kind == RT_EVENT_OVERRUN && event->subject == RT_SUBJECT_GUARD &&
        strcmp(event->name, FORGOTTEN_GUARD) == 0) {
        channel->guards_told++;
    }
    return 0;
}

/* Callbacks at exit. They run last in, first out. */
static int say_goodbye(void *arg)
{
    (void)arg;
    channel->callbacks_run++;
    return log_record(APP_LOG, MAIN_THREAD, -1) == RT_OK ? 0 : -1;
}

static int send_telemetry(void *arg)
{
    (void)arg;
    channel->callbacks_run++;
    return -1; /* No network any more. */
}

/* The bad moment: from here on a daemon thread holds the lock of stdout. */
static int begin_group(void *arg)
{
    (void)arg;
    channel->callbacks_run++;
    sem_post(&group_may_begin);
    wait_for(&group_has_begun);
    return 0;
}

static int remove_pid_file(void *arg)
{
    (void)arg;
    channel->callbacks_run++;
    return 0;
}

static pthread_t start(void *(*body)(void *), unsigned thread)
{
    pthread_t started;
    if (pthread_create(&started, NULL, body, (void *)(uintptr_t)thread) != 0) {
        channel_trouble(channel, "no thread %u", thread);
    }
    return started;
}

static void open_writers(const struct ends *ends)
{
    rt_writer_callbacks callbacks = {
        .struct_size = sizeof callbacks, .write = uplink_write, .arg = &uplink};
    uplink.fd = ends->fd[UPLINK];
    for (int to = 0; to < DESTINATIONS; to++) {
        rt_writer_options options = {.struct_size = sizeof options,
                                     .name = destination_names[to],
                                     .capacity = BUFFER_SIZE};
        rt_status status = to == UPLINK
            ? rt_writer_open_callbacks(NULL, &callbacks, &options, &writers[to])
            : rt_writer_open_fd(NULL, ends->fd[to], &options, &writers[to]);
        if (status != RT_OK) {
            channel_trouble(channel, "no writer '%s': %s", destination_names[to], rt_last_error());
        }
    }
}

/* Hands the report's numbers to the observer. */
static void pass_on(const rt_report *report)
{
    rt_report_summary summary = {.struct_size = sizeof summary};
    rt_report_destination entry = {.struct_size = sizeof entry};
    rt_report_leak leak = {.struct_size = sizeof leak};
    if (rt_report_get_summary(report, &summary) == RT_OK) {
        channel->failures = summary.failures;
    }
    for (size_t i = 0; rt_report_get_destination(report, i, &entry) == RT_OK; i++) {
        for (int to = 0; to < DESTINATIONS; to++) {
            if (strcmp(entry.name, destination_names[to]) == 0) {
                channel->reported[to] = (struct reported){
                    1, entry.accepted, entry.written, entry.unwritten, entry.in_flight,
                    entry.recovered};
            }
        }
    }
    for (size_t i = 0; rt_report_get_leak(report, i, &leak) == RT_OK; i++) {
        channel->kept_for_kernel += leak.kind == RT_LEAK_OVERLAPPED;
    }
    channel->runaways = summary.runaways;
}

int host_with_library(const struct text *what, const struct ends *ends, struct channel *observer)
{
    rt_finalize_options options = {.struct_size = sizeof options, .grace_us = GRACE_US,
                                   .on_event = on_event};
    rt_report *report = NULL;
    rt_overlapped *operation = NULL;
    pthread_t natives[2];
    int64_t began;

    text = what;
    channel = observer;
    sem_init(&logger_is_attached, 0, 0);
    sem_init(&alerts_are_full, 0, 0);
    sem_init(&uplink_is_open, 0, 0);
    sem_init(&group_may_begin, 0, 0);
    sem_init(&group_has_begun, 0, 0);
    sem_init(&guard_is_open, 0, 0);

    open_writers(ends);
    rt_atexit(NULL, "begin group", begin_group, NULL, NULL);
    rt_atexit(NULL, "send telemetry", send_telemetry, NULL, NULL);
    rt_atexit(NULL, "say goodbye", say_goodbye, NULL, NULL);
    rt_exit_function(NULL, "remove pid file", remove_pid_file, NULL, NULL);
    rt_runtime_set_budget(NULL, RT_PHASE_OVERLAPPED, OPERATIONS_US);
    rt_runtime_set_budget(NULL, RT_PHASE_GUARDS, GUARDS_US);
    rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_FROZEN, ROOM_US);
    rt_runtime_set_budget(NULL, RT_PHASE_FLUSH_LATE, ROOM_US);
    if (rt_overlapped_aio_read(NULL, ends->idle, AIO_READ_SIZE, 0, "idle read", &operation) !=
        RT_OK) {
        channel_trouble(channel, "no AIO read: %s", rt_last_error());
    }

    start(reporter, REPORTER);
    start(alerter, ALERTER);
    start(uploader, UPLOADER);
    start(crash_reporter, 0);
    wait_for(&guard_is_open);
    for (unsigned i = 0; i < 3; i++) {
        start(logger, LOGGER + i);
        start(daemon_logger, DAEMON_LOGGER + i);
    }
    for (unsigned i = 0; i < 2; i++) {
        natives[i] = start(native_logger, NATIVE_LOGGER + i);
    }
    for (unsigned i = 0; i < 3; i++) {
        wait_for(&logger_is_attached); /* Who has not attached is not waited for. */
    }
    wait_for(&alerts_are_full);
    wait_until_asleep(alerter_tid);
    wait_until_uplink_is_stuck();

    began = now_us();
    channel->status = rt_finalize(NULL, &options, &report);
    channel->exit_us = now_us() - began;
    if (report == NULL) {
        channel_trouble(channel, "no report: %s", rt_last_error());
        return 1;
    }

    /* Native threads were told, and end by themselves. The others are parked, or in the kernel. */
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(natives[i], NULL);
    }
    pass_on(report);
    rt_report_write(report, RT_REPORT_TEXT, STDOUT_FILENO);
    rt_report_free(report);
    return 0;
}

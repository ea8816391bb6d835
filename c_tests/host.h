/*
 * What several C tests need of a host: threads with their system number, callbacks that write a
 * diary, and looks into an operation and a report.
 */
#ifndef HOST_H
#define HOST_H

#include "check.h"

static inline pthread_t thread_start(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, body, arg) == 0);
    return thread;
}

/* An event that is set from a callback: returns 0. */
static inline int set_event(void *e)
{
    event_set((event *)e);
    return 0;
}

static inline int event_is_set(event *e)
{
    int is_set;
    pthread_mutex_lock(&e->mutex);
    is_set = e->is_set;
    pthread_mutex_unlock(&e->mutex);
    return is_set;
}

/* A destination that takes all and keeps nothing. */
#ifdef _WIN32
#define NULL_DEVICE "NUL"
#else
#define NULL_DEVICE "/dev/null"
#endif

/* A byte through a pipe: what a thread "blocked in a read" reads. */
typedef struct tube {
    int out, in;
} tube;

static inline tube tube_open(void)
{
    int ends[2];
    tube t;
    NEED(pipe(ends) == 0);
    t.out = ends[0];
    t.in = ends[1];
    return t;
}

static inline void tube_put(tube *t)
{
    NEED(write(t->in, "x", 1) == 1);
}

static inline void tube_get(tube *t)
{
    char byte;
    ssize_t got;
    do {
        got = read(t->out, &byte, 1);
    } while (got < 0 && errno == EINTR);
}

/* Whether valgrind runs this, so slowly that long loops are cut; it preloads itself by name. */
static inline int under_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

/* A runtime of the test's own. */
static inline rt_runtime *runtime_new(const char *name)
{
    rt_runtime *runtime = NULL;
    NEED(rt_runtime_new(name, &runtime) == RT_OK);
    return runtime;
}

/* Attaches the calling thread. */
static inline rt_thread *attach(rt_runtime *runtime, const char *name, uint32_t daemon,
                                uint32_t policy)
{
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = name;
    options.daemon = daemon;
    options.policy = policy;
    CHECK_EQ(rt_thread_attach(runtime, &options, &thread), RT_OK);
    return thread;
}

static inline rt_finalize_options options_none(void)
{
    rt_finalize_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static inline rt_finalize_options options_with_deadline(int64_t deadline_us)
{
    rt_finalize_options options = options_none();
    options.deadline_us = deadline_us;
    return options;
}

static inline rt_finalize_options options_with_grace(int64_t grace_us)
{
    rt_finalize_options options = options_none();
    options.grace_us = grace_us;
    return options;
}

/* With these the process ends at the deadline. */
static inline rt_finalize_options options_exiting(int64_t deadline_us)
{
    rt_finalize_options options = options_with_deadline(deadline_us);
    options.overrun = RT_OVERRUN_EXIT;
    return options;
}

static inline rt_report_summary summary_of(const rt_report *report)
{
    rt_report_summary summary;
    memset(&summary, 0, sizeof summary);
    summary.struct_size = sizeof summary;
    CHECK_EQ(rt_report_get_summary(report, &summary), RT_OK);
    return summary;
}

/* The operation has read exactly this. */
static inline void check_data(rt_overlapped *op, const void *expected, size_t size)
{
    const void *data = NULL;
    size_t got = 12345;
    CHECK_EQ(rt_overlapped_data(op, &data, &got), RT_OK);
    CHECK_EQ(got, size);
    CHECK(got == size && memcmp(data, expected, size) == 0);
}

/* Whether the report for a person mentions something. */
static inline int report_says(const rt_report *report, const char *what)
{
    size_t needed = 0;
    char *text;
    int says;
    rt_report_format(report, RT_REPORT_TEXT, NULL, 0, &needed);
    text = (char *)malloc(needed + 1);
    NEED(text != NULL);
    CHECK_EQ(rt_report_format(report, RT_REPORT_TEXT, text, needed, NULL), RT_OK);
    says = strstr(text, what) != NULL;
    if (!says) {
        fprintf(stderr, "the report does not say '%s':\n%s\n", what, text);
    }
    free(text);
    return says;
}

#endif

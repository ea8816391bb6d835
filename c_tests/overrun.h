/*
 * What the tests of overruns share: a host that hears of each overrun, and a thread that blocks until then.
 *
 * A budget is short, and what overruns it waits for the event: no test depends on how fast it runs.
 */
#ifndef OVERRUN_H
#define OVERRUN_H

#include "diary.h"

/* What the system says of a thread that is blocked in a read, or asleep: the call, or on Windows the name that the
   thread has given itself. */
#ifdef _WIN32
#define IN_A_READ "called 'F\u00e4den-\u4e2d'"
#define ASLEEP IN_A_READ

/* MinGW declares it for no version of Windows that we ask for. */
typedef HRESULT(WINAPI *set_description)(HANDLE thread, const wchar_t *name);

static inline void name_this_thread(void)
{
    set_description set = (set_description)(void (*)(void))GetProcAddress(GetModuleHandleA("kernel32.dll"),
                                                                          "SetThreadDescription");
    NEED(set != NULL && set(GetCurrentThread(), L"F\u00e4den-\u4e2d") >= 0);
}
#else
#define IN_A_READ "in read of descriptor"
#define ASLEEP "asleep"

static inline void name_this_thread(void)
{
}
#endif

/* The system says so of a read of this descriptor. */
static inline int is_in_read(const char *whereabouts, int fd)
{
#ifdef _WIN32
    (void)fd;
    return strcmp(whereabouts, IN_A_READ) == 0;
#else
    char expected[64];
    snprintf(expected, sizeof expected, IN_A_READ " %d (pipe:[", fd);
    return strncmp(whereabouts, expected, strlen(expected)) == 0;
#endif
}

/* A budget to be overrun. */
enum { BUDGET_US = 20000 };

/* Long enough to come to the callback that is stuck then. */
static inline int64_t time_to_get_there(void)
{
    return under_valgrind() ? 5000000 : 300000;
}

/* A diary whose overruns are also written to a pipe, on which a test can wait for them. */
typedef struct alarm_bell {
    diary d;
    tube rung;
    size_t answers; /* how many answers from below are given; then the diary's */
    int32_t first[4];
    int64_t made_at;
} alarm_bell;

static inline int32_t ring(const rt_event *event, void *arg)
{
    alarm_bell *b = (alarm_bell *)arg;
    int32_t answer = diary_hear(event, &b->d);
    if (event->kind == RT_EVENT_OVERRUN) {
        const size_t nth = diary_count(&b->d, RT_EVENT_OVERRUN) - 1;
        if (nth < b->answers) {
            answer = b->first[nth];
        }
        tube_put(&b->rung);
    }
    return answer;
}

static inline rt_finalize_options options_ringing(alarm_bell *b)
{
    rt_finalize_options options = options_none();
    b->rung = tube_open();
    b->made_at = now_us();
    name_this_thread();
    options.on_event = ring;
    options.event_arg = b;
    options.notice_us = -1;
    return options;
}

/* A callback that returns once its overrun was told twice. */
static inline int wait_until_told_twice(void *arg)
{
    alarm_bell *b = (alarm_bell *)arg;
    tube_get(&b->rung);
    tube_get(&b->rung);
    return 0;
}

/* A non-daemon thread that is blocked in a read of a pipe, outside or inside the runtime. */
typedef struct reader_thread {
    tube input;
    int inside;
    pid_t tid;
    event attached;
} reader_thread;

static inline void *read_the_pipe(void *arg)
{
    reader_thread *r = (reader_thread *)arg;
    rt_thread *thread = attach(NULL, "reader", 0, RT_POLICY_ERROR);
    r->tid = my_tid();
    name_this_thread();
    if (r->inside) {
        CHECK_EQ(rt_thread_enter(thread), RT_OK);
    }
    event_set(&r->attached);
    tube_get(&r->input);
    if (r->inside && rt_thread_checkpoint(thread) == RT_OK) {
        CHECK_EQ(rt_thread_leave(thread), RT_OK);
    }
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static inline pthread_t reader_thread_start(reader_thread *r)
{
    pthread_t thread;
    r->input = tube_open();
    thread = thread_start(read_the_pipe, r);
    event_wait(&r->attached);
    wait_until_asleep(r->tid);
    return thread;
}

#endif

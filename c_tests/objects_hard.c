/*
 * Tracked objects when it gets hard: dealloc callbacks that call the library, runaways and other
 * threads, endless chains, a million of them.
 */
#include "heap_use.h"
#include "objects.h"
#include <fcntl.h>

/* What dealloc may not do, and what it may. */
typedef struct culprit {
    rt_runtime *runtime;
    rt_writer *writer;
    rt_thread *thread;
    rt_object other;
    rt_buffered_lock lock;
    int dealloc_ran;
} culprit;

static int touch_the_runtime(void *arg)
{
    culprit *c = (culprit *)arg;
    rt_buffered_lock lock;
    rt_report *report = NULL;
    REFUSED(rt_writer_write(c->writer, "x", 1), RT_ERR_IN_DEALLOC);
    REFUSED(rt_writer_write(c->writer, "x", 1), RT_ERR_IN_DEALLOC);
    REFUSED(rt_thread_enter(c->thread), RT_ERR_IN_DEALLOC);
    REFUSED(rt_atexit(c->runtime, NULL, set_event, NULL, NULL), RT_ERR_IN_DEALLOC);
    REFUSED(rt_object_track(c->runtime, NULL, NULL, dealloc, NULL, NULL), RT_ERR_IN_DEALLOC);
    REFUSED(rt_object_untrack(c->runtime, c->other), RT_ERR_IN_DEALLOC);
    REFUSED(rt_finalize(c->runtime, NULL, &report), RT_ERR_IN_DEALLOC);
    REFUSED(rt_runtime_state(c->runtime), RT_ERR_IN_DEALLOC);
    REFUSED(rt_buffered_lock_init_for(&lock, c->runtime), RT_ERR_IN_DEALLOC);
    CHECK_EQ(rt_finalize_ex(), -1);
    /* C data. */
    CHECK_EQ(rt_buffered_lock_acquire(&c->lock), RT_OK);
    REFUSED(rt_buffered_lock_acquire_timed(&c->lock, 0), RT_ERR_REENTRANT);
    CHECK_EQ(rt_buffered_lock_release(&c->lock), RT_OK);
    CHECK_EQ(rt_is_finalizing(), 0);
    CHECK_EQ(rt_version(), RT_VERSION_NUMBER);
    CHECK_EQ(rt_report_free(NULL), RT_OK);
    c->dealloc_ran++;
    return 0;
}

/* The report lists each kind of call, and their counts add up to the total. */
static void check_violations(const rt_report *report)
{
    rt_report_violation violation;
    uint64_t sum = 0;
    size_t index = 0;
    int writes = 0;
    violation.struct_size = sizeof violation;
    while (rt_report_get_violation(report, index, &violation) == RT_OK) {
        CHECK(strcmp(violation.object, "cursor") == 0);
        if (strcmp(violation.call, "rt_writer_write") == 0) {
            writes++;
            CHECK_EQ(violation.count, 2);
        }
        sum += violation.count;
        index++;
    }
    CHECK_EQ(writes, 1);
    CHECK_EQ(sum, summary_of(report).violations);
    REFUSED(rt_report_get_violation(report, index, &violation), RT_ERR_NOT_FOUND);
    violation.struct_size = 1;
    REFUSED(rt_report_get_violation(report, 0, &violation), RT_ERR_STRUCT_SIZE);
}

static void calls_inside_dealloc_are_refused_counted_and_named(void)
{
    culprit c = {.runtime = runtime_new("x"), .lock = RT_BUFFERED_LOCK_INIT};
    rt_report *report;
    int fd = open(NULL_DEVICE, O_WRONLY);
    NEED(fd >= 0);
    CHECK_EQ(rt_writer_open_fd(c.runtime, fd, NULL, &c.writer), RT_OK);
    c.thread = attach(c.runtime, "main", 0, 0);
    CHECK_EQ(rt_object_track(c.runtime, "other", NULL, set_event, NULL, &c.other), RT_OK);
    CHECK_EQ(rt_object_untrack(c.runtime, c.other), RT_OK);
    CHECK_EQ(rt_object_track(c.runtime, "cursor", NULL, touch_the_runtime, &c, NULL), RT_OK);
    report = finalized(c.runtime, RT_OK);
    CHECK_EQ(c.dealloc_ran, 1);
    CHECK_EQ(summary_of(report).violations, 10);
    CHECK_EQ(summary_of(report).late_calls, 0);
    CHECK(report_says(report, "cursor  rt_writer_write            2 calls\n"));
    CHECK(report_says(report, "cursor  rt_thread_enter"));
    CHECK(report_says(report, "cursor  rt_atexit"));
    CHECK(report_says(report, "cursor  rt_finalize "));
    CHECK(report_says(report, "cursor  rt_finalize_ex"));
    check_violations(report);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_writer_close(c.writer, 0), RT_OK);
    CHECK_EQ(close(fd), 0);
}

typedef struct runaway {
    rt_runtime *runtime;
    event inside, go;
} runaway;

static void *run_away(void *arg)
{
    runaway *r = (runaway *)arg;
    rt_thread *thread = attach(r->runtime, "runaway", 1, RT_POLICY_ERROR);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    event_set(&r->inside);
    event_wait(&r->go);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static void nothing_is_deallocated_that_a_runaway_may_touch(void)
{
    runaway r = {runtime_new("x"), EVENT_INIT, EVENT_INIT};
    object a;
    rt_report *report = NULL;
    rt_report_leak leak = {.struct_size = sizeof leak};
    pthread_t thread = thread_start(run_away, &r);
    event_wait(&r.inside);
    CHECK_EQ(rt_runtime_set_budget(r.runtime, RT_PHASE_FREEZE, 1000), RT_OK);
    track(&a, r.runtime, 'A');
    for (int i = 0; i < 3000; i++) {
        CHECK_EQ(rt_object_track(r.runtime, "buffer", NULL, dealloc, &a, NULL), RT_OK);
    }
    CHECK_EQ(rt_finalize(r.runtime, NULL, &report), RT_ERR_INCOMPLETE);
    check_diary("A");
    CHECK_EQ(summary_of(report).runaways, 1);
    CHECK_EQ(summary_of(report).leaks, 2);
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_OK);
    CHECK_EQ(leak.kind, RT_LEAK_OBJECT);
    CHECK(strcmp(leak.name, "A") == 0);
    CHECK_EQ(rt_report_get_leak(report, 1, &leak), RT_OK);
    CHECK(strcmp(leak.name, "buffer") == 0);
    CHECK(strstr(leak.reason, "(3000 objects)") != NULL);
    REFUSED(rt_object_untrack(r.runtime, a.handle), RT_ERR_HANDLE);
    event_set(&r.go);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(r.runtime), RT_OK);
}

static int track_another(void *arg)
{
    object *o = (object *)arg;
    o->answer++;
    CHECK_EQ(rt_object_track(o->runtime, "endless", track_another, NULL, o, NULL), RT_OK);
    return 0;
}

static void objects_that_track_one_another_endlessly_end_at_a_bound(void)
{
    rt_runtime *runtime = runtime_new("x");
    object endless = {.runtime = runtime};
    rt_report *report;
    if (under_valgrind()) {
        printf("skipped objects_that_track_one_another_endlessly_end_at_a_bound: "
               "millions of callbacks take too long under valgrind\n");
        CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
        return;
    }
    CHECK_EQ(rt_object_track(runtime, "endless", track_another, NULL, &endless, NULL), RT_OK);
    report = finalized(runtime, RT_ERR_INCOMPLETE);
    CHECK(endless.answer >= 1000000);
    CHECK(report_says(report, "objects that tracked one another"));
    CHECK(report_says(report, "it was not finalized"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* Each depends on the one tracked after it: last in first out is wrong at every step. */
static int in_turn(void *arg)
{
    static uintptr_t next;
    CHECK_EQ((uintptr_t)arg, next++);
    return 0;
}

static int again_in_turn(void *arg)
{
    static uintptr_t next;
    CHECK_EQ((uintptr_t)arg, next++);
    return 0;
}

static void a_chain_of_dependencies_may_be_as_long_as_it_likes(void)
{
    const uintptr_t length = under_valgrind() ? 2000 : 200000;
    rt_runtime *runtime = runtime_new("x");
    rt_object last = 0;
    for (uintptr_t i = 0; i < length; i++) {
        rt_object object;
        CHECK_EQ(rt_object_track(runtime, "link", in_turn, again_in_turn, (void *)i, &object),
                 RT_OK);
        if (i > 0) {
            CHECK_EQ(rt_object_depend(runtime, last, object), RT_OK);
        }
        last = object;
    }
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
}

enum { TRACKERS = 4, EACH = 2000 };

static rt_runtime *shared_runtime;
static int counted;

static int count_one(void *arg)
{
    (void)arg;
    __atomic_fetch_add(&counted, 1, __ATOMIC_RELAXED);
    return 0;
}

/* Every object is finalized once: by its thread, by finalization, or after it was untracked. */
static void *track_and_dispose(void *arg)
{
    int *by_host = (int *)arg;
    for (int i = 0; i < EACH; i++) {
        rt_object object;
        rt_status status =
            rt_object_track(shared_runtime, "shared", count_one, NULL, NULL, &object);
        if (status == RT_ERR_FINALIZING) {
            ++*by_host;
        } else if (i % 3 == 0) {
            status = rt_object_dispose(shared_runtime, object);
            CHECK(status == RT_OK || status == RT_ERR_FINALIZING || status == RT_ERR_HANDLE ||
                  status == RT_ERR_STATE);
        } else if (i % 3 == 1) {
            *by_host += rt_object_untrack(shared_runtime, object) == RT_OK;
        }
    }
    return NULL;
}

static void threads_that_track_while_another_finalizes_lose_no_object(void)
{
    for (int round = 0; round < (under_valgrind() ? 2 : 20); round++) {
        pthread_t threads[TRACKERS];
        int by_host[TRACKERS] = {0};
        int all = 0;
        counted = 0;
        shared_runtime = runtime_new("shared");
        for (int i = 0; i < TRACKERS; i++) {
            threads[i] = thread_start(track_and_dispose, &by_host[i]);
        }
        CHECK_EQ(rt_finalize(shared_runtime, NULL, NULL), RT_OK);
        for (int i = 0; i < TRACKERS; i++) {
            NEED(pthread_join(threads[i], NULL) == 0);
            all += by_host[i];
        }
        /* One that was untracked may have been on its way through finalize. */
        CHECK(all + counted >= TRACKERS * EACH);
        CHECK(counted <= TRACKERS * EACH);
        CHECK_EQ(rt_runtime_free(shared_runtime), RT_OK);
    }
}

static int count_plain(void *arg)
{
    ++*(size_t *)arg;
    return 0;
}

static void a_million_objects_cost_at_most_48_bytes_each_and_are_given_back(void)
{
    const size_t million = 1000000;
    rt_runtime *runtime = runtime_new("x");
    size_t before, called = 0;
    if (under_valgrind()) {
        printf("skipped a_million_objects_cost_at_most_48_bytes_each_and_are_given_back: "
               "valgrind's allocator does not count for mallinfo2\n");
        CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
        return;
    }
    before = given_out_by_the_heap();
    for (size_t i = 0; i < million; i++) {
        CHECK_EQ(rt_object_track(runtime, i % 2 ? "odd" : "even", count_plain, count_plain, &called,
                                 NULL),
                 RT_OK);
    }
    CHECK(given_out_by_the_heap() - before > 24 * million); /* it is counted at all */
    CHECK(given_out_by_the_heap() - before <= 48 * million);
    CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
    CHECK_EQ(called, 2 * million);
    CHECK(given_out_by_the_heap() <= before + 100000);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

typedef struct slow {
    rt_runtime *runtime;
    rt_object handle;
    event in_finalize, go;
    int deallocated;
} slow;

static int finalize_slowly(void *arg)
{
    slow *s = (slow *)arg;
    event_set(&s->in_finalize);
    event_wait(&s->go);
    return 0;
}

static int dealloc_slow(void *arg)
{
    ((slow *)arg)->deallocated++;
    return 0;
}

static void *dispose_slowly(void *arg)
{
    slow *s = (slow *)arg;
    REFUSED(rt_object_dispose(s->runtime, s->handle), RT_ERR_HANDLE);
    return NULL;
}

static void an_object_that_another_thread_finalizes_is_kept_with_what_it_depends_on(void)
{
    slow s = {runtime_new("x"), 0, EVENT_INIT, EVENT_INIT, 0};
    object a;
    rt_report *report = NULL;
    pthread_t thread;
    CHECK_EQ(rt_object_track(s.runtime, "slow", finalize_slowly, dealloc_slow, &s, &s.handle),
             RT_OK);
    track(&a, s.runtime, 'A');
    CHECK_EQ(rt_object_depend(s.runtime, s.handle, a.handle), RT_OK);
    thread = thread_start(dispose_slowly, &s);
    event_wait(&s.in_finalize);
    REFUSED(rt_object_dispose(s.runtime, s.handle), RT_ERR_STATE);
    REFUSED(rt_object_dispose(s.runtime, a.handle), RT_ERR_STATE);
    CHECK_EQ(rt_finalize(s.runtime, NULL, &report), RT_OK);
    check_diary("A");
    CHECK_EQ(summary_of(report).leaks, 2);
    CHECK(report_says(report, "another thread is still in its finalize"));
    event_set(&s.go);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK_EQ(s.deallocated, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(s.runtime), RT_OK);
}

static void a_violation_while_the_runtime_runs_stands_in_the_report_too(void)
{
    culprit c = {.runtime = runtime_new("x"), .lock = RT_BUFFERED_LOCK_INIT};
    rt_object object;
    rt_report *report;
    int fd = open(NULL_DEVICE, O_WRONLY);
    NEED(fd >= 0);
    CHECK_EQ(rt_writer_open_fd(c.runtime, fd, NULL, &c.writer), RT_OK);
    c.thread = attach(c.runtime, "main", 0, 0);
    CHECK_EQ(rt_object_track(c.runtime, "cursor", NULL, touch_the_runtime, &c, &object), RT_OK);
    CHECK_EQ(rt_object_dispose(c.runtime, object), RT_OK);
    CHECK_EQ(c.dealloc_ran, 1);
    /* Outside of dealloc the thread is as free as before. */
    CHECK_EQ(rt_writer_write(c.writer, "x", 1), RT_OK);
    report = finalized(c.runtime, RT_OK);
    CHECK_EQ(summary_of(report).violations, 10);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_writer_close(c.writer, 0), RT_OK);
    CHECK_EQ(close(fd), 0);
}

int main(void)
{
    RUN(calls_inside_dealloc_are_refused_counted_and_named);
    RUN(nothing_is_deallocated_that_a_runaway_may_touch);
    RUN(objects_that_track_one_another_endlessly_end_at_a_bound);
    RUN(a_chain_of_dependencies_may_be_as_long_as_it_likes);
    RUN(threads_that_track_while_another_finalizes_lose_no_object);
    RUN(a_million_objects_cost_at_most_48_bytes_each_and_are_given_back);
    RUN(an_object_that_another_thread_finalizes_is_kept_with_what_it_depends_on);
    RUN(a_violation_while_the_runtime_runs_stands_in_the_report_too);
    return check_done();
}

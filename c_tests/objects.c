/*
 * Tracked objects: what is finalized and deallocated, in which order, and what is kept.
 */
#include "host.h"
#include <fcntl.h>

/* What happened to the objects of a test, in order: a capital letter is a finalize, a small one a
   dealloc. */
static char diary[64];

static void note(char what)
{
    size_t end = strlen(diary);
    NEED(end + 1 < sizeof diary);
    diary[end] = what;
}

static void check_diary(const char *expected)
{
    if (strcmp(diary, expected) != 0) {
        fprintf(stderr, "the diary says %s, expected %s\n", diary, expected);
        CHECK(!"the diary is as expected");
    }
}

typedef struct object {
    rt_runtime *runtime;
    char name[2];      /* a capital letter */
    int answer;        /* of finalize */
    int dealloc_answer;
    rt_object handle;
    struct object *other; /* for callbacks that do something to another one */
} object;

static int finalize(void *arg)
{
    object *o = (object *)arg;
    note(o->name[0]);
    return o->answer;
}

static int dealloc(void *arg)
{
    object *o = (object *)arg;
    note((char)(o->name[0] - 'A' + 'a'));
    return o->dealloc_answer;
}

static void track_with(object *o, rt_runtime *runtime, char name, rt_callback finalizer)
{
    memset(o, 0, sizeof *o);
    o->runtime = runtime;
    o->name[0] = name;
    CHECK_EQ(rt_object_track(runtime, o->name, finalizer, dealloc, o, &o->handle), RT_OK);
    CHECK(o->handle != 0);
}

static void track(object *o, rt_runtime *runtime, char name)
{
    track_with(o, runtime, name, finalize);
}

/* Finalizes the runtime and frees it; the report is the caller's. */
static rt_report *finalized(rt_runtime *runtime, rt_status expected)
{
    rt_report *report = NULL;
    CHECK_EQ(rt_finalize(runtime, NULL, &report), expected);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    return report;
}

static int note_plus(void *arg)
{
    (void)arg;
    note('+');
    return 0;
}

static int note_minus(void *arg)
{
    (void)arg;
    note('-');
    return 0;
}

static void all_are_finalized_before_any_is_deallocated_last_in_first_out(void)
{
    rt_runtime *runtime = runtime_new("x");
    object a, b, c;
    rt_report *report;
    track(&a, runtime, 'A');
    track(&b, runtime, 'B');
    track(&c, runtime, 'C');
    rt_phase_add_handler(runtime, RT_PHASE_FINALIZE, -1, "before", note_minus, NULL, NULL);
    rt_phase_add_handler(runtime, RT_PHASE_FINALIZE, 0, "after", note_plus, NULL, NULL);
    rt_phase_add_handler(runtime, RT_PHASE_DEALLOC, -1, "before", note_minus, NULL, NULL);
    report = finalized(runtime, RT_OK);
    check_diary("-CBA+-cba");
    CHECK(report_says(report, "3 objects"));
    CHECK_EQ(summary_of(report).restartable, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void an_object_goes_before_what_it_depends_on(void)
{
    rt_runtime *runtime = runtime_new("x");
    object a, b, c, d, e;
    track(&a, runtime, 'A');
    track(&b, runtime, 'B');
    track(&c, runtime, 'C');
    track(&d, runtime, 'D');
    track(&e, runtime, 'E');
    /* The older ones use the younger: last in first out would be wrong. */
    CHECK_EQ(rt_object_depend(runtime, a.handle, d.handle), RT_OK);
    CHECK_EQ(rt_object_depend(runtime, b.handle, d.handle), RT_OK);
    CHECK_EQ(rt_object_depend(runtime, b.handle, a.handle), RT_OK);
    CHECK_EQ(rt_object_depend(runtime, b.handle, a.handle), RT_OK);
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
    check_diary("EBADCebadc");
}

static void a_cycle_is_refused_and_printed(void)
{
    rt_runtime *runtime = runtime_new("x");
    object a, b, c;
    track(&a, runtime, 'A');
    track(&b, runtime, 'B');
    track(&c, runtime, 'C');
    CHECK_EQ(rt_object_depend(runtime, a.handle, b.handle), RT_OK);
    CHECK_EQ(rt_object_depend(runtime, b.handle, c.handle), RT_OK);
    REFUSED(rt_object_depend(runtime, c.handle, a.handle), RT_ERR_CYCLE);
    CHECK(strstr(rt_last_error(), "'C' -> 'A' -> 'B' -> 'C'") != NULL);
    REFUSED(rt_object_depend(runtime, a.handle, a.handle), RT_ERR_CYCLE);
    CHECK(strstr(rt_last_error(), "'A' -> 'A'") != NULL);
    /* It changed nothing. */
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
    check_diary("ABCabc");
}

static void a_resurrected_object_lives_on_with_what_it_depends_on(void)
{
    rt_runtime *runtime = runtime_new("x");
    object a, b, c, d;
    rt_report *report;
    rt_report_leak leak = {.struct_size = sizeof leak};
    track(&a, runtime, 'A');
    track(&b, runtime, 'B');
    track(&c, runtime, 'C');
    track(&d, runtime, 'D');
    d.answer = RT_RESURRECTED;
    CHECK_EQ(rt_object_depend(runtime, d.handle, b.handle), RT_OK);
    CHECK_EQ(rt_object_depend(runtime, b.handle, a.handle), RT_OK);
    report = finalized(runtime, RT_OK);
    check_diary("DCBAc");
    CHECK_EQ(summary_of(report).resurrected, 1);
    CHECK_EQ(summary_of(report).leaks, 2);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_OK);
    CHECK_EQ(leak.kind, RT_LEAK_OBJECT);
    CHECK(strcmp(leak.name, "A") == 0);
    CHECK(report_says(report, "D  1 object\n"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

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
    CHECK_EQ(rt_version(), RT_VERSION);
    CHECK_EQ(rt_report_free(NULL), RT_OK);
    c->dealloc_ran++;
    return 0;
}

static void calls_inside_dealloc_are_refused_counted_and_named(void)
{
    culprit c = {.runtime = runtime_new("x"), .lock = RT_BUFFERED_LOCK_INIT};
    rt_report *report;
    int fd = open("/dev/null", O_WRONLY);
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
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_writer_close(c.writer, 0), RT_OK);
    CHECK_EQ(close(fd), 0);
}

static int untrack_other(void *arg)
{
    object *o = (object *)arg;
    note(o->name[0]);
    CHECK_EQ(rt_object_untrack(o->runtime, o->other->handle), RT_OK);
    REFUSED(rt_object_untrack(o->runtime, o->other->handle), RT_ERR_HANDLE);
    return 0;
}

static int dispose_other(void *arg)
{
    object *o = (object *)arg;
    note(o->name[0]);
    CHECK_EQ(rt_object_dispose(o->runtime, o->other->handle), RT_OK);
    REFUSED(rt_object_dispose(o->runtime, o->handle), RT_ERR_STATE);
    return 0;
}

static int track_other(void *arg)
{
    object *o = (object *)arg;
    note(o->name[0]);
    track(o->other, o->runtime, (char)(o->name[0] + 1));
    return 0;
}

static void objects_come_and_go_from_inside_finalize(void)
{
    rt_runtime *runtime = runtime_new("x");
    object a, b, c, d, e, x, y;
    track(&a, runtime, 'A');
    track(&b, runtime, 'B');
    track_with(&c, runtime, 'C', untrack_other);
    c.other = &a;
    track_with(&d, runtime, 'D', dispose_other);
    d.other = &b;
    track_with(&e, runtime, 'E', untrack_other);
    e.other = &e; /* itself */
    track_with(&x, runtime, 'X', track_other);
    x.other = &y;
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
    check_diary("XYEDBbCxydc");
}

static int track_late(void *arg)
{
    object *o = (object *)arg;
    track(o, o->runtime, 'L');
    return 0;
}

static int track_too_late(void *arg)
{
    object *o = (object *)arg;
    REFUSED(rt_object_track(o->runtime, NULL, finalize, dealloc, o, NULL), RT_ERR_FINALIZING);
    return 0;
}

static void what_the_handlers_of_finalize_track_is_finalized_and_later_is_refused(void)
{
    rt_runtime *runtime = runtime_new("x");
    object late = {.runtime = runtime}, too_late = {.runtime = runtime};
    rt_report *report;
    rt_phase_add_handler(runtime, RT_PHASE_FINALIZE, 5, NULL, track_late, &late, NULL);
    rt_phase_add_handler(runtime, RT_PHASE_FLUSH_LATE, 0, NULL, track_too_late, &too_late, NULL);
    report = finalized(runtime, RT_OK);
    check_diary("Ll");
    CHECK_EQ(summary_of(report).late_calls, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void an_object_is_disposed_of_while_the_runtime_runs(void)
{
    rt_runtime *runtime = runtime_new("x");
    object a, b, c;
    track(&a, runtime, 'A');
    track(&b, runtime, 'B');
    track(&c, runtime, 'C');
    CHECK_EQ(rt_object_depend(runtime, c.handle, a.handle), RT_OK);
    REFUSED(rt_object_dispose(runtime, a.handle), RT_ERR_STATE);
    CHECK(strstr(rt_last_error(), "'C' depends on 'A'") != NULL);
    CHECK_EQ(rt_object_dispose(runtime, c.handle), RT_OK);
    REFUSED(rt_object_dispose(runtime, c.handle), RT_ERR_HANDLE);
    CHECK_EQ(rt_object_dispose(runtime, a.handle), RT_OK);
    check_diary("CcAa");
    b.answer = RT_RESURRECTED;
    CHECK_EQ(rt_object_dispose(runtime, b.handle), RT_RESURRECTED);
    b.answer = -3;
    REFUSED(rt_object_dispose(runtime, b.handle), RT_ERR_CALLBACK);
    REFUSED(rt_object_untrack(runtime, b.handle), RT_ERR_HANDLE);
    check_diary("CcAaBBb");
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
    check_diary("CcAaBBb");
}

static int end_the_thread(void *arg)
{
    note(((object *)arg)->name[0]);
    pthread_exit(NULL);
}

static int end_the_thread_in_dealloc(void *arg)
{
    note((char)(((object *)arg)->name[0] - 'A' + 'a'));
    pthread_exit(NULL);
}

static void *finalize_failing_objects(void *arg)
{
    rt_report **report = (rt_report **)arg;
    rt_runtime *runtime = runtime_new("x");
    static object a, b, c;
    track(&a, runtime, 'A');
    b.name[0] = 'B';
    CHECK_EQ(rt_object_track(runtime, "B", end_the_thread, end_the_thread_in_dealloc, &b, NULL), RT_OK);
    track(&c, runtime, 'C');
    a.answer = -1;
    c.dealloc_answer = -2;
    rt_finalize(runtime, NULL, report);
    return "the thread ended before";
}

static void a_failing_callback_is_named_and_the_rest_still_run(void)
{
    rt_report *report = NULL;
    void *result = NULL;
    pthread_t thread = thread_start(finalize_failing_objects, &report);
    NEED(pthread_join(thread, &result) == 0);
    CHECK(result == NULL);
    check_diary("CBAcba");
    CHECK_EQ(summary_of(report).failures, 4);
    CHECK(report_says(report, "finalize  A  finalize returned -1"));
    CHECK(report_says(report, "finalize  B  finalize ended its thread"));
    CHECK(report_says(report, "dealloc   C  dealloc returned -2"));
    CHECK(report_says(report, "dealloc   B  dealloc ended its thread"));
    CHECK_EQ(rt_report_free(report), RT_OK);
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

static void objects_that_track_one_another_for_ever_end_at_a_bound(void)
{
    rt_runtime *runtime = runtime_new("x");
    object endless = {.runtime = runtime};
    rt_report *report;
    if (under_valgrind()) {
        printf("skipped objects_that_track_one_another_for_ever_end_at_a_bound: "
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
        CHECK_EQ(rt_object_track(runtime, "link", in_turn, again_in_turn, (void *)i, &object), RT_OK);
        if (i > 0) {
            CHECK_EQ(rt_object_depend(runtime, last, object), RT_OK);
        }
        last = object;
    }
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
}

static void misuse_is_refused_with_its_status(void)
{
    static const rt_object none[] = {0, 1, 2, 0xffffffffu, 0x100000000u, UINT64_MAX};
    rt_runtime *runtime = runtime_new("x"), *other = runtime_new("y");
    object a, b, c;
    rt_object handle = 7;
    track(&a, runtime, 'A');
    track(&b, other, 'B');
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        REFUSED(rt_object_untrack(runtime, none[i]), RT_ERR_HANDLE);
        REFUSED(rt_object_dispose(runtime, none[i]), RT_ERR_HANDLE);
        REFUSED(rt_object_depend(runtime, none[i], a.handle), RT_ERR_HANDLE);
        REFUSED(rt_object_depend(runtime, a.handle, none[i]), RT_ERR_HANDLE);
    }
    /* Another runtime's. */
    REFUSED(rt_object_untrack(runtime, b.handle), RT_ERR_HANDLE);
    REFUSED(rt_object_depend(runtime, a.handle, b.handle), RT_ERR_HANDLE);
    REFUSED(rt_object_track(runtime, "A", NULL, NULL, &a, &handle), RT_ERR_NULL);
    REFUSED(rt_object_track(runtime, "\xff", finalize, dealloc, &a, &handle), RT_ERR_UTF8);
    REFUSED(rt_object_track((rt_runtime *)&a, "A", finalize, dealloc, &a, &handle), RT_ERR_HANDLE);
    CHECK_EQ(handle, 7);
    /* The slot is used again, and the old handle stays dead. */
    CHECK_EQ(rt_object_untrack(runtime, a.handle), RT_OK);
    track(&c, runtime, 'C');
    REFUSED(rt_object_untrack(runtime, a.handle), RT_ERR_HANDLE);
    CHECK_EQ(rt_report_free(finalized(other, RT_OK)), RT_OK);
    CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
    REFUSED(rt_object_untrack(runtime, c.handle), RT_ERR_HANDLE);
    REFUSED(rt_object_track(runtime, "A", finalize, dealloc, &a, NULL), RT_ERR_FINALIZING);
    /* Nor does it mean anything in the next life. */
    CHECK_EQ(rt_initialize(runtime), RT_OK);
    track(&a, runtime, 'A');
    REFUSED(rt_object_untrack(runtime, c.handle), RT_ERR_HANDLE);
    CHECK_EQ(rt_report_free(finalized(runtime, RT_OK)), RT_OK);
    check_diary("BbCcAa");
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
        rt_status status = rt_object_track(shared_runtime, "shared", count_one, NULL, NULL, &object);
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

int main(void)
{
    RUN(all_are_finalized_before_any_is_deallocated_last_in_first_out);
    RUN(an_object_goes_before_what_it_depends_on);
    RUN(a_cycle_is_refused_and_printed);
    RUN(a_resurrected_object_lives_on_with_what_it_depends_on);
    RUN(calls_inside_dealloc_are_refused_counted_and_named);
    RUN(objects_come_and_go_from_inside_finalize);
    RUN(what_the_handlers_of_finalize_track_is_finalized_and_later_is_refused);
    RUN(an_object_is_disposed_of_while_the_runtime_runs);
    RUN(a_failing_callback_is_named_and_the_rest_still_run);
    RUN(nothing_is_deallocated_that_a_runaway_may_touch);
    RUN(objects_that_track_one_another_for_ever_end_at_a_bound);
    RUN(a_chain_of_dependencies_may_be_as_long_as_it_likes);
    RUN(misuse_is_refused_with_its_status);
    RUN(threads_that_track_while_another_finalizes_lose_no_object);
    return check_done();
}

/*
 * Tracked objects: what is finalized and deallocated, and in which order.
 */
#include "objects.h"

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

#ifndef _WIN32

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
    CHECK_EQ(rt_object_track(runtime, "B", end_the_thread, end_the_thread_in_dealloc, &b, NULL),
             RT_OK);
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

#endif

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

int main(void)
{
    RUN(all_are_finalized_before_any_is_deallocated_last_in_first_out);
    RUN(an_object_goes_before_what_it_depends_on);
    RUN(a_cycle_is_refused_and_printed);
    RUN(a_resurrected_object_lives_on_with_what_it_depends_on);
    RUN(objects_come_and_go_from_inside_finalize);
    RUN(what_the_handlers_of_finalize_track_is_finalized_and_later_is_refused);
    RUN(an_object_is_disposed_of_while_the_runtime_runs);
    RUN_POSIX(a_failing_callback_is_named_and_the_rest_still_run,
              "end of a thread that could be held up");
    RUN(misuse_is_refused_with_its_status);
    return check_done();
}

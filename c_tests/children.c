/*
 * Runtimes in a tree, as a host of subinterpreters has them: children are finalized before their
 * parent, with threads, callbacks and a report of their own; and a callback finalizes what it may.
 */
#include "family.h"

static void children_are_finalized_before_their_parent_the_youngest_first(void)
{
    rt_runtime *a = child_of(NULL, "a", 0), *b = child_of(NULL, "b", 0);
    rt_runtime *inner = child_of(a, "inner", 0);
    rt_report *report = NULL, *of_a, *of_b, *of_inner, *none = NULL;
    at_exit_and_late(NULL, "main", "main-late");
    at_exit_and_late(a, "a", "a-late");
    at_exit_and_late(b, "b", "b-late");
    at_exit_and_late(inner, "inner", "inner-late");
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(strcmp(diary, "main b b-late a inner inner-late a-late main-late ") == 0);
    CHECK_EQ(rt_runtime_state(a), RT_STATE_FINALIZED);
    CHECK_EQ(rt_runtime_state(b), RT_STATE_FINALIZED);
    CHECK_EQ(rt_runtime_state(inner), RT_STATE_FINALIZED);

    /* The reports are nested as the runtimes are; each child's outlives its parent's. */
    CHECK_EQ(summary_of(report).children, 2);
    CHECK_EQ(summary_of(report).children_incomplete, 0);
    of_b = report_of_child(report, 0, "b");
    of_a = report_of_child(report, 1, "a");
    CHECK_EQ(rt_report_child(report, 2, &none), RT_ERR_NOT_FOUND);
    CHECK(none == NULL);
    CHECK(report_says(report, "inner: finalized"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    of_inner = report_of_child(of_a, 0, "inner");
    CHECK_EQ(summary_of(of_inner).children, 0);
    CHECK(rt_report_phase_us(of_inner, RT_PHASE_RECLAIM) >= 0);
    CHECK_EQ(rt_report_free(of_a), RT_OK);
    CHECK_EQ(rt_report_free(of_b), RT_OK);
    CHECK_EQ(rt_report_free(of_inner), RT_OK);
    CHECK_EQ(rt_runtime_free(a), RT_OK);
    CHECK_EQ(rt_runtime_free(b), RT_OK);
    CHECK_EQ(rt_runtime_free(inner), RT_OK);
}

static void a_child_is_finalized_alone_and_leaves_its_parent(void)
{
    rt_runtime *child = child_of(NULL, "alone", 0);
    rt_report *report = NULL;
    at_exit_and_late(child, "child", "late");
    CHECK_EQ(rt_finalize(child, NULL, &report), RT_OK);
    CHECK(named(report, "alone"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
    CHECK_EQ(rt_is_finalizing(), 0);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(strcmp(diary, "child late ") == 0);
    CHECK_EQ(summary_of(report).children, 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int fail(void *arg)
{
    (void)arg;
    return -1;
}

static void an_incomplete_child_makes_its_parent_incomplete_and_says_why(void)
{
    rt_runtime *child = child_of(NULL, "worker-pool", 0);
    rt_report *report = NULL, *of_child;
    CHECK_EQ(rt_atexit(child, "save-index", fail, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    CHECK(strstr(rt_last_error(), "1 of 1 children incomplete") != NULL);
    CHECK_EQ(summary_of(report).status, RT_ERR_INCOMPLETE);
    CHECK_EQ(summary_of(report).failures, 0); /* its own numbers */
    CHECK_EQ(summary_of(report).children_incomplete, 1);
    CHECK(report_says(report, "worker-pool: finalized, incomplete"));
    CHECK(report_says(report, "needs attention in worker-pool"));
    CHECK(report_says(report, "save-index  returned -1"));
    of_child = report_of_child(report, 0, "worker-pool");
    CHECK_EQ(summary_of(of_child).failures, 1);
    CHECK_EQ(rt_report_free(of_child), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

static void the_environments_report_is_the_whole_trees_and_no_childs_of_its_own(void)
{
    char path[] = "/tmp/rtfinalize-children-XXXXXX", wish[64];
    const char *begins = "{\"rtfinalize_report\":1,\"runtime\":\"main\"";
    char whole[16384];
    size_t got;
    const int fd = mkstemp(path);
    FILE *file;
    rt_runtime *child = child_of(NULL, "child", 0);
    NEED(fd >= 0);
    close(fd);
    snprintf(wish, sizeof wish, "json:%s", path);
    setenv("RTFINALIZE_REPORT", wish, 1);
    CHECK_EQ(rt_finalize_ex(), 0);
    file = fopen(path, "r");
    NEED(file != NULL);
    got = fread(whole, 1, sizeof whole - 1, file);
    whole[got] = '\0';
    fclose(file);
    unlink(path);
    CHECK(strncmp(whole, begins, strlen(begins)) == 0);
    CHECK(strstr(whole, "\"runtime\":\"child\"") != NULL);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

/* --- admission ---------------------------------------------------------------------------------- */

static rt_runtime *late_child;

static int make_child(void *name)
{
    late_child = child_of(NULL, (const char *)name, 0);
    at_exit_and_late(late_child, "came", "went");
    return 0;
}

static char late_name[] = "late";

static int make_one_child(void *name)
{
    return late_child == NULL ? make_child(name) : 0;
}

static void a_child_made_during_the_passes_is_finalized_too(void)
{
    rt_report *report = NULL;
    CHECK_EQ(rt_atexit(NULL, NULL, make_child, late_name, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(strcmp(diary, "came went ") == 0);
    CHECK_EQ(rt_runtime_state(late_child), RT_STATE_FINALIZED);
    CHECK_EQ(summary_of(report).children, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(late_child), RT_OK);
}

static void a_child_made_after_the_children_phase_makes_the_passes_go_round(void)
{
    rt_report *report = NULL;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FLUSH_EARLY, 0, NULL, make_one_child, late_name,
                                  NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(strcmp(diary, "came went ") == 0);
    CHECK_EQ(summary_of(report).children, 1);
    CHECK_EQ(summary_of(report).passes, 2);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(late_child), RT_OK);
}

static void children_without_end_are_bounded_and_the_last_is_in_the_ledger(void)
{
    rt_report *report = NULL;
    rt_report_leak leak;
    rt_finalize_options options = options_none();
    options.max_passes = 3;
    memset(&leak, 0, sizeof leak);
    leak.struct_size = sizeof leak;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FLUSH_EARLY, 0, NULL, make_child, late_name, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(summary_of(report).children, 2);
    CHECK_EQ(summary_of(report).restartable, 0);
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_OK);
    CHECK_EQ(leak.kind, RT_LEAK_CHILD);
    CHECK(strcmp(leak.name, "late") == 0);
    CHECK_EQ(rt_report_free(report), RT_OK);

    /* It goes on without its parent. */
    CHECK_EQ(rt_runtime_state(late_child), RT_STATE_RUNNING);
    CHECK_EQ(rt_finalize(late_child, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(late_child), RT_OK);
}

static int child_refused(void *arg)
{
    rt_runtime *child = NULL;
    (void)arg;
    REFUSED(rt_runtime_new_child(NULL, NULL, &child), RT_ERR_FINALIZING);
    CHECK(child == NULL);
    write_down((void *)(uintptr_t)"refused");
    return 0;
}

static void no_child_is_made_once_its_parent_is_frozen_or_finalized(void)
{
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FREEZE, 0, NULL, child_refused, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK(strcmp(diary, "refused ") == 0);
    child_refused(NULL);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(child_of(NULL, "of the new life", 0)), RT_ERR_STATE);
    CHECK_EQ(rt_finalize_ex(), 0);
}

static void a_child_starts_again_only_while_its_parent_runs(void)
{
    rt_runtime *parent = runtime_new("parent"), *child = child_of(parent, "child", 0);
    const int64_t id = rt_runtime_id(child);
    rt_report *report = NULL;
    CHECK_EQ(rt_finalize(child, NULL, NULL), RT_OK);
    CHECK_EQ(rt_initialize(child), RT_OK);
    CHECK_EQ(rt_finalize(parent, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).children, 1); /* the second life was one of its children again */
    CHECK_EQ(rt_report_free(report), RT_OK);
    REFUSED(rt_initialize(child), RT_ERR_STATE);
    CHECK_EQ(rt_runtime_state(child), RT_STATE_FINALIZED);
    CHECK_EQ(rt_initialize(parent), RT_OK);
    CHECK_EQ(rt_initialize(child), RT_OK);
    CHECK_EQ(rt_runtime_id(child), id);
    CHECK_EQ(rt_finalize(parent, NULL, NULL), RT_OK);

    /* A parent may be freed first: its children stay their host's, and stay finalized. */
    CHECK_EQ(rt_runtime_free(parent), RT_OK);
    REFUSED(rt_initialize(child), RT_ERR_STATE);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
    CHECK_EQ(rt_runtime_free(child), RT_ERR_HANDLE);
}

/* --- finalize from inside callbacks ------------------------------------------------------------- */

static rt_runtime *outer, *middle, *inner, *stranger;
static int asked;

/* A callback of `middle`. */
static int finalize_from_the_middle(void *arg)
{
    rt_report *report = NULL;
    (void)arg;
    asked++;
    REFUSED(rt_finalize(middle, NULL, &report), RT_ERR_IN_CALLBACK);
    CHECK(report == NULL);
    REFUSED(rt_finalize(outer, NULL, NULL), RT_ERR_IN_CALLBACK);
    CHECK_EQ(rt_runtime_state(outer), RT_STATE_RUNNING);
    return 0;
}

static void a_callback_may_finalize_neither_its_runtime_nor_an_ancestor(void)
{
    uint32_t phase;
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.delete_state = finalize_from_the_middle;
    outer = runtime_new("outer");
    middle = child_of(outer, "middle", 0);

    /* Outside of any finalization. */
    CHECK_EQ(rt_pending_add(middle, NULL, finalize_from_the_middle, NULL, NULL), RT_OK);
    CHECK_EQ(rt_pending_run(middle, NULL), RT_OK);
    CHECK_EQ(rt_thread_attach(middle, &options, &thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(asked, 2);

    /* In one of its own. */
    CHECK_EQ(rt_thread_attach(middle, &options, &thread), RT_OK);
    CHECK_EQ(rt_pending_add(middle, NULL, finalize_from_the_middle, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(middle, NULL, finalize_from_the_middle, NULL, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(middle, NULL, finalize_from_the_middle, NULL, NULL), RT_OK);
    for (phase = RT_PHASE_CHILDREN; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK_EQ(rt_phase_add_handler(middle, phase, 0, NULL, finalize_from_the_middle, NULL, NULL),
                 RT_OK);
    }
    CHECK_EQ(rt_finalize(middle, NULL, NULL), RT_OK);
    CHECK_EQ(asked, 2 + 4 + 10);
    CHECK_EQ(rt_finalize(outer, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(middle), RT_OK);
    CHECK_EQ(rt_runtime_free(outer), RT_OK);
}

static int finalize_below_and_beside(void *arg)
{
    (void)arg;
    asked++;
    CHECK_EQ(rt_finalize(inner, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(stranger, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_state(inner), RT_STATE_FINALIZED);
    CHECK_EQ(rt_runtime_state(stranger), RT_STATE_FINALIZED);
    return 0;
}

static void from_a_callback(rt_status (*registered)(void))
{
    rt_report *report = NULL;
    middle = runtime_new("middle");
    inner = child_of(middle, "inner", 0);
    stranger = runtime_new("stranger");
    asked = 0;
    diary[0] = '\0';
    at_exit_and_late(inner, "inner", "inner-late");
    CHECK_EQ(registered(), RT_OK);
    CHECK_EQ(rt_finalize(middle, NULL, &report), RT_OK);
    CHECK_EQ(asked, 1);
    CHECK(strcmp(diary, "inner inner-late ") == 0);
    CHECK_EQ(summary_of(report).children, 1); /* whoever finalized it */
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(inner), RT_OK);
    CHECK_EQ(rt_runtime_free(stranger), RT_OK);
    CHECK_EQ(rt_runtime_free(middle), RT_OK);
}

static rt_status on_atexit(void)
{
    return rt_atexit(middle, NULL, finalize_below_and_beside, NULL, NULL);
}

static rt_status on_pending(void)
{
    return rt_pending_add(middle, NULL, finalize_below_and_beside, NULL, NULL);
}

static rt_status on_children_handler(void)
{
    return rt_phase_add_handler(middle, RT_PHASE_CHILDREN, -1, NULL, finalize_below_and_beside,
                                NULL, NULL);
}

static void a_callback_may_finalize_a_child_of_its_runtime_and_a_stranger(void)
{
    from_a_callback(on_atexit);
    from_a_callback(on_pending);
    from_a_callback(on_children_handler);
}

static int finalize_the_sibling(void *sibling)
{
    CHECK_EQ(rt_finalize((rt_runtime *)sibling, NULL, NULL), RT_OK);
    return 0;
}

static void a_child_may_finalize_its_sibling_while_the_parent_is_at_it(void)
{
    rt_report *report = NULL;
    rt_runtime *old = child_of(NULL, "old", 0), *young = child_of(NULL, "young", 0);
    at_exit_and_late(old, "old", "old-late");
    CHECK_EQ(rt_atexit(young, NULL, finalize_the_sibling, old, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(strcmp(diary, "old old-late ") == 0);
    CHECK_EQ(summary_of(report).children, 2);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(old), RT_OK);
    CHECK_EQ(rt_runtime_free(young), RT_OK);
}

/* --- bad input ---------------------------------------------------------------------------------- */

static void each_misuse_has_its_status(void)
{
    rt_runtime *runtime = NULL, *freed = runtime_new("freed");
    rt_runtime *generations[40];
    rt_report *report = NULL, *nested = NULL;
    rt_runtime_options options;
    const char *name = NULL;
    int depth = 0, count;
    memset(&options, 0, sizeof options);
    REFUSED(rt_runtime_new_child(NULL, NULL, NULL), RT_ERR_NULL);
    REFUSED(rt_runtime_new_child(NULL, &options, &runtime), RT_ERR_STRUCT_SIZE);
    options.struct_size = sizeof options;
    options.flags = 2;
    REFUSED(rt_runtime_new_child(NULL, &options, &runtime), RT_ERR_INVALID);
    options.flags = 0;
    options.reserved = 1;
    REFUSED(rt_runtime_new_child(NULL, &options, &runtime), RT_ERR_INVALID);
    options.reserved = 0;
    options.name = "\xff";
    REFUSED(rt_runtime_new_child(NULL, &options, &runtime), RT_ERR_UTF8);
    CHECK_EQ(rt_finalize(freed, NULL, NULL), RT_OK);
    REFUSED(rt_runtime_new_child(freed, NULL, &runtime), RT_ERR_FINALIZING);
    CHECK_EQ(rt_runtime_free(freed), RT_OK);
    REFUSED(rt_runtime_new_child(freed, NULL, &runtime), RT_ERR_HANDLE);
    CHECK(runtime == NULL);

    /* As many generations as there may be, finalized by one call. */
    while (depth < 40 && rt_runtime_new_child(runtime, NULL, &generations[depth]) == RT_OK) {
        runtime = generations[depth++];
    }
    CHECK_EQ(depth, 32);
    REFUSED(rt_runtime_new_child(runtime, NULL, &generations[depth]), RT_ERR_INVALID);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    for (count = 0; count < depth; count++) {
        CHECK_EQ(rt_runtime_state(generations[count]), RT_STATE_FINALIZED);
        CHECK_EQ(rt_runtime_free(generations[count]), RT_OK);
    }
    REFUSED(rt_report_child(report, 0, NULL), RT_ERR_NULL);
    REFUSED(rt_report_child(NULL, 0, &nested), RT_ERR_NULL);
    REFUSED(rt_report_child(report, SIZE_MAX, &nested), RT_ERR_NOT_FOUND);
    REFUSED(rt_report_runtime(report, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_report_free(report), RT_OK);
    REFUSED(rt_report_child(report, 0, &nested), RT_ERR_HANDLE);
    REFUSED(rt_report_runtime(report, &name), RT_ERR_HANDLE);
    CHECK(nested == NULL && name == NULL);
}

int main(void)
{
    RUN(children_are_finalized_before_their_parent_the_youngest_first);
    RUN(a_child_is_finalized_alone_and_leaves_its_parent);
    RUN(an_incomplete_child_makes_its_parent_incomplete_and_says_why);
    RUN(the_environments_report_is_the_whole_trees_and_no_childs_of_its_own);
    RUN(a_child_made_during_the_passes_is_finalized_too);
    RUN(a_child_made_after_the_children_phase_makes_the_passes_go_round);
    RUN(children_without_end_are_bounded_and_the_last_is_in_the_ledger);
    RUN(no_child_is_made_once_its_parent_is_frozen_or_finalized);
    RUN(a_child_starts_again_only_while_its_parent_runs);
    RUN(a_callback_may_finalize_neither_its_runtime_nor_an_ancestor);
    RUN(a_callback_may_finalize_a_child_of_its_runtime_and_a_stranger);
    RUN(a_child_may_finalize_its_sibling_while_the_parent_is_at_it);
    RUN(each_misuse_has_its_status);
    return check_done();
}

/*
 * Handlers of a phase in the order their dependencies ask for: by name, after X and before Y.
 */
#include "host.h"

static char diary[1024];

static int write_down(void *name)
{
    strncat(diary, (const char *)name, sizeof diary - strlen(diary) - 1);
    strncat(diary, " ", sizeof diary - strlen(diary) - 1);
    return 0;
}

/* Registers a handler on the finalize phase; `after` and `before` are one name each, or NULL. */
static rt_status add(const char *name, int32_t order, const char *after, const char *before)
{
    const char *afters[] = {after, NULL}, *befores[] = {before, NULL};
    rt_handler_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.order = order;
    options.after = after == NULL ? NULL : afters;
    options.before = befores;
    return rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, name, &options, write_down,
                                   (void *)(uintptr_t)name, NULL);
}

static void runs_as(const char *expected)
{
    CHECK_EQ(rt_finalize_ex(), 0);
    if (strcmp(diary, expected) != 0) {
        fprintf(stderr, "ran as '%s', expected '%s'\n", diary, expected);
    }
    CHECK(strcmp(diary, expected) == 0);
}

static void a_handler_runs_after_and_before_those_it_names(void)
{
    CHECK_EQ(add("caches", 0, NULL, NULL), RT_OK);
    CHECK_EQ(add("modules", 0, NULL, "caches"), RT_OK);
    CHECK_EQ(add("codecs", 0, "modules", "caches"), RT_OK);
    CHECK_EQ(add("last", 0, "caches", NULL), RT_OK);
    runs_as("modules codecs caches last ");
}

static void a_dependency_beats_the_numbers_which_order_the_rest(void)
{
    CHECK_EQ(add("ten", 10, NULL, NULL), RT_OK);
    CHECK_EQ(add("zero", 0, "ten", NULL), RT_OK);
    CHECK_EQ(add("five", 5, NULL, NULL), RT_OK);
    CHECK_EQ(add("five-too", 5, NULL, NULL), RT_OK);
    CHECK_EQ(add("twenty", 20, NULL, NULL), RT_OK);
    CHECK_EQ(add("early", -1, NULL, NULL), RT_OK);
    runs_as("early five five-too ten zero twenty ");
}

static void a_name_may_come_later_or_never(void)
{
    CHECK_EQ(add("a", 0, "b", NULL), RT_OK);
    CHECK_EQ(add("c", 0, "nobody", "nobody-else"), RT_OK);
    CHECK_EQ(add("b", 7, NULL, NULL), RT_OK);
    runs_as("c b a ");
}

static void a_name_that_several_have_means_all_of_them(void)
{
    CHECK_EQ(add("end", 0, "plugin", NULL), RT_OK);
    CHECK_EQ(add("plugin", 3, NULL, NULL), RT_OK);
    CHECK_EQ(add("plugin", 2, NULL, NULL), RT_OK);
    runs_as("plugin plugin end ");
}

static void a_cycle_is_refused_and_printed_and_changes_nothing(void)
{
    CHECK_EQ(add("a", 0, NULL, "b"), RT_OK);
    CHECK_EQ(add("b", 0, NULL, "c"), RT_OK);
    REFUSED(add("c", 0, NULL, "a"), RT_ERR_CYCLE);
    CHECK(strstr(rt_last_error(), "'c' before 'a' before 'b' before 'c'") != NULL);
    REFUSED(add("self", 0, "self", NULL), RT_ERR_CYCLE);
    CHECK(strstr(rt_last_error(), "'self' before 'self'") != NULL);
    CHECK_EQ(add("c", 0, NULL, NULL), RT_OK);
    runs_as("a b c ");
}

static void a_cycle_through_the_phases_own_work_is_refused_too(void)
{
    CHECK_EQ(add("first", -1, NULL, NULL), RT_OK);
    REFUSED(add("late", 1, NULL, "first"), RT_ERR_CYCLE);
    CHECK(strstr(rt_last_error(), "'late' before 'first' before the phase's own work before 'late'")
          != NULL);
    CHECK_EQ(add("late", 1, "first", NULL), RT_OK);
    runs_as("first late ");
}

static int add_more(void *arg)
{
    write_down(arg);
    CHECK_EQ(add("x", 0, NULL, "tail"), RT_OK);      /* its turn is still to come */
    CHECK_EQ(add("y", 0, "x", "tail"), RT_OK);
    CHECK_EQ(add("missed", -1, NULL, NULL), RT_OK);  /* its turn has passed */
    return 0;
}

static void a_handler_that_runs_may_register_others_and_none_runs_twice(void)
{
    static char adder[] = "adder";
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, adder, add_more, adder, NULL), RT_OK);
    CHECK_EQ(add("middle", 0, NULL, NULL), RT_OK);
    CHECK_EQ(add("tail", 0, NULL, NULL), RT_OK);
    runs_as("adder middle x y tail ");
}

static uint64_t removed_id;

static int remove_one(void *arg)
{
    write_down(arg);
    CHECK_EQ(rt_unregister(NULL, removed_id), RT_OK);
    return 0;
}

static void a_removed_handler_leaves_the_others_in_their_order(void)
{
    static char remover[] = "remover";
    CHECK_EQ(add("z", 0, "gone", NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 50, "gone", write_down, remover,
                                  &removed_id), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 1, "remover", remove_one, remover, NULL),
             RT_OK);
    runs_as("remover z ");
}

static void many_handlers_in_a_chain_run_from_end_to_end(void)
{
    static char names[40][8], expected[1024];
    int n;
    for (n = 0; n < 40; n++) {
        snprintf(names[n], sizeof names[n], "%d", n);
        CHECK_EQ(add(names[n], n, NULL, n > 0 ? names[n - 1] : NULL), RT_OK);
    }
    for (n = 39; n >= 0; n--) {
        strcat(expected, names[n]);
        strcat(expected, " ");
    }
    runs_as(expected);
}

static void each_misuse_has_its_status(void)
{
    const char *bad[] = {"\xff", NULL};
    rt_handler_options options;
    memset(&options, 0, sizeof options);
    REFUSED(rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, NULL, &options, write_down, NULL, NULL),
            RT_ERR_STRUCT_SIZE);
    options.struct_size = sizeof options;
    options.work = 5;
    REFUSED(rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, NULL, &options, write_down, NULL, NULL),
            RT_ERR_INVALID);
    options.work = 0;
    options.after = bad;
    REFUSED(rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, NULL, &options, write_down, NULL, NULL),
            RT_ERR_UTF8);
    REFUSED(rt_phase_add_handler_ex(NULL, 99, NULL, NULL, write_down, NULL, NULL), RT_ERR_INVALID);
    REFUSED(rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, NULL, NULL, NULL, NULL, NULL),
            RT_ERR_NULL);
    CHECK_EQ(rt_phase_add_handler_ex(NULL, RT_PHASE_FINALIZE, NULL, NULL, write_down,
                                     (void *)(uintptr_t)"plain", NULL), RT_OK);
    runs_as("plain ");
    REFUSED(add("late", 0, NULL, NULL), RT_ERR_FINALIZING);
}

int main(void)
{
    RUN(a_handler_runs_after_and_before_those_it_names);
    RUN(a_dependency_beats_the_numbers_which_order_the_rest);
    RUN(a_name_may_come_later_or_never);
    RUN(a_name_that_several_have_means_all_of_them);
    RUN(a_cycle_is_refused_and_printed_and_changes_nothing);
    RUN(a_cycle_through_the_phases_own_work_is_refused_too);
    RUN(a_handler_that_runs_may_register_others_and_none_runs_twice);
    RUN(a_removed_handler_leaves_the_others_in_their_order);
    RUN(many_handlers_in_a_chain_run_from_end_to_end);
    RUN(each_misuse_has_its_status);
    return check_done();
}

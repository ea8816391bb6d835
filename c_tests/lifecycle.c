/*
 * A runtime's life: it runs, finalizes once, starts again; several live beside one another; and
 * finalize answers from wherever it is called.
 */
#include "host.h"

static int count(void *number)
{
    ++*(int *)number;
    return 0;
}

static int fail(void *arg)
{
    (void)arg;
    return -1;
}

static void the_default_runtime_runs_without_a_start(void)
{
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_RUNNING);
    CHECK_EQ(rt_runtime_id(NULL), 0);
    CHECK_EQ(rt_is_finalizing(), 0);
    CHECK_EQ(rt_is_finalizing_inline(), 0);
    CHECK_EQ(rt_initialize(NULL), RT_ERR_STATE);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_runtime_state(NULL), RT_STATE_FINALIZED);
}

static int flags_seen[3];

static int see_flag(void *where)
{
    *(int *)where = rt_is_finalizing() && rt_is_finalizing_inline();
    return 0;
}

static void is_finalizing_is_1_from_the_first_callback_to_the_next_life(void)
{
    CHECK_EQ(rt_atexit(NULL, NULL, see_flag, &flags_seen[0], NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_GUARDS, -1, NULL, see_flag, &flags_seen[1], NULL),
             RT_OK);
    CHECK_EQ(rt_exit_function(NULL, NULL, see_flag, &flags_seen[2], NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK(flags_seen[0] && flags_seen[1] && flags_seen[2]);
    CHECK_EQ(rt_is_finalizing(), 1);
    CHECK_EQ(rt_is_finalizing_inline(), 1);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_is_finalizing(), 0);
    CHECK_EQ(rt_is_finalizing_inline(), 0);
}

static int32_t states_seen[15];

static int see_state(void *phase)
{
    states_seen[(uintptr_t)phase] = rt_runtime_state(NULL);
    return 0;
}

static void each_phase_sees_the_state_it_belongs_to(void)
{
    uintptr_t phase;
    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        const rt_status added =
            rt_phase_add_handler(NULL, (uint32_t)phase, 0, NULL, see_state, (void *)phase, NULL);
        CHECK_EQ(added, RT_OK);
    }
    CHECK_EQ(rt_finalize_ex(), 0);
    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK_EQ(states_seen[phase],
                 phase < RT_PHASE_FREEZE ? RT_STATE_PRE_FINALIZING : RT_STATE_FINALIZING);
    }
}

static void another_runtime_leaves_the_default_one_alone(void)
{
    int here = 0, there = 0;
    rt_runtime *other = runtime_new("other"), *third = runtime_new(NULL);
    CHECK(rt_runtime_id(other) > 0);
    CHECK(rt_runtime_id(third) != rt_runtime_id(other));
    CHECK_EQ(rt_atexit(NULL, NULL, count, &here, NULL), RT_OK);
    CHECK_EQ(rt_atexit(other, NULL, count, &there, NULL), RT_OK);
    CHECK_EQ(rt_atexit(other, NULL, see_flag, &flags_seen[0], NULL), RT_OK);
    flags_seen[0] = 7;
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_OK);
    CHECK_EQ(there, 1);
    CHECK_EQ(here, 0);
    CHECK_EQ(flags_seen[0], 0);
    CHECK_EQ(rt_is_finalizing(), 0);
    CHECK_EQ(rt_runtime_state(other), RT_STATE_FINALIZED);
    CHECK_EQ(rt_runtime_state(third), RT_STATE_RUNNING);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(here, 1);
    CHECK_EQ(rt_runtime_state(third), RT_STATE_RUNNING);
    CHECK_EQ(rt_finalize(third, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(other), RT_OK);
    CHECK_EQ(rt_runtime_free(third), RT_OK);
}

static void only_a_finalized_runtime_is_freed_and_only_once(void)
{
    rt_runtime *other = runtime_new("other");
    CHECK_EQ(rt_runtime_free(other), RT_ERR_STATE);
    CHECK_EQ(rt_runtime_state(other), RT_STATE_RUNNING);
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(other), RT_OK);
    CHECK_EQ(rt_runtime_free(other), RT_ERR_HANDLE);
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_ERR_HANDLE);
    CHECK_EQ(rt_initialize(other), RT_ERR_HANDLE);
    CHECK_EQ(rt_runtime_state(other), RT_ERR_HANDLE);
    CHECK_EQ(rt_runtime_id(other), RT_ERR_HANDLE);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_runtime_free(NULL), RT_ERR_INVALID);
}

static void finalizing_again_does_nothing(void)
{
    int calls = 0;
    rt_report *first = NULL, *again = NULL;
    CHECK_EQ(rt_atexit(NULL, NULL, count, &calls, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(NULL, "bad", fail, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &first), RT_ERR_INCOMPLETE);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_finalize(NULL, NULL, &again), RT_OK);
    CHECK_EQ(calls, 1);
    CHECK_EQ(summary_of(again).failures, 1);
    CHECK_EQ(summary_of(again).total_us, summary_of(first).total_us);
    CHECK_EQ(rt_report_free(first), RT_OK);
    CHECK_EQ(rt_report_free(again), RT_OK);
    CHECK_EQ(rt_report_free(again), RT_ERR_HANDLE);
}

static void a_new_life_works_and_the_former_one_stays_over(void)
{
    int former = 0, present = 0, life;
    uint64_t former_id = 0, present_id = 0;
    rt_thread *thread, *again;
    rt_report *report = NULL;
    thread = attach(NULL, "main of the former life", 0, RT_POLICY_ERROR);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, NULL, count, &former, &former_id),
             RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_initialize(NULL), RT_ERR_STATE);

    /* What belongs to the former life finds it finalized, and cannot touch the new one. */
    CHECK_EQ(rt_atexit(NULL, NULL, count, &present, &present_id), RT_OK);
    CHECK(present_id != former_id);
    CHECK_EQ(rt_unregister(NULL, former_id), RT_ERR_NOT_FOUND);
    CHECK_EQ(rt_thread_enter(thread), RT_ERR_FINALIZING);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_ERR_FINALIZING);

    /* The same thread attaches to the new life beside its old attachment. */
    again = attach(NULL, "main of the new life", 0, RT_POLICY_ERROR);
    CHECK_EQ(rt_thread_enter(again), RT_OK);
    CHECK_EQ(rt_thread_leave(again), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_thread_enter(again), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(former, 1);
    CHECK_EQ(present, 1);
    CHECK_EQ(summary_of(report).restartable, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_thread_detach(again), RT_OK);

    for (life = 0; life < 100; life++) {
        CHECK_EQ(rt_initialize(NULL), RT_OK);
        CHECK_EQ(rt_atexit(NULL, NULL, count, &present, NULL), RT_OK);
        CHECK_EQ(rt_finalize_ex(), 0);
    }
    CHECK_EQ(present, 101);
}

static int refusals, refused_calls;

/* Every way to finalize the callback's own runtime or its parent, the default one. The options must
   not be kept for later. */
static int finalize_in_callback(void *runtime)
{
    rt_report *report = (rt_report *)&refusals;
    rt_finalize_options options = options_with_deadline(1);
    refused_calls++;
    refusals += rt_finalize((rt_runtime *)runtime, &options, &report) == RT_ERR_IN_CALLBACK;
    refusals += report == NULL;
    refusals += strstr(rt_last_error(), "callback") != NULL;
    refusals += rt_finalize_ex() == -1;
    return 0;
}

static void finalize_from_inside_any_callback_is_refused(void)
{
    uint32_t phase;
    size_t made = 0;
    rt_thread *thread = NULL;
    rt_thread_options options;
    rt_runtime *other = NULL;
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &other), RT_OK);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.delete_state = finalize_in_callback;
    options.state = other;

    /* Outside of any finalization. */
    CHECK_EQ(rt_pending_add(other, NULL, finalize_in_callback, other, NULL), RT_OK);
    CHECK_EQ(rt_pending_run(other, &made), RT_OK);
    CHECK_EQ(made, 1);
    CHECK_EQ(rt_thread_attach(other, &options, &thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(refused_calls, 2);
    CHECK_EQ(rt_runtime_state(other), RT_STATE_RUNNING);

    /* In a finalization. */
    CHECK_EQ(rt_thread_attach(other, &options, &thread), RT_OK);
    CHECK_EQ(rt_atexit(other, NULL, finalize_in_callback, other, NULL), RT_OK);
    CHECK_EQ(rt_pending_add(other, NULL, finalize_in_callback, other, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(other, NULL, finalize_in_callback, other, NULL), RT_OK);
    for (phase = RT_PHASE_CHILDREN; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK_EQ(rt_phase_add_handler(other, phase, 0, NULL, finalize_in_callback, other, NULL),
                 RT_OK);
    }
    /* RT_OK: the deadlines of the refused calls are not in force. */
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_OK);
    CHECK_EQ(refused_calls, 2 + 4 + 10);
    CHECK_EQ(refusals, 4 * refused_calls);
    CHECK_EQ(rt_is_finalizing(), 0);
    CHECK_EQ(rt_runtime_free(other), RT_OK);
}

int main(void)
{
    RUN(the_default_runtime_runs_without_a_start);
    RUN(is_finalizing_is_1_from_the_first_callback_to_the_next_life);
    RUN(each_phase_sees_the_state_it_belongs_to);
    RUN(another_runtime_leaves_the_default_one_alone);
    RUN(only_a_finalized_runtime_is_freed_and_only_once);
    RUN(finalizing_again_does_nothing);
    RUN(a_new_life_works_and_the_former_one_stays_over);
    RUN(finalize_from_inside_any_callback_is_refused);
    return check_done();
}

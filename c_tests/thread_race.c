/*
 * Many native threads attach, go in and out and detach while the main thread finalizes, round after
 * round: nobody is inside while the host's finalize handlers run.
 */
#include "host.h"
#include <stdatomic.h>

enum { ROUNDS = 50, LOOPERS = 4, VISITORS = 2 };

typedef struct arena {
    rt_runtime *runtime;
    atomic_int inside;  /* threads that may touch the runtime, as the host knows it */
    atomic_int at_work; /* threads that have been inside */
    atomic_int seen_inside;
    atomic_int deleted, attached;
} arena;

typedef struct racer {
    arena *arena;
    uint32_t policy;
    int visitor;
} racer;

static int count_deleted(void *arg)
{
    atomic_fetch_add(&((arena *)arg)->deleted, 1);
    return 0;
}

static void touch(arena *a)
{
    atomic_fetch_add(&a->inside, 1);
    atomic_fetch_sub(&a->inside, 1);
}

static void *race(void *arg)
{
    racer *r = (racer *)arg;
    arena *a = r->arena;
    int turn = 0, counted = 0;
    rt_status status = RT_OK;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = r->visitor ? "visitor" : "looper";
    options.daemon = !r->visitor;
    options.policy = r->policy;
    options.delete_state = count_deleted;
    options.state = a;
    for (turn = 0; status == RT_OK && !(r->visitor && turn == 200); turn++) {
        rt_thread *thread = NULL;
        status = rt_thread_attach(a->runtime, &options, &thread);
        if (status != RT_OK) {
            break;
        }
        atomic_fetch_add(&a->attached, 1);
        status = rt_thread_enter(thread);
        if (status == RT_OK) {
            touch(a);
            if (!counted) {
                counted = 1;
                atomic_fetch_add(&a->at_work, 1);
            }
            status = rt_thread_checkpoint(thread);
        }
        if (status == RT_OK) {
            touch(a);
            CHECK_EQ(rt_thread_leave(thread), RT_OK);
        }
        CHECK_EQ(rt_thread_detach(thread), RT_OK);
    }
    /* RT_ERR_HANDLE: who is not joined may come when the round is over and its runtime freed. */
    CHECK(status == RT_OK || status == RT_ERR_FINALIZING
          || (status == RT_ERR_HANDLE && r->policy == RT_POLICY_HANG));
    return NULL;
}

static int look_for_anybody_inside(void *arg)
{
    arena *a = (arena *)arg;
    int looks;
    for (looks = 0; looks < 2000; looks++) {
        atomic_fetch_add(&a->seen_inside, atomic_load(&a->inside));
    }
    sched_yield();
    return 0;
}

static void one_round(uint32_t policy)
{
    static racer racers[ROUNDS][LOOPERS + VISITORS];
    static arena arenas[ROUNDS];
    static int round;
    pthread_t threads[LOOPERS + VISITORS];
    arena *a = &arenas[round];
    rt_report *report = NULL;
    uint32_t phase;
    int i, hangs = policy == RT_POLICY_HANG;
    a->runtime = runtime_new("arena");
    for (phase = RT_PHASE_FREEZE; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK_EQ(rt_phase_add_handler(a->runtime, phase, 0, NULL, look_for_anybody_inside, a, NULL),
                 RT_OK);
    }
    for (i = 0; i < LOOPERS + VISITORS; i++) {
        racer *r = &racers[round][i];
        r->arena = a;
        r->visitor = i >= LOOPERS;
        r->policy = r->visitor ? RT_POLICY_ERROR : policy;
        threads[i] = thread_start(race, r);
    }
    while (atomic_load(&a->at_work) == 0) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize(a->runtime, NULL, &report), RT_OK);
    CHECK_EQ(atomic_load(&a->seen_inside), 0);
    CHECK_EQ(summary_of(report).runaways, 0);
    CHECK_EQ(summary_of(report).undetached, 0);
    for (i = 0; i < LOOPERS + VISITORS; i++) {
        if (!hangs || i >= LOOPERS) {
            pthread_join(threads[i], NULL);
        }
    }
    if (!hangs) {
        /* Each state was deleted once, or stands in the ledger. */
        CHECK_EQ(atomic_load(&a->deleted) + (int)summary_of(report).leaks,
                 atomic_load(&a->attached));
    }
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(a->runtime), RT_OK);
    round++;
}

static void native_threads_race_with_finalization_and_get_an_error(void)
{
    int round;
    for (round = 0; round < (under_valgrind() ? ROUNDS / 10 : ROUNDS); round++) {
        one_round(RT_POLICY_ERROR);
    }
}

static void native_threads_race_with_finalization_and_are_parked(void)
{
    int round;
    for (round = 0; round < (under_valgrind() ? ROUNDS / 10 : ROUNDS); round++) {
        one_round(RT_POLICY_HANG);
    }
}

int main(void)
{
    RUN(native_threads_race_with_finalization_and_get_an_error);
    RUN(native_threads_race_with_finalization_and_are_parked);
    return check_done();
}

/*
 * Many native threads open and close guards while the main thread finalizes, round after round:
 * from the freeze on no guard is held that was granted.
 */
#include "host.h"
#include <stdatomic.h>
#include <stddef.h>
#ifndef _WIN32
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

enum { ROUNDS = 100, HOLDERS = 4, HANDS = 2 };

typedef struct arena {
    rt_view *view;
    atomic_int held;       /* guards that were granted and not released, as the host knows it */
    atomic_int at_work;    /* threads that have had one */
    atomic_int seen_held;
    atomic_int refused;
    _Atomic(rt_guard *) passed; /* from hand to hand: closed by whoever finds it */
} arena;

/* Counted after the guard is granted and until it is released: never more than are open. */
static rt_status hold(arena *a, const char *name, rt_guard **guard)
{
    rt_status status = rt_guard_acquire(a->view, name, guard);
    if (status == RT_OK) {
        atomic_fetch_add(&a->held, 1);
    }
    return status;
}

static void let_go(arena *a, rt_guard *guard)
{
    atomic_fetch_sub(&a->held, 1);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
}

static void *hold_and_let_go(void *arg)
{
    arena *a = (arena *)arg;
    rt_guard *outer, *inner;
    long turn;
    for (turn = 0; hold(a, "outer", &outer) == RT_OK; turn++) {
        if (turn == 0) {
            atomic_fetch_add(&a->at_work, 1);
        }
        /* Under a guard another one is always granted. */
        if (turn % 3 == 0) {
            inner = NULL;
            CHECK_EQ(hold(a, "inner", &inner), RT_OK);
            if (turn % 2 == 0) {
                sched_yield();
            }
            let_go(a, inner);
        }
        let_go(a, outer);
    }
    atomic_fetch_add(&a->refused, 1);
    return NULL;
}

static void *pass_from_hand_to_hand(void *arg)
{
    arena *a = (arena *)arg;
    rt_guard *mine, *others;
    int counted = 0;
    while (hold(a, "passed", &mine) == RT_OK) {
        if (!counted) {
            counted = 1;
            atomic_fetch_add(&a->at_work, 1);
        }
        others = atomic_exchange(&a->passed, mine);
        if (others != NULL) {
            let_go(a, others);
        }
        others = atomic_exchange(&a->passed, NULL);
        if (others != NULL) {
            let_go(a, others);
        }
    }
    atomic_fetch_add(&a->refused, 1);
    return NULL;
}

static int look_for_a_held_guard(void *arg)
{
    arena *a = (arena *)arg;
    int looks;
    for (looks = 0; looks < 500; looks++) {
        atomic_fetch_add(&a->seen_held, atomic_load(&a->held));
    }
    sched_yield();
    return 0;
}

static void one_round(void)
{
    arena a;
    rt_runtime *runtime = runtime_new("arena");
    rt_report *report = NULL;
    rt_guard *late = NULL;
    pthread_t threads[HOLDERS + HANDS];
    uint32_t phase;
    int i;
    memset(&a, 0, sizeof a);
    CHECK_EQ(rt_view_from(runtime, &a.view), RT_OK);
    for (phase = RT_PHASE_FREEZE; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        CHECK_EQ(rt_phase_add_handler(runtime, phase, 0, NULL, look_for_a_held_guard, &a, NULL),
                 RT_OK);
    }
    for (i = 0; i < HOLDERS + HANDS; i++) {
        threads[i] = thread_start(i < HOLDERS ? hold_and_let_go : pass_from_hand_to_hand, &a);
    }
    while (atomic_load(&a.at_work) < 2) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize(runtime, NULL, &report), RT_OK);
    CHECK_EQ(atomic_load(&a.seen_held), 0);
    CHECK_EQ(atomic_load(&a.held), 0);
    CHECK_EQ(summary_of(report).runaways, 0);
    CHECK_EQ(rt_guard_acquire(a.view, NULL, &late), RT_ERR_FINALIZING);
    for (i = 0; i < HOLDERS + HANDS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(atomic_load(&a.refused), HOLDERS + HANDS);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_view_close(a.view), RT_OK);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static void no_granted_guard_is_held_from_the_freeze_on(void)
{
    int round;
    for (round = 0; round < (under_valgrind() ? ROUNDS / 10 : ROUNDS); round++) {
        one_round();
    }
}

/* Asks all the time, and most of the time in vain: who is refused has noted a guard and takes it back, and may be
   switched out between the two. */
typedef struct crowd {
    _Atomic(rt_view *) view; /* of the present life */
    atomic_int at_work, over;
} crowd;

static void *ask_again_and_again(void *arg)
{
    crowd *c = (crowd *)arg;
    rt_guard *guard;
    atomic_fetch_add(&c->at_work, 1);
    while (!atomic_load(&c->over)) {
        if (rt_guard_acquire(atomic_load(&c->view), "asked for", &guard) == RT_OK) {
            CHECK_EQ(rt_guard_release(guard), RT_OK);
        }
    }
    return NULL;
}

static rt_view *view_of_this_life(void)
{
    rt_view *view = NULL;
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    return view;
}

static void who_is_refused_holds_nothing_however_often_it_asks(void)
{
    enum { CROWD = 16, LIVES = 50 };
    rt_view *views[LIVES];
    pthread_t threads[CROWD];
    crowd c;
    int i, life;
    memset(&c, 0, sizeof c);
    atomic_store(&c.view, views[0] = view_of_this_life());
    for (i = 0; i < CROWD; i++) {
        threads[i] = thread_start(ask_again_and_again, &c);
    }
    while (atomic_load(&c.at_work) < CROWD) {
        sched_yield();
    }
    for (life = 0; life < (under_valgrind() ? LIVES / 10 : LIVES); life++) {
        rt_report *report = NULL;
        if (life > 0) {
            CHECK_EQ(rt_initialize(NULL), RT_OK);
            atomic_store(&c.view, views[life] = view_of_this_life());
        }
        CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
        CHECK_EQ(summary_of(report).runaways, 0);
        CHECK_EQ(rt_report_free(report), RT_OK);
    }
    atomic_store(&c.over, 1);
    for (i = 0; i < CROWD; i++) {
        pthread_join(threads[i], NULL);
    }
    for (i = 0; i < life; i++) {
        CHECK_EQ(rt_view_close(views[i]), RT_OK);
    }
}

#ifndef _WIN32

/* From here on the kernel has no membarrier for this process. */
static void refuse_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void the_same_where_the_kernel_has_no_membarrier(void)
{
    refuse_membarrier();
    no_granted_guard_is_held_from_the_freeze_on();
}

static void the_same_where_a_sandbox_takes_membarrier_away(void)
{
    one_round();
    refuse_membarrier();
    no_granted_guard_is_held_from_the_freeze_on();
}

#endif

/* Each thread holds its guard most of the time, so one is open at every moment. */
static void *overlap(void *arg)
{
    arena *a = (arena *)arg;
    rt_guard *guard;
    while (hold(a, "overlapping", &guard) == RT_OK) {
        atomic_fetch_add(&a->at_work, 1);
        usleep(2000);
        let_go(a, guard);
    }
    return NULL;
}

static void guards_that_overlap_without_end_do_not_hold_up_finalization(void)
{
    arena a;
    rt_report *report = NULL;
    pthread_t threads[HOLDERS];
    int i;
    memset(&a, 0, sizeof a);
    CHECK_EQ(rt_view_from(NULL, &a.view), RT_OK);
    for (i = 0; i < HOLDERS; i++) {
        threads[i] = thread_start(overlap, &a);
    }
    while (atomic_load(&a.at_work) < HOLDERS) {
        sched_yield();
    }
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(atomic_load(&a.held), 0);
    CHECK_EQ(summary_of(report).runaways, 0);
    for (i = 0; i < HOLDERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK_EQ(rt_report_free(report), RT_OK);
}

#ifndef _WIN32

static rt_view *handlers_view;
static volatile sig_atomic_t handled, refused_in_handler;

static void pin_in_a_signal_handler(int signal_number)
{
    rt_guard *guard = NULL;
    rt_status status = rt_guard_acquire(handlers_view, "handler", &guard);
    (void)signal_number;
    if (status == RT_OK) {
        status = rt_guard_release(guard);
    }
    if (status == RT_ERR_WOULD_BLOCK) {
        refused_in_handler++;
    } else if (status != RT_OK) {
        _exit(97);
    }
    handled++;
}

static void *send_signals(void *arg)
{
    while (handled < (under_valgrind() ? 200 : 2000)) {
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

static void a_signal_handler_pins_over_the_pinning_of_its_thread(void)
{
    enum { AT_ONCE = 4 };
    pthread_t self = pthread_self(), sender;
    rt_guard *guards[AT_ONCE];
    struct sigaction action;
    int i;
    CHECK_EQ(rt_view_from(NULL, &handlers_view), RT_OK);
    /* The thread's first guard allocates; that is not for a signal handler. */
    CHECK_EQ(rt_guard_acquire(handlers_view, NULL, &guards[0]), RT_OK);
    CHECK_EQ(rt_guard_release(guards[0]), RT_OK);
    memset(&action, 0, sizeof action);
    action.sa_handler = pin_in_a_signal_handler;
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    sender = thread_start(send_signals, &self);
    while (handled < (under_valgrind() ? 200 : 2000)) {
        for (i = 0; i < AT_ONCE; i++) {
            CHECK_EQ(rt_guard_acquire(handlers_view, "interrupted", &guards[i]), RT_OK);
        }
        for (i = 0; i < AT_ONCE; i++) {
            CHECK_EQ(rt_guard_release(guards[i]), RT_OK);
        }
    }
    pthread_join(sender, NULL);
    CHECK_EQ(refused_in_handler, 0);
    CHECK_EQ(rt_finalize_ex(), 0);
}

#endif

int main(void)
{
    RUN(no_granted_guard_is_held_from_the_freeze_on);
    RUN(who_is_refused_holds_nothing_however_often_it_asks);
    RUN_POSIX(the_same_where_the_kernel_has_no_membarrier, "seccomp");
    RUN_POSIX(the_same_where_a_sandbox_takes_membarrier_away, "seccomp");
    RUN(guards_that_overlap_without_end_do_not_hold_up_finalization);
    RUN_POSIX(a_signal_handler_pins_over_the_pinning_of_its_thread, "signals");
    return check_done();
}

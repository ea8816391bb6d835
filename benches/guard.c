/*
 * What a thread pays to pin the runtime and let it go, beside a count that all threads share: an
 * atomic increment and a decrement, without a name, a clock or a check of the handle.
 */
#include "bench.h"

static rt_view *view;
static rt_thread *thread;

static inline void pin_by_view(void)
{
    rt_guard *guard;
    if (rt_guard_acquire(view, "bench", &guard) != RT_OK || rt_guard_release(guard) != RT_OK) {
        abort();
    }
}

static struct {
    _Alignas(64) long count;
} shared;

static inline void count_in_and_out(void)
{
    __atomic_add_fetch(&shared.count, 1, __ATOMIC_SEQ_CST);
    __atomic_sub_fetch(&shared.count, 1, __ATOMIC_SEQ_CST);
}

/* What the other thread does meanwhile, if there is one. */
enum { NOTHING, GUARDS, COUNTS };
static _Alignas(64) volatile int others_work;

static void guards(long times)
{
    others_work = GUARDS;
    while (times-- > 0) {
        pin_by_view();
    }
    others_work = NOTHING;
}

static void counts(long times)
{
    others_work = COUNTS;
    while (times-- > 0) {
        count_in_and_out();
    }
    others_work = NOTHING;
}

static void guards_of_an_attached_thread(long times)
{
    while (times-- > 0) {
        rt_guard *guard;
        if (rt_guard_from_current(thread, "bench", &guard) != RT_OK
            || rt_guard_release(guard) != RT_OK) {
            abort();
        }
    }
}

static void *work_beside(void *arg)
{
    for (;;) {
        switch (others_work) {
        case GUARDS:
            pin_by_view();
            break;
        case COUNTS:
            count_in_and_out();
            break;
        default:
            break;
        }
    }
    return arg;
}

/* Another thread on a processor that is not the calling thread's; 0 if there is none. */
static int start_beside(void)
{
    pthread_attr_t attributes;
    pthread_t other;
    cpu_set_t allowed, one;
    int mine = sched_getcpu(), cpu;
    NEED(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    bench_pin();
    for (cpu = 0; cpu < CPU_SETSIZE && (cpu == mine || !CPU_ISSET((size_t)cpu, &allowed)); cpu++) {
    }
    if (cpu == CPU_SETSIZE) {
        return 0;
    }
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    NEED(pthread_attr_init(&attributes) == 0);
    NEED(pthread_attr_setaffinity_np(&attributes, sizeof one, &one) == 0);
    NEED(pthread_create(&other, &attributes, work_beside, NULL) == 0);
    pthread_attr_destroy(&attributes);
    return 1;
}

int main(void)
{
    bench_second_thread();
    NEED(rt_view_from(NULL, &view) == RT_OK);
    bench_row("guard, native thread : shared count", bench_compare(guards, counts, BENCH_TURNS), 0);
    NEED(rt_thread_attach(NULL, NULL, &thread) == RT_OK);
    bench_row("guard, attached thread : shared count",
              bench_compare(guards_of_an_attached_thread, counts, BENCH_TURNS), 0);
    NEED(rt_thread_detach(thread) == RT_OK);
    if (start_beside()) {
        bench_row("guard, two native threads : shared count",
                  bench_compare(guards, counts, BENCH_TURNS), 0);
    } else {
        printf("guards of two native threads: skipped, there is one processor\n");
    }
    return 0;
}

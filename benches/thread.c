/*
 * What a thread pays on its way in and out of a runtime, beside the two exchanges it cannot do
 * without.
 */
#include "bench.h"

static rt_thread *thread;

static void enter_leave(long times)
{
    while (times-- > 0) {
        if (rt_thread_enter(thread) != RT_OK || rt_thread_leave(thread) != RT_OK) {
            abort();
        }
    }
}

static uint32_t position;

static void two_exchanges(long times)
{
    while (times-- > 0) {
        __atomic_exchange_n(&position, 1, __ATOMIC_SEQ_CST);
        __atomic_exchange_n(&position, 0, __ATOMIC_SEQ_CST);
    }
}

static void checkpoint(long times)
{
    while (times-- > 0) {
        if (rt_thread_checkpoint(thread) != RT_OK) {
            abort();
        }
    }
}

extern void bench_empty(void);

static void empty(long times)
{
    while (times-- > 0) {
        bench_empty();
    }
}

/* Pins and unpins the handle; beside it, the same question without a handle. */
static rt_runtime *runtime;

static void state_by_handle(long times)
{
    while (times-- > 0) {
        if (rt_runtime_state(runtime) != RT_STATE_RUNNING) {
            abort();
        }
    }
}

static void state_of_default(long times)
{
    while (times-- > 0) {
        if (rt_runtime_state(NULL) != RT_STATE_RUNNING) {
            abort();
        }
    }
}

int main(void)
{
    bench_pin();
    NEED(rt_thread_attach(NULL, NULL, &thread) == RT_OK);
    bench_row("enter and leave : two inline exchanges",
              bench_compare(enter_leave, two_exchanges, BENCH_TURNS), 0);
    NEED(rt_thread_enter(thread) == RT_OK);
    bench_row("checkpoint : empty call", bench_compare(checkpoint, empty, BENCH_TURNS), 0);
    NEED(rt_thread_leave(thread) == RT_OK);
    NEED(rt_thread_detach(thread) == RT_OK);
    NEED(rt_runtime_new("bench", &runtime) == RT_OK);
    bench_row("rt_runtime_state by handle : of the default runtime",
              bench_compare(state_by_handle, state_of_default, BENCH_TURNS), 0);
    return 0;
}

/*
 * Asking whether the runtime finalizes: by a call, beside an empty call through the same linkage;
 * and inline, beside one load.
 *
 * Both are wanted at a ratio of 1. What the machine's noise and the places of two functions in
 * memory make of an exact 1 is measured too, with two empty calls and with two loads.
 */
#include "bench.h"

/* In a library of its own; see empty.c. */
extern void bench_empty(void);
extern void bench_empty_too(void);

static void call(long times)
{
    while (times-- > 0) {
        (void)rt_is_finalizing();
    }
}

static void empty(long times)
{
    while (times-- > 0) {
        bench_empty();
    }
}

static void empty_too(long times)
{
    while (times-- > 0) {
        bench_empty_too();
    }
}

static volatile int32_t flag, flag_too;

static void inline_form(long times)
{
    while (times-- > 0) {
        (void)rt_is_finalizing_inline();
    }
}

static void one_load(long times)
{
    while (times-- > 0) {
        (void)flag;
    }
}

static void one_load_too(long times)
{
    while (times-- > 0) {
        (void)flag_too;
    }
}

/* Shows the noise, and returns the largest ratio that is still no more than 1. */
static double noise(const char *what, bench_result same)
{
    bench_row(what, same, 0);
    return same.high > 1.0 ? same.high : 1.0;
}

int main(void)
{
    double most;
    bench_pin();
    most = noise("empty call : another empty call (the noise)",
                 bench_compare(empty_too, empty, BENCH_TURNS));
    bench_row("rt_is_finalizing : empty call", bench_compare(call, empty, BENCH_TURNS), most);
    most = noise("volatile load : another (the noise)",
                 bench_compare(one_load_too, one_load, BENCH_TURNS));
    bench_row("rt_is_finalizing_inline : volatile load",
              bench_compare(inline_form, one_load, BENCH_TURNS), most);
    return 0;
}

/*
 * Finalizing with many at-exit callbacks: the time for each must not grow with their number. All of
 * it runs on one thread, so its own clock tells.
 */
#include "bench.h"

enum { ROUNDS = 15 };

static const long counts[] = {10000, 1000, 100000, 1000000};
enum { COUNTS = sizeof counts / sizeof *counts };

static double registering[COUNTS][ROUNDS], finalizing[COUNTS][ROUNDS], ratios[COUNTS][ROUNDS];

static int count(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static void one_round(int which, int round)
{
    rt_runtime *runtime;
    long called = 0;
    double start, middle, end;
    NEED(rt_runtime_new("callbacks", &runtime) == RT_OK);
    start = bench_busy_ns();
    for (long i = 0; i < counts[which]; i++) {
        NEED(rt_atexit(runtime, NULL, count, &called, NULL) == RT_OK);
    }
    middle = bench_busy_ns();
    NEED(rt_finalize(runtime, NULL, NULL) == RT_OK);
    end = bench_busy_ns();
    NEED(called == counts[which]);
    NEED(rt_runtime_free(runtime) == RT_OK);
    registering[which][round] = (middle - start) / (double)counts[which];
    finalizing[which][round] = (end - middle) / (double)counts[which];
    ratios[which][round] = finalizing[which][round] / finalizing[0][round];
}

int main(void)
{
    bench_pin();
    for (int round = 0; round < ROUNDS; round++) {
        for (int which = 0; which < COUNTS; which++) {
            one_round(which, round);
        }
    }
    for (int which = 0; which < COUNTS; which++) {
        char what[80];
        bench_result result = {
            .ours = bench_percentile(finalizing[which], ROUNDS, 50),
            .other = bench_percentile(finalizing[0], ROUNDS, 50),
            .ratio = bench_percentile(ratios[which], ROUNDS, 50),
            .low = bench_percentile(ratios[which], ROUNDS, 10),
            .high = bench_percentile(ratios[which], ROUNDS, 90),
        };
        if (which == 0) {
            char ours[32];
            snprintf(ours, sizeof ours, "%.2f ns", result.ours);
            bench_line("finalize, each of 10000 callbacks", ours, "", "", "", "");
            snprintf(ours, sizeof ours, "%.2f ns", bench_percentile(registering[2], ROUNDS, 50));
            bench_line("rt_atexit, each of 100000", ours, "", "", "", "");
            continue;
        }
        snprintf(what, sizeof what, "finalize, each of %ld callbacks : of 10000", counts[which]);
        /* Half as much again is room for caches; a square would be ten times as much. */
        bench_row(what, result, counts[which] > counts[0] ? 1.5 : 0);
    }
    return 0;
}

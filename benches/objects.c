/*
 * Tracked objects: the time for each to be tracked, finalized and deallocated must not grow with
 * their number, nor its memory. All of it runs on one thread, so its own clock tells.
 */
#include "bench.h"
#include <malloc.h>

enum { ROUNDS = 9 };

static const long counts[] = {10000, 100000, 1000000};
enum { COUNTS = sizeof counts / sizeof *counts };

static double times[COUNTS][ROUNDS], ratios[COUNTS][ROUNDS], bytes[COUNTS][ROUNDS];

static int count(void *arg)
{
    ++*(long *)arg;
    return 0;
}

static double allocated(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
}

static void one_round(int which, int round)
{
    rt_runtime *runtime;
    long called = 0;
    double before, start;
    NEED(rt_runtime_new("objects", &runtime) == RT_OK);
    before = allocated();
    start = bench_busy_ns();
    for (long i = 0; i < counts[which]; i++) {
        NEED(rt_object_track(runtime, "object", count, count, &called, NULL) == RT_OK);
    }
    bytes[which][round] = (allocated() - before) / (double)counts[which];
    NEED(rt_finalize(runtime, NULL, NULL) == RT_OK);
    times[which][round] = (bench_busy_ns() - start) / (double)counts[which];
    NEED(called == 2 * counts[which]);
    NEED(rt_runtime_free(runtime) == RT_OK);
    ratios[which][round] = times[which][round] / times[0][round];
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
        char what[80], ours[32];
        double memory = bench_percentile(bytes[which], ROUNDS, 100);
        bench_result result = {
            .ours = bench_percentile(times[which], ROUNDS, 50),
            .other = bench_percentile(times[0], ROUNDS, 50),
            .ratio = bench_percentile(ratios[which], ROUNDS, 50),
            .low = bench_percentile(ratios[which], ROUNDS, 10),
            .high = bench_percentile(ratios[which], ROUNDS, 90),
        };
        if (which == 0) {
            snprintf(ours, sizeof ours, "%.2f ns", result.ours);
            bench_line("track to dealloc, each of 10000 objects", ours, "", "", "", "");
        } else {
            snprintf(what, sizeof what, "track to dealloc, each of %ld objects : of 10000",
                     counts[which]);
            /* Half as much again is room for caches; a square would be ten times as much. */
            bench_row(what, result, 1.5);
        }
        snprintf(what, sizeof what, "memory for each of %ld objects", counts[which]);
        snprintf(ours, sizeof ours, "%.1f bytes", memory);
        bench_line(what, ours, "", "", "<= 48 bytes", memory <= 48 ? "yes" : "NO");
    }
    return 0;
}

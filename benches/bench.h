/*
 * What the benchmarks share: two contestants timed in turns, and a row of the table.
 *
 * The machine is noisy, so nothing is compared across runs: both contestants run in short slices,
 * one after the other, the order changing each time. What runs alone is timed by its thread's own
 * clock, which stands still while other processes have the processor. A row shows the median of
 * each, and the median of the ratios within one turn with the range that holds the middle 80 of
 * 100. Nothing is asserted.
 */
#ifndef BENCH_H
#define BENCH_H

#include "../c_tests/check.h"

enum { BENCH_TURNS = 801, BENCH_SLICE_NS = 100000 };

/* Does the same thing `times` times. */
typedef void (*bench_loop)(long times);

typedef struct bench_result {
    double ours, other;      /* median nanoseconds for one time */
    double ratio, low, high; /* ours / other */
} bench_result;

static inline double bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Time this thread was running. */
static inline double bench_busy_ns(void)
{
    struct timespec busy;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &busy);
    return (double)busy.tv_sec * 1e9 + (double)busy.tv_nsec;
}

static inline double bench_time(bench_loop loop, long times)
{
    double start = bench_busy_ns();
    loop(times);
    return (bench_busy_ns() - start) / (double)times;
}

static inline int bench_by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the samples; `of_100` is 50 for the median. */
static inline double bench_percentile(double *samples, int count, double of_100)
{
    qsort(samples, (size_t)count, sizeof *samples, bench_by_value);
    return samples[(int)(of_100 / 100 * (count - 1) + 0.5)];
}

static inline void *bench_sleep(void *unused)
{
    for (;;) {
        pause();
    }
    return unused;
}

/* As long as a process has one thread, glibc's mutexes and streams leave their atomics out. */
static inline void bench_second_thread(void)
{
    pthread_t thread;
    NEED(pthread_create(&thread, NULL, bench_sleep, NULL) == 0);
}

/* Keeps the calling thread on the processor it is on. */
static inline void bench_pin(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    NEED(sched_setaffinity(0, sizeof one, &one) == 0);
}

static inline bench_result bench_compare(bench_loop ours, bench_loop other, int turns)
{
    static double a[BENCH_TURNS], b[BENCH_TURNS], ratios[BENCH_TURNS];
    bench_result result;
    long times = 16;
    /* Warms up too. */
    while (bench_time(ours, times) * (double)times < BENCH_SLICE_NS) {
        bench_time(other, times);
        times *= 2;
    }
    for (int turn = 0; turn < turns; turn++) {
        if (turn % 2 == 0) {
            a[turn] = bench_time(ours, times);
            b[turn] = bench_time(other, times);
        } else {
            b[turn] = bench_time(other, times);
            a[turn] = bench_time(ours, times);
        }
        ratios[turn] = a[turn] / b[turn];
    }
    result.ours = bench_percentile(a, turns, 50);
    result.other = bench_percentile(b, turns, 50);
    result.ratio = bench_percentile(ratios, turns, 50);
    result.low = bench_percentile(ratios, turns, 10);
    result.high = bench_percentile(ratios, turns, 90);
    return result;
}

/* One line; empty texts where a column does not apply. */
static inline void bench_line(const char *what, const char *ours, const char *other,
                              const char *ratio, const char *wanted, const char *reached)
{
    printf("%-52s %12s %12s  %-18s %-12s %s\n", what, ours, other, ratio, wanted, reached);
    fflush(stdout);
}

static inline void bench_table_head(void)
{
    bench_line("what", "ours", "other", "ratio (80 of 100)", "wanted", "reached");
}

/* `most` is the largest ratio wanted, or 0 for a row that only informs. */
static inline void bench_row(const char *what, bench_result result, double most)
{
    char ours[32], other[32], ratio[48], wanted[32] = "";
    snprintf(ours, sizeof ours, "%.2f ns", result.ours);
    snprintf(other, sizeof other, "%.2f ns", result.other);
    snprintf(ratio, sizeof ratio, "%.2f (%.2f-%.2f)", result.ratio, result.low, result.high);
    if (most > 0) {
        snprintf(wanted, sizeof wanted, "<= %.2f", most);
    }
    /* As exact as it is printed. */
    bench_line(what, ours, other, ratio, wanted,
               most <= 0 ? "" : result.ratio < most + 0.005 ? "yes" : "NO");
}

#endif

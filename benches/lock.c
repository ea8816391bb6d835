/*
 * The uncontended buffered lock, through the shared library, beside what a host could write inline
 * and beside CPython's lock.
 */
#include "bench.h"

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;

static void ours(long times)
{
    while (times-- > 0) {
        if (rt_buffered_lock_acquire(&lock) != RT_OK || rt_buffered_lock_release(&lock) != RT_OK) {
            abort();
        }
    }
}

static uint64_t word;
static __thread uint64_t my_id;

static inline int swap(uint64_t from, uint64_t to, int order)
{
    return __atomic_compare_exchange_n(&word, &from, to, 0, order, __ATOMIC_RELAXED);
}

/* Free to me and me to free: both steps fail when the owner is not the expected one. */
static void inline_pair(long times)
{
    while (times-- > 0) {
        if (!swap(0, my_id, __ATOMIC_ACQUIRE) || !swap(my_id, 0, __ATOMIC_RELEASE)) {
            abort();
        }
    }
}

static void inline_pair_by_pthread_self(long times)
{
    while (times-- > 0) {
        if (!swap(0, (uint64_t)pthread_self(), __ATOMIC_ACQUIRE)
            || !swap((uint64_t)pthread_self(), 0, __ATOMIC_RELEASE)) {
            abort();
        }
    }
}

/* The same two with something done under the lock and something after it, as hosts do. */
static volatile long inside, outside;

static void ours_around_work(long times)
{
    while (times-- > 0) {
        if (rt_buffered_lock_acquire(&lock) != RT_OK) {
            abort();
        }
        inside++;
        if (rt_buffered_lock_release(&lock) != RT_OK) {
            abort();
        }
        outside++;
    }
}

static void inline_around_work(long times)
{
    while (times-- > 0) {
        if (!swap(0, my_id, __ATOMIC_ACQUIRE)) {
            abort();
        }
        inside++;
        if (!swap(my_id, 0, __ATOMIC_RELEASE)) {
            abort();
        }
        outside++;
    }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void pthread_pair(long times)
{
    while (times-- > 0) {
        if (pthread_mutex_lock(&mutex) != 0 || pthread_mutex_unlock(&mutex) != 0) {
            abort();
        }
    }
}

#ifdef WITH_LIBPYTHON
/* Of CPython's C API, all versions; its headers are not needed. */
extern void *PyThread_allocate_lock(void);
extern int PyThread_acquire_lock(void *lock, int wait);
extern void PyThread_release_lock(void *lock);

static void *python_lock;

static void python_pair(long times)
{
    while (times-- > 0) {
        if (PyThread_acquire_lock(python_lock, 1) != 1) {
            abort();
        }
        PyThread_release_lock(python_lock);
    }
}
#endif

int main(void)
{
    char bytes[32];
    bench_table_head();
    bench_second_thread();
    bench_pin();
    my_id = (uint64_t)getpid();
    bench_row("lock pair : inline CAS pair, id in a __thread",
              bench_compare(ours, inline_pair, BENCH_TURNS), 2.0);
    bench_row("lock pair around two counters : the CAS pair so",
              bench_compare(ours_around_work, inline_around_work, BENCH_TURNS), 0);
    bench_row("lock pair : inline CAS pair, id by pthread_self",
              bench_compare(ours, inline_pair_by_pthread_self, BENCH_TURNS), 0);
    bench_row("lock pair : pthread_mutex pair (no owner kept)",
              bench_compare(ours, pthread_pair, BENCH_TURNS), 0);
#ifdef WITH_LIBPYTHON
    python_lock = PyThread_allocate_lock();
    NEED(python_lock != NULL);
    bench_row("lock pair : CPython " WITH_LIBPYTHON " PyThread_acquire/release",
              bench_compare(ours, python_pair, BENCH_TURNS), 0.25);
    /* What this machine's atomics leave possible. */
    bench_row("inline CAS pair : the same of CPython",
              bench_compare(inline_pair, python_pair, BENCH_TURNS), 0);
#endif
    snprintf(bytes, sizeof bytes, "%zu bytes", sizeof(rt_buffered_lock));
    bench_line("sizeof(rt_buffered_lock)", bytes, "", "", "<= 16 bytes",
               sizeof(rt_buffered_lock) <= 16 ? "yes" : "NO");
    return 0;
}

/*
 * A heap that a thread can get stuck in: it has a single lock, so a thread that is stuck in it keeps all
 * others from allocating.
 */
#ifndef STUCK_HEAP_H
#define STUCK_HEAP_H

#include "host.h"
#include <stdatomic.h>

static inline void sleep_indefinitely(void)
{
    for (;;) {
        pause();
    }
}

#ifdef _WIN32

static atomic_int heaps_are_locked;

static inline void *lock_all_heaps(void *arg)
{
    HANDLE heaps[64];
    const DWORD count = GetProcessHeaps(64, heaps);
    DWORD i;
    NEED(count > 0 && count <= 64);
    for (i = 0; i < count; i++) {
        NEED(HeapLock(heaps[i]));
    }
    atomic_store(&heaps_are_locked, 1);
    sleep_indefinitely();
    return arg;
}

/* From here on, every thread that uses the heap gets stuck. */
static inline void heap_stick(void)
{
    thread_start(lock_all_heaps, NULL);
    while (!atomic_load(&heaps_are_locked)) {
        sched_yield();
    }
}

#else

/* This program's malloc. (Valgrind's stands in for it.) */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static atomic_flag heap = ATOMIC_FLAG_INIT;
static __thread int stick;

static void heap_enter(void)
{
    while (atomic_flag_test_and_set_explicit(&heap, memory_order_acquire)) {
        sched_yield();
    }
    if (stick) {
        sleep_indefinitely();
    }
}

static void heap_leave(void)
{
    atomic_flag_clear_explicit(&heap, memory_order_release);
}

void *malloc(size_t size)
{
    void *memory;
    heap_enter();
    memory = __libc_malloc(size);
    heap_leave();
    return memory;
}

void *calloc(size_t count, size_t size)
{
    void *memory;
    heap_enter();
    memory = __libc_calloc(count, size);
    heap_leave();
    return memory;
}

void *realloc(void *memory, size_t size)
{
    heap_enter();
    memory = __libc_realloc(memory, size);
    heap_leave();
    return memory;
}

void free(void *memory)
{
    heap_enter();
    __libc_free(memory);
    heap_leave();
}

/* The calling thread is stuck at its next use of the heap, and then all others at theirs. */
static inline void heap_stick(void)
{
    stick = 1;
}

#endif

#endif

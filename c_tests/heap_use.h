/*
 * What this process's heaps have given out. To ask needs no memory.
 */
#ifndef HEAP_USE_H
#define HEAP_USE_H

#include "check.h"

#ifdef _WIN32

static inline size_t given_out_by_the_heap(void)
{
    static HANDLE heaps[64];
    const DWORD count = GetProcessHeaps(64, heaps);
    size_t busy = 0;
    DWORD i;
    NEED(count > 0 && count <= 64);
    for (i = 0; i < count; i++) {
        PROCESS_HEAP_ENTRY entry;
        memset(&entry, 0, sizeof entry);
        NEED(HeapLock(heaps[i]));
        while (HeapWalk(heaps[i], &entry)) {
            busy += entry.wFlags & PROCESS_HEAP_ENTRY_BUSY ? entry.cbData : 0;
        }
        HeapUnlock(heaps[i]);
    }
    return busy;
}

#else
#include <malloc.h>

static inline size_t given_out_by_the_heap(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

#endif

#endif

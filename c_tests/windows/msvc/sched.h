/* As pthread.h. */
#ifndef MSVC_SCHED_H
#define MSVC_SCHED_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static inline int sched_yield(void)
{
    SwitchToThread();
    return 0;
}

#endif

/*
 * A process that has no more memory, or gets no more threads, than a test lets it have.
 */
#ifndef SCARCE_H
#define SCARCE_H

#include "check.h"

#ifdef _WIN32
#include <psapi.h>

/*
 * A job's limit would do it too, but not every Windows minds one (Wine does not). So the system's
 * functions are overwritten in this process.
 */
#if !defined __x86_64__
#error "the instructions below are those of x86-64"
#endif

enum { PATCH_SIZE = 12 };

typedef struct patch {
    unsigned char *at, before[PATCH_SIZE];
} patch;

static inline void patch_write(unsigned char *at, const unsigned char bytes[PATCH_SIZE])
{
    DWORD protection;
    NEED(VirtualProtect(at, PATCH_SIZE, PAGE_EXECUTE_READWRITE, &protection));
    memcpy(at, bytes, PATCH_SIZE);
    NEED(VirtualProtect(at, PATCH_SIZE, protection, &protection));
    NEED(FlushInstructionCache(GetCurrentProcess(), at, PATCH_SIZE));
}

static inline void *system_function(const char *name)
{
    void *at = (void *)(uintptr_t)GetProcAddress(GetModuleHandleA("ntdll.dll"), name);
    NEED(at != NULL);
    return at;
}

/* From here on the system's function is this one. */
static inline void patch_set(patch *p, const char *name, uintptr_t function)
{
    unsigned char jump[PATCH_SIZE] = {0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0};
    memcpy(jump + 2, &function, sizeof function);
    p->at = (unsigned char *)system_function(name);
    memcpy(p->before, p->at, PATCH_SIZE);
    patch_write(p->at, jump);
}

static inline void patch_undo(const patch *p)
{
    patch_write(p->at, p->before);
}

typedef LONG(WINAPI *allocate_ex)(HANDLE process, void **at, SIZE_T *size, ULONG type, ULONG protection,
                                  void *parameters, ULONG count);

static const LONG NO_MEMORY = (LONG)0xC0000017;
static allocate_ex allocate_memory;
static size_t most_memory;

/* What the process has committed. It does not need memory to say so. */
static inline size_t memory_in_use(void)
{
    PROCESS_MEMORY_COUNTERS counters;
    NEED(K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters));
    return counters.PagefileUsage;
}

static inline LONG WINAPI allocate_what_is_left(HANDLE process, void **at, ULONG_PTR zero_bits,
                                                SIZE_T *size, ULONG type, ULONG protection)
{
    (void)zero_bits;
    if (type & MEM_COMMIT && (*size > most_memory || memory_in_use() > most_memory - *size)) {
        return NO_MEMORY;
    }
    return allocate_memory(process, at, size, type, protection, NULL, 0);
}

/* What the process may still allocate. */
static inline void memory_limit(size_t room)
{
    static patch p;
    most_memory = memory_in_use() + room;
    allocate_memory = (allocate_ex)(uintptr_t)system_function("NtAllocateVirtualMemoryEx");
    patch_set(&p, "NtAllocateVirtualMemory", (uintptr_t)allocate_what_is_left);
}

static patch no_threads;

static inline LONG WINAPI begin_no_thread(void)
{
    return NO_MEMORY;
}

static inline void threads_refuse(void)
{
    patch_set(&no_threads, "NtCreateThreadEx", (uintptr_t)begin_no_thread);
}

static inline void threads_allow(void)
{
    patch_undo(&no_threads);
}

#else
#include <sys/resource.h>

/* What the process may still allocate. */
static inline void memory_limit(size_t room)
{
    struct rlimit limit;
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    NEED(statm != NULL && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    limit.rlim_cur = limit.rlim_max = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + room;
    NEED(setrlimit(RLIMIT_AS, &limit) == 0);
}

/* The process gets no memory any more, and its heap has none left; what was taken for that. */
static inline void **memory_none(void)
{
    volatile char stack[256 * 1024]; /* it cannot grow any more either */
    struct rlimit limit;
    void **taken = NULL, **block;
    size_t size;
    memset((char *)stack, 1, sizeof stack);
    NEED(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = 4096;
    NEED(setrlimit(RLIMIT_AS, &limit) == 0);
    for (size = 1 << 20; size >= sizeof *block; size -= size > 1024 ? size / 2 : 16) {
        while ((block = (void **)malloc(size)) != NULL) {
            *block = taken;
            taken = block;
        }
    }
    return taken;
}

/* The memory is there again. */
static inline void memory_again(void **taken)
{
    struct rlimit limit;
    while (taken != NULL) {
        void **next = (void **)*taken;
        free(taken);
        taken = next;
    }
    NEED(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    NEED(setrlimit(RLIMIT_AS, &limit) == 0);
}

static struct rlimit before_refusal;

/* Lets nothing more be mapped, as a thread's stack must be; the heap has room for small things. */
static inline void threads_refuse(void)
{
    struct rlimit limit;
    void *room = malloc(65536);
    NEED(room != NULL);
    free(room);
    NEED(getrlimit(RLIMIT_AS, &before_refusal) == 0);
    limit = before_refusal;
    limit.rlim_cur = 4096;
    NEED(setrlimit(RLIMIT_AS, &limit) == 0);
}

static inline void threads_allow(void)
{
    NEED(setrlimit(RLIMIT_AS, &before_refusal) == 0);
}

#endif

#endif

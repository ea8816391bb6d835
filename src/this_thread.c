/*
 * The calling thread's own cell, in C for one reason: Rust cannot ask for the initial-exec model,
 * and the default model of a shared library costs every lock two more calls to find its caller.
 * 48 bytes fit in the room that loaders keep for libraries opened late.
 *
 * Where this_thread.rs knows the target's instructions it reads the cell by its symbol; elsewhere it
 * calls the function below.
 */
#include <stddef.h>
#include <stdint.h>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#endif

struct rtfinalize_cell {
    uint64_t id;       /* this thread's owner id; 0 until it has one */
    uint32_t sections; /* internal mutexes and queues this thread is inside of */
    uint32_t calls;    /* host callbacks this thread is inside of */
    void *block;       /* what else is known of it; owned by this_thread.rs */
    uint32_t exiting;  /* how often the thread-exit hook has run */
    uint32_t ended;    /* 1 while a callback's pthread_exit waits for the outermost call to end */
    void *rest;        /* where to resume it */
    void *refusals;    /* inside a dealloc callback: where the calls it makes are noted */
#if defined(_WIN32)
    void *duty;        /* what it is in the middle of; host_call.rs's */
#endif
};

#if defined(_WIN32)
/* A pointer in the thread's environment block. (GCC takes the block, which begins at the segment's 0, for
   an object of no size where <winnt.h> reads it.) */
static inline void *in_thread_block(size_t pointers)
{
    size_t offset = pointers * sizeof(void *);
    void *value;
#if defined(__GNUC__) && defined(__x86_64__)
    __asm__("movq %%gs:(%1), %0" : "=r"(value) : "r"(offset));
#elif defined(__GNUC__) && defined(__i386__)
    __asm__("movl %%fs:(%1), %0" : "=r"(value) : "r"(offset));
#else
    value = *(void **)((char *)NtCurrentTeb() + offset);
#endif
    return value;
}

/* Its array of the images' thread-local blocks, and the process's own block. */
enum { THREAD_LOCAL_BLOCKS = 11, PROCESS_BLOCK = 12 };
#endif

#if defined(__ELF__)
#define HIDDEN __attribute__((visibility("hidden")))
#else
#define HIDDEN
#endif

#if defined(_MSC_VER)
static __declspec(thread) struct rtfinalize_cell rtfinalize_cell;
#elif defined(_WIN32)
/* GCC would emulate a thread-local by memory that it frees while the thread still ends. So this is the
   image's own block of thread-locals, which the loader makes: between _tls_start and _tls_end, by the
   name of its section. This is the template; a thread's cell is as far into the thread's block. */
__attribute__((section(".tls$RT"))) static struct rtfinalize_cell template = {0};
extern const IMAGE_TLS_DIRECTORY _tls_used;
extern ULONG _tls_index;
#elif defined(__ELF__)
HIDDEN __thread struct rtfinalize_cell rtfinalize_cell __attribute__((tls_model("initial-exec")));
#else
static __thread struct rtfinalize_cell rtfinalize_cell;
#endif

HIDDEN struct rtfinalize_cell *rtfinalize_this_cell(void);

HIDDEN struct rtfinalize_cell *rtfinalize_this_cell(void)
{
#if defined(_WIN32) && !defined(_MSC_VER)
    char *const *blocks = (char *const *)in_thread_block(THREAD_LOCAL_BLOCKS);
    size_t into = (size_t)((ULONG_PTR)&template - _tls_used.StartAddressOfRawData);
    return (struct rtfinalize_cell *)(blocks[_tls_index] + into);
#else
    return &rtfinalize_cell;
#endif
}

#if defined(_WIN32)
/* this_thread/end.rs's, once there is a thread that it wants to hear of. */
static void (*volatile thread_ends)(void);

void rtfinalize_at_thread_end(void (*hook)(void));

void rtfinalize_at_thread_end(void (*hook)(void))
{
    thread_ends = hook;
}

/* The loader's word to this image. Once the process ends it comes for the last thread only, which is
   still at work. */
static void NTAPI loader_hook(PVOID image, DWORD why, PVOID reserved)
{
    (void)image;
    (void)reserved;
    if (why == DLL_THREAD_DETACH && thread_ends != NULL) {
        thread_ends();
    }
}

int rtfinalize_is_in_loader(void);

/* Whether this thread has the loader's lock, as in every DllMain: then no thread can begin or end. The
   lock is where Windows has had it since its beginnings, and debuggers look for it. */
int rtfinalize_is_in_loader(void)
{
    const char *process = (const char *)in_thread_block(PROCESS_BLOCK);
    const size_t lock_at = sizeof(void *) == 8 ? 0x110 : 0xa0;
    const RTL_CRITICAL_SECTION *lock = *(RTL_CRITICAL_SECTION *const *)(process + lock_at);
    return lock != NULL && lock->OwningThread == (HANDLE)(ULONG_PTR)GetCurrentThreadId();
}

/* Y: after the hooks of the C runtime and of Rust's, which may still call this library. */
#if defined(_MSC_VER)
/* Nothing refers to either, and a linker may leave out what nothing refers to. */
#if defined(_M_IX86)
#pragma comment(linker, "/INCLUDE:__tls_used")
#pragma comment(linker, "/INCLUDE:_rtfinalize_loader_hook")
#else
#pragma comment(linker, "/INCLUDE:_tls_used")
#pragma comment(linker, "/INCLUDE:rtfinalize_loader_hook")
#endif
#pragma const_seg(".CRT$XLY")
extern const PIMAGE_TLS_CALLBACK rtfinalize_loader_hook;
const PIMAGE_TLS_CALLBACK rtfinalize_loader_hook = loader_hook;
#pragma const_seg()
#else
__attribute__((section(".CRT$XLY"), used)) static const PIMAGE_TLS_CALLBACK rtfinalize_loader_hook =
    loader_hook;
#endif
#endif

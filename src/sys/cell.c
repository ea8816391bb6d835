/*
 * The calling thread's own cell, in C for one reason: Rust cannot ask for the initial-exec model,
 * and the default model of a shared library costs every lock two more calls to find its caller.
 * Its size fits in the room that loaders keep for libraries opened late.
 *
 * Where this_thread.rs knows the target's instructions it reads the cell by its symbol; elsewhere it
 * calls the function below.
 */
#if !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#endif

struct rtfinalize_cell {
    uint64_t id;       /* this thread's owner id; 0 until it has one */
    uint32_t sections; /* internal mutexes and queues this thread is inside of */
    uint32_t activity; /* what the library is doing on this thread; sync/activity.rs's */
    void *block;       /* what else is known of it; this_thread.rs's */
    void *inside;      /* the word in its record that says whether it is inside a section; sync/fork.rs's */
    void *attachments; /* what it is attached to; runtime/attachment/own.rs's */
    void *guards;      /* the guards that it has; runtime/guards/table.rs's */
    void *refusals;    /* inside a dealloc callback: where the calls it makes are noted */
    uint64_t duties;   /* what it is in the middle of and has no note of; this_thread/duties.rs's */
    uint32_t handlers; /* signal handlers that run over the library at work */
    uint32_t deferred; /* what it does when it leaves its sections; sync/fork.rs's */
    uint32_t forks;    /* forks this thread is in the middle of */
    uint32_t before_fork; /* what the library was doing before them */
    uint32_t fork_hooks;  /* those whose hooks have begun; sync/activity.rs's */
    uint32_t calls;    /* host callbacks this thread is inside of */
    uint32_t exiting;  /* how often the thread-exit hook has run */
    uint32_t ended;    /* `calls` plus 1 where a callback's pthread_exit waits for the library to return */
    uint32_t cancel;   /* the host's cancellation state while the library holds it off, plus 1; else 0 */
    uint32_t reserve;  /* not 0 where memory/reserve.rs may serve this thread */
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

#if !defined(_WIN32)
#include <dlfcn.h>
#if defined(__GLIBC__)
#include <link.h>
/* Weak: a fully static program has no loader, and nothing to keep. */
extern __typeof__(dladdr1) dladdr1 __attribute__((weak));
extern __typeof__(dlopen) dlopen __attribute__((weak));
#endif

HIDDEN void rtfinalize_stay_loaded(void);

/* Keeps the object that this code is in: a plug-in that is linked to the static library may be closed while
   threads that used it still have to end, and their exit hook is here. The program itself always stays. */
HIDDEN void rtfinalize_stay_loaded(void)
{
#if defined(__GLIBC__)
    Dl_info info;
    struct link_map *object = NULL;
    if (dladdr1 != NULL && dlopen != NULL &&
        dladdr1((void *)rtfinalize_stay_loaded, &info, (void **)&object, RTLD_DL_LINKMAP) != 0 &&
        object != NULL && object->l_name != NULL && object->l_name[0] != '\0') {
        dlopen(object->l_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    }
#endif
}
#endif

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

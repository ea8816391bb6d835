/*
 * The calling thread's own cell, in C for one reason: Rust cannot ask for the initial-exec model,
 * and the default model of a shared library costs every lock two more calls to find its caller.
 * 48 bytes fit in the room that loaders keep for libraries opened late.
 *
 * Where this_thread.rs knows the target's instructions it reads the cell by its symbol; elsewhere it
 * calls the function below.
 */
#include <stdint.h>

struct rtfinalize_cell {
    uint64_t id;       /* this thread's owner id; 0 until it has one */
    uint32_t sections; /* internal mutexes and queues this thread is inside of */
    uint32_t calls;    /* host callbacks this thread is inside of */
    void *block;       /* what else is known of it; owned by this_thread.rs */
    uint32_t exiting;  /* how often the thread-exit hook has run */
    uint32_t ended;    /* 1 while a callback's pthread_exit waits for the outermost call to end */
    void *rest;        /* where to resume it */
    void *refusals;    /* inside a dealloc callback: where the calls it makes are noted */
};

#if defined(__ELF__)
#define HIDDEN __attribute__((visibility("hidden")))
#else
#define HIDDEN
#endif

#if defined(_MSC_VER)
static __declspec(thread) struct rtfinalize_cell rtfinalize_cell;
#elif defined(__ELF__)
HIDDEN __thread struct rtfinalize_cell rtfinalize_cell __attribute__((tls_model("initial-exec")));
#else
static __thread struct rtfinalize_cell rtfinalize_cell;
#endif

HIDDEN struct rtfinalize_cell *rtfinalize_this_cell(void);

HIDDEN struct rtfinalize_cell *rtfinalize_this_cell(void)
{
    return &rtfinalize_cell;
}

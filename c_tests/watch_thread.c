/*
 * The thread that watches a finalization is nobody the process notices: it has a name, takes no signal
 * and leaves the heap alone, so that nothing it does can wait for a thread that is stuck.
 *
 * This program's thread-locals are larger than that thread's stack, on which they lie.
 */
#include "host.h"
#ifndef _WIN32
#include <dirent.h>
#include <stdatomic.h>
#endif

static _Thread_local volatile char large[600 * 1024];

#ifndef _WIN32

#define WATCH "rtfinalize-watc" /* the kernel keeps 15 bytes of a name */

/* --- a malloc that knows who calls --- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void __libc_free(void *memory);

static pthread_t finalizing;
static atomic_int counting, calls_of_others;

static void called(void)
{
    if (counting && !pthread_equal(pthread_self(), finalizing)) {
        calls_of_others++;
    }
}

void *malloc(size_t size)
{
    called();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    called();
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    called();
    return __libc_realloc(memory, size);
}

void free(void *memory)
{
    if (memory != NULL) { /* with NULL libc does, for every thread that ends */
        called();
    }
    __libc_free(memory);
}

/* --- what the process shows of its threads --- */

/* Reads a file of a thread's below /proc; 0 if the thread is gone. */
static int look(const char *tid, const char *file, char *text, size_t size)
{
    char path[300];
    FILE *from;
    size_t got;
    snprintf(path, sizeof path, "/proc/self/task/%s/%s", tid, file);
    from = fopen(path, "r");
    if (from == NULL) {
        return 0;
    }
    got = fread(text, 1, size - 1, from);
    text[got] = '\0';
    fclose(from);
    return got > 0;
}

/* The signals that the thread of this name blocks; waits until there is one. */
static unsigned long long blocked_by(const char *name)
{
    for (;;) {
        DIR *tasks = opendir("/proc/self/task");
        struct dirent *task;
        unsigned long long mask = 0;
        int found = 0;
        NEED(tasks != NULL);
        while (!found && (task = readdir(tasks)) != NULL) {
            char text[4096];
            const char *at;
            if (task->d_name[0] == '.' || !look(task->d_name, "comm", text, sizeof text)) {
                continue;
            }
            text[strcspn(text, "\n")] = '\0';
            if (strcmp(text, name) == 0 && look(task->d_name, "status", text, sizeof text)
                && (at = strstr(text, "SigBlk:")) != NULL) {
                mask = strtoull(at + strlen("SigBlk:"), NULL, 16);
                found = 1;
            }
        }
        closedir(tasks);
        if (found) {
            return mask;
        }
        sched_yield();
    }
}

/* --- tests --- */

static int finds_the_watch(void *arg)
{
    *(unsigned long long *)arg = blocked_by(WATCH);
    return 0;
}

static void the_watch_thread_has_a_name_and_takes_no_signal_but_its_own_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    unsigned long long blocked = 0, may = 0;
    sigset_t before, after;
    size_t i;
    int number;
    NEED(pthread_sigmask(SIG_BLOCK, NULL, &before) == 0);
    NEED(rt_runtime_set_text(NULL, "RTFINALIZE_NOTICE", "5s") == RT_OK);
    NEED(rt_atexit(NULL, "looks", finds_the_watch, &blocked, NULL) == RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    for (i = 0; i < sizeof faults / sizeof *faults; i++) {
        may |= 1ULL << (faults[i] - 1);
    }
    CHECK_EQ(blocked & may, 0);
    /* Neither of these can be blocked. */
    may |= 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1);
    for (number = 1; number < 32; number++) {
        if (!(may >> (number - 1) & 1)) {
            CHECK_EQ(blocked >> (number - 1) & 1, 1);
        }
    }
    /* The thread that finalized takes what it took before. */
    NEED(pthread_sigmask(SIG_BLOCK, NULL, &after) == 0);
    for (number = 1; number < 32; number++) {
        CHECK_EQ(sigismember(&after, number), sigismember(&before, number));
    }
}

static void the_watch_thread_does_not_touch_the_heap_and_is_gone_afterwards(void)
{
    unsigned long long blocked = 0;
    int life;
    finalizing = pthread_self();
    for (life = 0; life < 20; life++) {
        NEED(life == 0 || rt_initialize(NULL) == RT_OK);
        NEED(rt_runtime_set_text(NULL, "RTFINALIZE_NOTICE", "5s") == RT_OK);
        NEED(rt_atexit(NULL, "looks", finds_the_watch, &blocked, NULL) == RT_OK);
        counting = 1;
        CHECK_EQ(rt_finalize_ex(), 0);
        counting = 0;
        CHECK(blocked != 0);
        /* One that was waited for is listed for a moment more. */
        while (thread_count() != 1) {
            sched_yield();
        }
    }
    CHECK_EQ(calls_of_others, 0);
}

#else

/* MinGW declares it for no version of Windows that we ask for. */
typedef HRESULT(WINAPI *get_description)(HANDLE thread, wchar_t **name);

static int is_called(DWORD tid, const wchar_t *expected)
{
    const get_description get = (get_description)(void (*)(void))GetProcAddress(
        GetModuleHandleA("kernel32.dll"), "GetThreadDescription");
    HANDLE thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, FALSE, tid);
    wchar_t *name = NULL;
    int is = 0;
    NEED(get != NULL);
    if (thread != NULL && get(thread, &name) >= 0) {
        is = wcscmp(name, expected) == 0;
        LocalFree(name);
    }
    CloseHandle(thread);
    return is;
}

static void count_the_watch(DWORD tid, void *count)
{
    *(int *)count += is_called(tid, L"rtfinalize-watch");
}

/* It names itself when it begins. */
static int looks_for_the_watch(void *found)
{
    while (*(int *)found == 0) {
        each_thread(count_the_watch, found);
    }
    return 0;
}

static void the_watch_thread_has_a_name_while_callbacks_run_and_is_gone_afterwards(void)
{
    const int before = threads_now();
    int life;
    for (life = 0; life < 20; life++) {
        int found = 0;
        NEED(life == 0 || rt_initialize(NULL) == RT_OK);
        NEED(rt_runtime_set_text(NULL, "RTFINALIZE_NOTICE", "5s") == RT_OK);
        NEED(rt_atexit(NULL, "looks", looks_for_the_watch, &found, NULL) == RT_OK);
        CHECK_EQ(rt_finalize_ex(), 0);
        CHECK_EQ(found, 1);
        wait_until_threads_are(before);
    }
}

#endif

static event never = EVENT_INIT;

static int never_returns(void *arg)
{
    (void)arg;
    event_wait(&never);
    return 0;
}

static void finalize_with_a_callback_that_is_stuck(void)
{
    rt_finalize_options options = options_none();
    large[0] = 1;
    options.deadline_us = under_valgrind() ? 2000000 : 100000;
    options.overrun = RT_OVERRUN_EXIT;
    options.exit_code = 75;
    NEED(rt_atexit(NULL, "stuck", never_returns, NULL, NULL) == RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void the_watch_ends_the_process_however_large_the_thread_locals_are(void)
{
    char said[4096];
    large[0] = 1;
    CHECK_EQ(exit_code_of(finalize_with_a_callback_that_is_stuck, said, sizeof said), 75);
    CHECK(strstr(said, "stuck") != NULL);
}

int main(void)
{
    RUN_POSIX(the_watch_thread_has_a_name_and_takes_no_signal_but_its_own_faults, "signals");
    RUN_POSIX(the_watch_thread_does_not_touch_the_heap_and_is_gone_afterwards,
              "malloc of the program's own");
#ifdef _WIN32
    RUN(the_watch_thread_has_a_name_while_callbacks_run_and_is_gone_afterwards);
#endif
    RUN(the_watch_ends_the_process_however_large_the_thread_locals_are);
    return check_done();
}

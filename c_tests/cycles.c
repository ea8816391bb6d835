/*
 * Initialise, use, finalize, and again: a runtime that is started ten thousand times in one process costs
 * no more memory, and no more handles, than one that was started a hundred times.
 */
#include "host.h"

#include <fcntl.h>
#ifdef _WIN32
#include "heap_use.h"
#include <psapi.h>
/* Wine takes ten times as long for a thread. */
enum { WARM_UP = 100, CYCLES = 2000, CYCLES_UNDER_VALGRIND = 150 };
/* Pages that come and go below the system's own functions, over all cycles. What its heaps have given
   out is exact. And a section of the system's gets its event with the first thread that has to wait for it. */
enum { SYSTEMS_OWN = 16, SYSTEMS_HANDLES = 4 };
#else
/* A number in some text gets its third digit at the 100th, and needs a larger piece of memory from there on. */
enum { WARM_UP = 120, CYCLES = 10000, CYCLES_UNDER_VALGRIND = 150 };
enum { SYSTEMS_OWN = 0, SYSTEMS_HANDLES = 0 };
#endif

/* Memory that the process has. The look itself must not need any. */
typedef struct use {
    long pages;     /* of memory of its own; those of files are code that ran for the first time */
    long given_out; /* by its heaps, in pages, where that can be asked */
} use;

#ifdef _WIN32

static void *do_nothing(void *arg)
{
    return arg;
}

/* Threads that the library is done with are gone. Of the last thread that ended Wine keeps the stack until
   the next one ends: it shall always be the same one's. */
static void settle(int threads)
{
    wait_until_threads_are(threads);
    pthread_join(thread_start(do_nothing, NULL), NULL);
    wait_until_threads_are(threads);
}

/* By the list of all handles there are: Wine gives GetProcessHandleCount no number. That needs memory. */
static long open_handles(void)
{
    enum { MOST = 100000 };
    typedef LONG(WINAPI *query)(int what, void *answer, ULONG size, ULONG *needed);
    const query ask = (query)(void (*)(void))GetProcAddress(GetModuleHandleA("ntdll.dll"),
                                                            "NtQuerySystemInformation");
    const int all_handles = 64; /* SystemExtendedHandleInformation */
    static struct {
        ULONG_PTR count, reserved;
        struct {
            void *object;
            ULONG_PTR process, handle;
            ULONG access;
            USHORT trace, type;
            ULONG attributes, reserved;
        } all[MOST];
    } list;
    ULONG_PTR i;
    long own = 0;
    NEED(ask != NULL && ask(all_handles, &list, sizeof list, NULL) >= 0);
    for (i = 0; i < list.count; i++) {
        own += list.all[i].process == GetCurrentProcessId();
    }
    NEED(own > 0);
    return own;
}

static use use_now(void)
{
    PROCESS_MEMORY_COUNTERS counters;
    use u;
    NEED(K32GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof counters));
    u.pages = (long)(counters.PagefileUsage / 4096);
    u.given_out = (long)(given_out_by_the_heap() / 4096);
    return u;
}

#else

static use use_now(void)
{
    static char text[8192];
    const int file = open("/proc/self/status", O_RDONLY);
    use u = {0, 0};
    ssize_t got;
    long kib = -1;
    NEED(file >= 0 && (got = read(file, text, sizeof text - 1)) > 0);
    close(file);
    text[got] = '\0';
    NEED(sscanf(strstr(text, "RssAnon:"), "RssAnon: %ld", &kib) == 1);
    u.pages = kib * 1024 / sysconf(_SC_PAGESIZE);
    return u;
}

static int threads_now(void)
{
    return 1; /* none is counted */
}

static void settle(int threads)
{
    (void)threads;
}

static long open_handles(void)
{
    long own = 0;
    int fd;
    for (fd = 0; fd < 1024; fd++) {
        own += fcntl(fd, F_GETFD) >= 0;
    }
    return own;
}

#endif

static int count(void *arg)
{
    ++*(long *)arg;
    return 0;
}

/* The operation's kernel: it is done. (POSIX AIO is not in the cycle: how many pages the C library's
   threads for it have touched is not ours to say.) */
static int has_ended(void *arg, int64_t timeout_us)
{
    (void)arg;
    (void)timeout_us;
    return 0;
}

typedef struct life {
    rt_runtime *runtime;
    rt_writer *writer;
    long deleted;
} life;

/* A thread of the runtime's: attaches with a state, writes under the writer's lock, detaches. */
static void *work(void *arg)
{
    life *l = (life *)arg;
    rt_thread *thread = NULL;
    rt_thread_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "worker";
    options.delete_state = count;
    options.state = &l->deleted;
    CHECK_EQ(rt_thread_attach(l->runtime, &options, &thread), RT_OK);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_writer_lock(l->writer), RT_OK);
    CHECK_EQ(rt_writer_write(l->writer, "a line\n", 7), RT_OK);
    CHECK_EQ(rt_writer_unlock(l->writer), RT_OK);
    CHECK_EQ(rt_thread_checkpoint(thread), RT_OK);
    CHECK_EQ(rt_thread_leave(thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

/* Everything a host does with a runtime in one life of it. */
static void live_once(rt_runtime *runtime, int sink)
{
    life l = {runtime, NULL, 0};
    rt_writer_options options;
    rt_report *report = NULL;
    rt_overlapped *operation = NULL;
    rt_overlapped_callbacks callbacks;
    rt_buffered_lock lock;
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    pthread_t thread;
    long ran = 0;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = "log";
    options.capacity = 4096;
    CHECK_EQ(rt_writer_open_fd(runtime, sink, &options, &l.writer), RT_OK);
    CHECK_EQ(rt_atexit(runtime, "callback", count, &ran, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(runtime, "exit function", count, &ran, NULL), RT_OK);
    CHECK_EQ(rt_pending_add(runtime, "pending call", count, &ran, NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(runtime, RT_PHASE_FINALIZE, 0, "handler", count, &ran, NULL), RT_OK);
    CHECK_EQ(rt_object_track(runtime, "object", count, count, &ran, NULL), RT_OK);
    CHECK_EQ(rt_view_from(runtime, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire(view, "guard", &guard), RT_OK);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    CHECK_EQ(rt_buffered_lock_init_for(&lock, runtime), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.wait = has_ended;
    callbacks.free = count;
    callbacks.arg = &ran;
    CHECK_EQ(rt_overlapped_new(runtime, &callbacks, "operation", &operation), RT_OK);
    thread = thread_start(work, &l);
    pthread_join(thread, NULL);
    CHECK_EQ(rt_finalize(runtime, NULL, &report), RT_OK);
    CHECK_EQ(ran, 7);
    CHECK_EQ(rt_guard_acquire(view, "late", &guard), RT_ERR_FINALIZING);
    CHECK_EQ(rt_view_close(view), RT_OK);
    CHECK_EQ(l.deleted, 1);
    CHECK_EQ(summary_of(report).restartable, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(operation), RT_OK);
    CHECK_EQ(rt_writer_close(l.writer, 0), RT_OK);
}

static void check_cycles(void (*cycle)(int sink))
{
    const int cycles = under_valgrind() ? CYCLES_UNDER_VALGRIND : CYCLES;
    const int sink = open(NULL_DEVICE, O_WRONLY), threads = threads_now();
    use after_warm_up = use_now(), at_end; /* the first look would count its own */
    long handles = open_handles();
    int i;
    NEED(sink >= 0);
    for (i = 0; i < cycles; i++) {
        if (i == WARM_UP) {
            settle(threads);
            handles = open_handles();
            after_warm_up = use_now();
        }
        cycle(sink);
    }
    settle(threads);
    at_end = use_now();
    CHECK(open_handles() <= handles + SYSTEMS_HANDLES);
    if (!under_valgrind()) {
        CHECK(at_end.pages <= after_warm_up.pages + SYSTEMS_OWN);
        CHECK(at_end.given_out <= after_warm_up.given_out);
    }
    if (check_failed_here) {
        fprintf(stderr, "pages %ld, then %ld; given out %ld, then %ld; handles %ld, then %ld\n",
                after_warm_up.pages, at_end.pages, after_warm_up.given_out, at_end.given_out, handles,
                open_handles());
    }
    close(sink);
}

static void one_more_life_of_the_default_runtime(int sink)
{
    live_once(NULL, sink);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
}

static void lives_of_the_default_runtime_leave_nothing_behind(void)
{
    check_cycles(one_more_life_of_the_default_runtime);
}

static void one_more_runtime(int sink)
{
    rt_runtime *runtime = runtime_new("short-lived");
    live_once(runtime, sink);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static void runtimes_made_and_freed_leave_nothing_behind(void)
{
    check_cycles(one_more_runtime);
}

int main(void)
{
    RUN(lives_of_the_default_runtime_leave_nothing_behind);
    RUN(runtimes_made_and_freed_leave_nothing_behind);
    return check_done();
}

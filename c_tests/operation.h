/*
 * In-flight operations for the tests: of the system on pipes, sockets and files, and a kernel of the
 * test's own that an operation made of callbacks runs on.
 *
 * Unix has POSIX AIO. glibc starts a helper thread for the first request on each descriptor at once, as
 * long as there are less than twenty: such a request cannot be cancelled. A second one on the same
 * descriptor is queued, and can. On Windows, whose operations are the kernel's, that is chosen.
 */
#ifndef OPERATION_H
#define OPERATION_H

#ifdef _WIN32

#include "windows/pending.h"

static inline rt_overlapped *begin_at(rt_runtime *runtime, uint32_t kind, uint32_t flags, int fd,
                                      const void *data, size_t size, int64_t offset, const char *name)
{
    rt_overlapped_request r = request(kind, (HANDLE)_get_osfhandle(fd), flags, size);
    r.data = data;
    r.offset = (uint64_t)offset;
    return start(runtime, &r, name);
}

/* A read that cannot be cancelled. */
static inline rt_overlapped *begin_read(rt_runtime *runtime, int fd, size_t size, const char *name)
{
    return begin_at(runtime, RT_OVERLAPPED_READ, RT_OVERLAPPED_NO_CANCEL, fd, NULL, size, 0, name);
}

/* One that can. */
static inline rt_overlapped *begin_queued_read(rt_runtime *runtime, int fd, size_t size,
                                               const char *name)
{
    return begin_at(runtime, RT_OVERLAPPED_READ, 0, fd, NULL, size, 0, name);
}

static inline rt_overlapped *begin_read_at(int fd, size_t size, int64_t offset, const char *name)
{
    return begin_at(NULL, RT_OVERLAPPED_READ, 0, fd, NULL, size, offset, name);
}

static inline rt_overlapped *begin_write_at(int fd, const void *data, size_t size, int64_t offset,
                                            const char *name)
{
    return begin_at(NULL, RT_OVERLAPPED_WRITE, 0, fd, data, size, offset, name);
}

/* What the ledger says a read of so many bytes has of memory. */
static inline uint64_t read_bytes(size_t size)
{
    return size + sizeof(OVERLAPPED);
}

/* A pipe that operations can be begun on at its out end. */
static inline tube pending_tube(void)
{
    char name[100];
    tube t;
    HANDLE out = server_end(name, sizeof name, PIPE_TYPE_BYTE);
    t.in = _open_osfhandle((intptr_t)client_end(name), _O_BINARY);
    t.out = _open_osfhandle((intptr_t)out, _O_BINARY);
    NEED(t.in >= 0 && t.out >= 0);
    return t;
}

/* What the system says of an operation that was cancelled. */
#define CANCELLED "(os error 995)"

/* The kernel hears of it, and may take a moment. */
static inline void check_cancelled(rt_overlapped *op)
{
    const rt_status status = rt_overlapped_cancel(op);
    CHECK(status == RT_OK || status == RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_wait(op, 30000000), RT_ERR_IO);
}

static inline size_t bytes_in(int fd)
{
    DWORD count = 0;
    NEED(PeekNamedPipe((HANDLE)_get_osfhandle(fd), NULL, 0, NULL, &count, NULL));
    return count;
}

/* A file of its own for operations, gone with its descriptor. */
static inline int file_with(const void *data, size_t size)
{
    char path[MAX_PATH];
    int first = temporary_file(path);
    HANDLE file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE | DELETE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                              FILE_FLAG_OVERLAPPED, NULL);
    NEED(first >= 0 && file != INVALID_HANDLE_VALUE);
    NEED(write(first, data, (unsigned)size) == (int)size);
    close(first);
    return _open_osfhandle((intptr_t)file, _O_BINARY);
}

#else

#include "host.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A read that cannot be cancelled, unless another was begun on this descriptor and has not ended. */
static inline rt_overlapped *begin_read(rt_runtime *runtime, int fd, size_t size, const char *name)
{
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_aio_read(runtime, fd, size, 0, name, &op), RT_OK);
    NEED(op != NULL);
    return op;
}

/* One that can, behind another. */
static inline rt_overlapped *begin_queued_read(rt_runtime *runtime, int fd, size_t size,
                                               const char *name)
{
    return begin_read(runtime, fd, size, name);
}

static inline rt_overlapped *begin_read_at(int fd, size_t size, int64_t offset, const char *name)
{
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_aio_read(NULL, fd, size, offset, name, &op), RT_OK);
    NEED(op != NULL);
    return op;
}

static inline rt_overlapped *begin_write_at(int fd, const void *data, size_t size, int64_t offset,
                                            const char *name)
{
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_aio_write(NULL, fd, data, size, offset, name, &op), RT_OK);
    NEED(op != NULL);
    return op;
}

static inline uint64_t read_bytes(size_t size)
{
    return size;
}

static inline tube pending_tube(void)
{
    return tube_open();
}

/* What the system says of an operation that was cancelled. */
#define CANCELLED strerror(ECANCELED)

static inline void check_cancelled(rt_overlapped *op)
{
    CHECK_EQ(rt_overlapped_cancel(op), RT_OK);
}

static inline size_t bytes_in(int fd)
{
    int count = 0;
    NEED(ioctl(fd, FIONREAD, &count) == 0);
    return (size_t)count;
}

/* Waits until a helper thread of the system's sits in a read of this descriptor. */
static inline void wait_until_read_from(int fd)
{
    char path[300], line[128], expected[64];
    int found = 0;
    snprintf(expected, sizeof expected, "%ld 0x%x ", (long)SYS_read, (unsigned)fd);
    while (!found) {
        struct dirent *task;
        DIR *tasks = opendir("/proc/self/task");
        NEED(tasks != NULL);
        while (!found && (task = readdir(tasks)) != NULL) {
            FILE *call;
            snprintf(path, sizeof path, "/proc/self/task/%s/syscall", task->d_name);
            call = task->d_name[0] == '.' ? NULL : fopen(path, "r");
            if (call != NULL) {
                found = fgets(line, sizeof line, call) != NULL
                        && strncmp(line, expected, strlen(expected)) == 0;
                fclose(call);
            }
        }
        closedir(tasks);
        sched_yield();
    }
}

/* A file of its own, gone with its descriptor. */
static inline int file_with(const void *data, size_t size)
{
    char path[] = "/tmp/rtfinalize-operation-XXXXXX";
    int fd = mkstemp(path);
    NEED(fd >= 0);
    unlink(path);
    NEED(write(fd, data, size) == (ssize_t)size);
    return fd;
}

#endif

static inline void put_bytes(int fd, const void *data, size_t size)
{
    NEED(write(fd, data, (unsigned)size) == (ssize_t)size);
}

/* On a busy machine the threads that must move first may take longer than one call waits. */
static inline rt_status dealloc_patiently(rt_overlapped *op)
{
    rt_status status;
    do {
        status = rt_overlapped_dealloc(op);
    } while (status == RT_ERR_IN_FLIGHT);
    return status;
}

/* The kernel of the test: it has memory in its hands until the operation ends. */
typedef struct kernel {
    pthread_mutex_t mutex;
    pthread_cond_t moved;
    int pending;
    int can_cancel;
    int wait_fails;
    int cancels, waits, closes, frees;
    char *memory;
    event waited_on; /* set by the first wait that is to take time */
    event go_on;     /* a thread that stays in its wait does so until this is set */
} kernel;

static __thread int stays_in_wait;

enum { KERNEL_BYTES = 64 };

static inline void kernel_start(kernel *k, int can_cancel)
{
    memset(k, 0, sizeof *k);
    pthread_mutex_init(&k->mutex, NULL);
    pthread_cond_init(&k->moved, NULL);
    k->waited_on = k->go_on = (event)EVENT_INIT;
    k->pending = 1;
    k->can_cancel = can_cancel;
    k->memory = (char *)malloc(KERNEL_BYTES);
    NEED(k->memory != NULL);
}

/* It writes to the memory a last time, and is done. */
static inline void kernel_complete(kernel *k)
{
    pthread_mutex_lock(&k->mutex);
    if (k->pending) {
        memset(k->memory, 'k', KERNEL_BYTES);
        k->pending = 0;
    }
    pthread_cond_broadcast(&k->moved);
    pthread_mutex_unlock(&k->mutex);
}

static inline int kernel_cancel(void *arg)
{
    kernel *k = (kernel *)arg;
    pthread_mutex_lock(&k->mutex);
    k->cancels++;
    if (k->can_cancel) {
        k->pending = 0;
        pthread_cond_broadcast(&k->moved);
    }
    pthread_mutex_unlock(&k->mutex);
    return 0;
}

static inline int kernel_wait(void *arg, int64_t timeout_us)
{
    kernel *k = (kernel *)arg;
    struct timespec until;
    int pending, late = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_us / 1000000);
    until.tv_nsec += (long)(timeout_us % 1000000) * 1000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    if (timeout_us != 0) {
        event_set(&k->waited_on);
        if (stays_in_wait) {
            event_wait(&k->go_on);
        }
    }
    pthread_mutex_lock(&k->mutex);
    k->waits++;
    while (k->pending && !late && timeout_us != 0 && !k->wait_fails) {
        late = timeout_us < 0 ? pthread_cond_wait(&k->moved, &k->mutex)
                              : pthread_cond_timedwait(&k->moved, &k->mutex, &until);
    }
    pending = k->wait_fails ? -1 : k->pending;
    pthread_mutex_unlock(&k->mutex);
    return pending;
}

/* Waits for the operation, on a thread of its own. */
typedef struct waiter {
    rt_overlapped *op;
    rt_status status;
    int stays;
} waiter;

static inline void *wait_indefinitely(void *arg)
{
    waiter *w = (waiter *)arg;
    stays_in_wait = w->stays;
    w->status = rt_overlapped_wait(w->op, -1);
    return NULL;
}

static inline int kernel_close(void *arg)
{
    kernel *k = (kernel *)arg;
    CHECK(!k->pending);
    CHECK_EQ(k->frees, 0);
    k->closes++;
    return 0;
}

static inline int kernel_free(void *arg)
{
    kernel *k = (kernel *)arg;
    CHECK(!k->pending);
    CHECK_EQ(k->closes, 1);
    k->frees++;
    free(k->memory);
    k->memory = NULL;
    return 0;
}

static inline rt_overlapped_callbacks kernel_callbacks(kernel *k)
{
    rt_overlapped_callbacks callbacks;
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.cancel = kernel_cancel;
    callbacks.wait = kernel_wait;
    callbacks.close = kernel_close;
    callbacks.free = kernel_free;
    callbacks.arg = k;
    callbacks.bytes = KERNEL_BYTES;
    return callbacks;
}

static inline rt_overlapped *start_on(rt_runtime *runtime, kernel *k, const char *name)
{
    rt_overlapped *op = NULL;
    rt_overlapped_callbacks callbacks = kernel_callbacks(k);
    CHECK_EQ(rt_overlapped_new(runtime, &callbacks, name, &op), RT_OK);
    NEED(op != NULL);
    return op;
}

/* A warning: counts, and may do something about it. */
typedef struct warned {
    int count;
    int32_t warning;
    char name[32];
    void (*act)(void *arg);
    void *arg;
} warned;

static inline void note_warning(void *arg, int32_t warning, const char *name)
{
    warned *w = (warned *)arg;
    w->count++;
    w->warning = warning;
    snprintf(w->name, sizeof w->name, "%s", name);
    if (w->act != NULL) {
        w->act(w->arg);
    }
}

/* The ledger's entry of this name, and how many there are. */
static inline int leaks_named(const rt_report *report, const char *name, rt_report_leak *found)
{
    rt_report_leak leak;
    size_t i;
    int count = 0;
    for (i = 0;; i++) {
        memset(&leak, 0, sizeof leak);
        leak.struct_size = sizeof leak;
        if (rt_report_get_leak(report, i, &leak) != RT_OK) {
            return count;
        }
        if (strcmp(leak.name, name) == 0) {
            count++;
            *found = leak;
        }
    }
}

/* Exactly one entry, of an operation with so many bytes. */
static inline void check_leaked(const rt_report *report, const char *name, uint64_t size)
{
    rt_report_leak leak;
    memset(&leak, 0, sizeof leak);
    CHECK_EQ(leaks_named(report, name, &leak), 1);
    CHECK_EQ(leak.kind, RT_LEAK_OVERLAPPED);
    CHECK_EQ(leak.bytes, size);
    CHECK(leak.reason != NULL && strlen(leak.reason) > 0);
}

/* Starts an operation, and a thread that is in a wait for it when this returns. */
static inline pthread_t start_with_waiter(kernel *k, waiter *w)
{
    pthread_t thread;
    kernel_start(k, 1);
    w->op = start_on(NULL, k, "own");
    thread = thread_start(wait_indefinitely, w);
    event_wait(&k->waited_on);
    return thread;
}

#endif

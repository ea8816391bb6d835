/*
 * What the C tests use of POSIX's threads, over Windows': Microsoft's compiler comes with none.
 */
#ifndef MSVC_PTHREAD_H
#define MSVC_PTHREAD_H

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <errno.h>
#include <process.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* --- threads --- */

typedef struct posix_thread {
    void *(*body)(void *);
    void *value; /* its argument, then what it returned */
    HANDLE handle;
    volatile LONG is_cancelled;
} *pthread_t;

/* NULL in the first thread, and in those that others began. */
static __declspec(thread) pthread_t posix_self;

static inline unsigned __stdcall posix_thread_runs(void *arg)
{
    posix_self = (pthread_t)arg;
    posix_self->value = posix_self->body(posix_self->value);
    return 0;
}

static inline int pthread_create(pthread_t *thread, void *none, void *(*body)(void *), void *arg)
{
    pthread_t made = (pthread_t)calloc(1, sizeof *made);
    (void)none;
    if (made == NULL) {
        return EAGAIN;
    }
    made->body = body;
    made->value = arg;
    /* It may ask for its own handle. */
    made->handle = (HANDLE)_beginthreadex(NULL, 0, posix_thread_runs, made, CREATE_SUSPENDED, NULL);
    if (made->handle == NULL) {
        free(made);
        return EAGAIN;
    }
    *thread = made;
    ResumeThread(made->handle);
    return 0;
}

static inline int pthread_join(pthread_t thread, void **value)
{
    if (WaitForSingleObject(thread->handle, INFINITE) != WAIT_OBJECT_0) {
        return EINVAL;
    }
    if (value != NULL) {
        *value = thread->value;
    }
    CloseHandle(thread->handle);
    free(thread);
    return 0;
}

static inline pthread_t pthread_self(void)
{
    return posix_self;
}

static inline int pthread_equal(pthread_t one, pthread_t other)
{
    return one == other;
}

static inline HANDLE pthread_gethandle(pthread_t thread)
{
    return thread->handle;
}

__declspec(noreturn) static inline void pthread_exit(void *value)
{
    if (posix_self != NULL) {
        posix_self->value = value;
    }
    _endthreadex(0);
    abort();
}

#define PTHREAD_CANCELED ((void *)-1)

/* Heard by pthread_testcancel alone. */
static inline int pthread_cancel(pthread_t thread)
{
    InterlockedExchange(&thread->is_cancelled, 1);
    return 0;
}

static inline void pthread_testcancel(void)
{
    if (posix_self != NULL && posix_self->is_cancelled) {
        pthread_exit(PTHREAD_CANCELED);
    }
}

/* There is no signal for one thread. */
static inline int pthread_kill(pthread_t thread, int signal_number)
{
    (void)thread;
    (void)signal_number;
    return 0;
}

#define pthread_cleanup_push(function, arg) \
    {                                       \
        void (*posix_cleanup)(void *) = (function); \
        void *posix_cleanup_arg = (arg);
#define pthread_cleanup_pop(now)                \
        if (now) {                              \
            posix_cleanup(posix_cleanup_arg);   \
        }                                       \
    }

/* --- values of a thread, with destructors --- */

typedef DWORD pthread_key_t;

static inline int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    *key = FlsAlloc(destructor); /* of the same calling convention, on x86-64 */
    return *key == FLS_OUT_OF_INDEXES ? EAGAIN : 0;
}

static inline int pthread_setspecific(pthread_key_t key, const void *value)
{
    return FlsSetValue(key, (void *)value) ? 0 : EINVAL;
}

/* --- mutexes and conditions --- */

typedef SRWLOCK pthread_mutex_t;
#define PTHREAD_MUTEX_INITIALIZER SRWLOCK_INIT

static inline int pthread_mutex_init(pthread_mutex_t *mutex, void *none)
{
    (void)none;
    InitializeSRWLock(mutex);
    return 0;
}

static inline int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    AcquireSRWLockExclusive(mutex);
    return 0;
}

static inline int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    ReleaseSRWLockExclusive(mutex);
    return 0;
}

typedef CONDITION_VARIABLE pthread_cond_t;
#define PTHREAD_COND_INITIALIZER CONDITION_VARIABLE_INIT

static inline int pthread_cond_init(pthread_cond_t *condition, void *none)
{
    (void)none;
    InitializeConditionVariable(condition);
    return 0;
}

static inline int pthread_cond_broadcast(pthread_cond_t *condition)
{
    WakeAllConditionVariable(condition);
    return 0;
}

static inline int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    return SleepConditionVariableSRW(condition, mutex, INFINITE, 0) ? 0 : EINVAL;
}

/* Wine's <time.h> has neither. */
struct timespec {
    time_t tv_sec;
    long tv_nsec;
};
enum { CLOCK_REALTIME };

static inline int clock_gettime(int clock, struct timespec *now)
{
    const uint64_t per_second = 10000000, until_1970 = 11644473600;
    FILETIME parts;
    uint64_t since_1601;
    (void)clock;
    GetSystemTimeAsFileTime(&parts);
    since_1601 = (uint64_t)parts.dwHighDateTime << 32 | parts.dwLowDateTime;
    now->tv_sec = (time_t)(since_1601 / per_second - until_1970);
    now->tv_nsec = (long)(since_1601 % per_second) * 100;
    return 0;
}

static inline int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                         const struct timespec *until)
{
    struct timespec now;
    int64_t left_ms;
    clock_gettime(CLOCK_REALTIME, &now);
    left_ms = (int64_t)(until->tv_sec - now.tv_sec) * 1000;
    left_ms += (until->tv_nsec - now.tv_nsec) / 1000000;
    if (left_ms <= 0 || !SleepConditionVariableSRW(condition, mutex, (DWORD)left_ms, 0)) {
        return ETIMEDOUT;
    }
    return 0;
}

/* A barrier for one use. */
typedef struct posix_barrier {
    pthread_mutex_t mutex;
    pthread_cond_t all_there;
    unsigned missing;
} pthread_barrier_t;

static inline int pthread_barrier_init(pthread_barrier_t *barrier, void *none, unsigned threads)
{
    pthread_mutex_init(&barrier->mutex, none);
    pthread_cond_init(&barrier->all_there, none);
    barrier->missing = threads;
    return 0;
}

static inline int pthread_barrier_wait(pthread_barrier_t *barrier)
{
    pthread_mutex_lock(&barrier->mutex);
    if (--barrier->missing == 0) {
        pthread_cond_broadcast(&barrier->all_there);
    }
    while (barrier->missing != 0) {
        pthread_cond_wait(&barrier->all_there, &barrier->mutex);
    }
    pthread_mutex_unlock(&barrier->mutex);
    return 0;
}

static inline int pthread_barrier_destroy(pthread_barrier_t *barrier)
{
    (void)barrier;
    return 0;
}

#endif

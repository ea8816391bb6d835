/*
 * What the tests of threads that end with no hook called share: one that holds all that there is to hold,
 * and a library that hears of the process's end.
 */
#ifndef KILLED_H
#define KILLED_H

#include "../destination.h"

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
static rt_writer *writer;
static int ends[2];
static event holds_all = EVENT_INIT, never = EVENT_INIT;

/* Is inside the runtime, with a lock, the writer's lock with a record in it, and, if it is given a name for it, a
   guard. */
static inline void *hold_all(void *arg)
{
    rt_view *view = NULL;
    rt_guard *guard = NULL;
    rt_thread *thread = attach(NULL, "killed", 0, RT_POLICY_HANG);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    if (arg != NULL) {
        CHECK_EQ(rt_guard_acquire(view, (const char *)arg, &guard), RT_OK);
    }
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 300), 300), RT_OK);
    event_set(&holds_all);
    event_wait(&never);
    return arg;
}

/* A thread that does, by `body`, and a pipe that the record goes to. */
static inline pthread_t start_one_that_holds_all(void *(*body)(void *), char *guard)
{
    pthread_t thread;
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 1000, 0);
    thread = thread_start(body, guard);
    event_wait(&holds_all);
    return thread;
}

/* A library whose DllMain calls `function` as it is unloaded, or as the process ends. */
static inline HMODULE library_calling(void (*function)(void))
{
    HMODULE library = LoadLibraryA("last_library.dll");
    void (*call_at_end)(void (*)(void));
    NEED(library != NULL);
    call_at_end = (void (*)(void (*)(void)))(void (*)(void))GetProcAddress(library, "call_at_end");
    NEED(call_at_end != NULL);
    call_at_end(function);
    return library;
}

/* To the stderr that the test reads: also where there is no more stdio. */
static inline void say(const char *line)
{
    NEED(write(STDERR_FILENO, line, (unsigned)strlen(line)) == (int)strlen(line));
}

static inline void say_whether_all_is_well(void)
{
    say(check_failed_here ? "wrong\n" : "well\n");
}

/* Runs a process of its own, which says at its end that all is well. Its exit code is given away before its
   libraries hear of its end (and under Wine stays, where Windows takes a later one). */
static inline void check_that_all_is_well(void (*body)(void), char *said, size_t size)
{
    exit_code_of(body, said, size);
    CHECK(strstr(said, "well\n") != NULL);
    if (strstr(said, "well\n") == NULL) {
        fputs(said, stderr);
    }
}

#endif

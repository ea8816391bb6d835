/*
 * The loader's lock: every DllMain has it, and no thread begins or ends without it. Calls from inside one,
 * and calls beside one that does not return, wait for nobody.
 */
#include "killed.h"

static event is_ready = EVENT_INIT, in_loader = EVENT_INIT, leave = EVENT_INIT;
static pid_t first_as;

/* Calls `function` with the loader's lock, from a library's DllMain. */
static void in_the_loader(void (*function)(void))
{
    NEED(FreeLibrary(library_calling(function)));
}

/* What makes this process's first call of the library's, or one of the first two. */
static void (*first_call)(void);

static void *call_first(void *arg)
{
    first_as = my_tid();
    event_set(&is_ready);
    event_wait(&in_loader);
    first_call();
    return arg;
}

static void call_second(void)
{
    event_set(&in_loader);
    wait_until_asleep(first_as); /* or until it is through */
    first_call();
}

static void call_first_on_two_threads(void (*call)(void))
{
    pthread_t first;
    first_call = call;
    first = thread_start(call_first, NULL);
    event_wait(&is_ready);
    in_the_loader(call_second);
    NEED(pthread_join(first, NULL) == 0);
}

static void take_a_lock(void)
{
    rt_buffered_lock mine = RT_BUFFERED_LOCK_INIT;
    CHECK_EQ(rt_buffered_lock_acquire(&mine), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&mine), RT_OK);
}

static void a_first_lock_in_a_DllMain_waits_for_no_other_threads_first(void)
{
    call_first_on_two_threads(take_a_lock);
}

static void register_a_callback(void)
{
    CHECK_EQ(rt_atexit(NULL, "nothing", nothing, NULL, NULL), RT_OK);
}

static void a_first_runtime_in_a_DllMain_waits_for_no_other_threads_first(void)
{
    call_first_on_two_threads(register_a_callback);
}

static void stay(void)
{
    event_set(&in_loader);
    event_wait(&leave);
}

static void *stay_in_the_loader(void *arg)
{
    in_the_loader(stay);
    return arg;
}

/* Finalizes while a thread has the loader's lock and does not give it back: no thread of the library's can
   begin. */
static void finalize_beside_the_loader(uint32_t overrun)
{
    pthread_t stays = thread_start(stay_in_the_loader, NULL);
    rt_finalize_options options = options_none();
    int64_t began;
    options.overrun = overrun;
    options.deadline_us = 20000000;
    event_wait(&in_loader);
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "nothing", nothing, NULL, NULL), RT_OK);
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    CHECK(now_us() - began < 10000000);
    event_set(&leave);
    NEED(pthread_join(stays, NULL) == 0);
}

static void a_finalization_waits_for_no_thread_that_another_keeps_from_beginning(void)
{
    finalize_beside_the_loader(RT_OVERRUN_CONTINUE);
}

static void a_finalization_that_shall_end_in_time_does_not_either(void)
{
    finalize_beside_the_loader(RT_OVERRUN_EXIT);
}

int main(void)
{
    RUN(a_first_lock_in_a_DllMain_waits_for_no_other_threads_first);
    RUN(a_first_runtime_in_a_DllMain_waits_for_no_other_threads_first);
    RUN(a_finalization_waits_for_no_thread_that_another_keeps_from_beginning);
    RUN(a_finalization_that_shall_end_in_time_does_not_either);
    return check_done();
}

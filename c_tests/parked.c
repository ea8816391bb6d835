/*
 * A thread that waits for one that is parked for good never continues. If lines about waits are wanted, one of
 * them names it, also after the finalization.
 */
#include "host.h"

static event attached = EVENT_INIT, over = EVENT_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t parked;

/* A daemon that has the mutex, and comes back once the finalization is over. */
static void *is_parked(void *arg)
{
    rt_thread *thread = attach(NULL, "loader\n", 1, RT_POLICY_HANG);
    pthread_mutex_lock(&mutex);
    event_set(&attached);
    event_wait(&over);
    rt_thread_enter(thread);
    CHECK(!"a parked thread never gets here");
    return arg;
}

static void *joins(void *arg)
{
    pthread_setname_np(pthread_self(), "joiner");
    pthread_join(parked, NULL);
    return arg;
}

static void *locks(void *arg)
{
    pthread_setname_np(pthread_self(), "locker");
    pthread_mutex_lock(&mutex);
    return arg;
}

/* Stderr, as a pipe to read from; `real` gets what it was. */
static FILE *stderr_to_read(int *real)
{
    int ends[2];
    FILE *said;
    *real = dup(STDERR_FILENO);
    NEED(*real >= 0 && pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
    close(ends[1]);
    said = fdopen(ends[0], "r");
    NEED(said != NULL);
    return said;
}

static void a_waiter_is_named(void *(*waits)(void *), const char *waiter, const char *what)
{
    rt_finalize_options options = options_none();
    char line[1000];
    int real;
    FILE *said = stderr_to_read(&real);
    parked = thread_start(is_parked, NULL);
    event_wait(&attached);
    options.notice_us = 20000;
    CHECK_EQ(rt_finalize(NULL, &options, NULL), RT_OK);
    event_set(&over);
    thread_start(waits, NULL);
    NEED(fgets(line, sizeof line, said) != NULL);
    NEED(dup2(real, STDERR_FILENO) >= 0);
    CHECK(strncmp(line, "rtfinalize: '", 13) == 0);
    CHECK(strstr(line, waiter) != NULL);
    CHECK(strstr(line, what) != NULL);
    CHECK(strstr(line, "is parked for good\n") != NULL);
}

static void whoever_joins_a_parked_thread_is_named_after_the_finalization(void)
{
    a_waiter_is_named(joins, "'joiner' (thread ", "waits for the end of 'loader?' (thread ");
}

static void whoever_wants_a_mutex_of_a_parked_thread_is_named(void)
{
    a_waiter_is_named(locks, "'locker' (thread ", "waits for a mutex of 'loader?' (thread ");
}

int main(void)
{
    RUN(whoever_joins_a_parked_thread_is_named_after_the_finalization);
    RUN(whoever_wants_a_mutex_of_a_parked_thread_is_named);
    return check_done();
}

/*
 * A lock in the child of a fork. Threads that waited for it in the parent do not exist in the child, and
 * must not stand in the queue there before threads that do.
 */
#include "check.h"

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;

typedef struct waiter {
    pthread_t thread;
    event begun;
    pid_t tid;
    rt_status status;
} waiter;

static void *wait_for_lock(void *arg)
{
    waiter *self = arg;
    self->tid = gettid();
    event_set(&self->begun);
    self->status = rt_buffered_lock_acquire(&lock);
    if (self->status >= 0) {
        CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    }
    return NULL;
}

/* Returns once the thread sleeps on the lock. */
static void begin_to_wait(waiter *self)
{
    *self = (waiter){.begun = EVENT_INIT};
    NEED(pthread_create(&self->thread, NULL, wait_for_lock, self) == 0);
    event_wait(&self->begun);
    wait_until_asleep(self->tid);
}

static void a_release_in_the_child_wakes_the_childs_own_waiter(void)
{
    enum { ROUNDS = 3 };
    waiter parents[ROUNDS], childs;
    int status = 0;
    pid_t child;
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    for (int i = 0; i < ROUNDS; i++) {
        begin_to_wait(&parents[i]);
    }
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        alarm(CHECK_HANG_SECONDS / 4);
        begin_to_wait(&childs);
        CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
        pthread_join(childs.thread, NULL);
        CHECK_EQ(childs.status, RT_OK);
        /* Not by an exit: memcheck would count what the threads that were not copied had. */
        kill(getpid(), check_failed_here ? SIGABRT : SIGKILL);
    }
    NEED(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_join(parents[i].thread, NULL);
        CHECK_EQ(parents[i].status, RT_OK);
    }
}

int main(void)
{
    RUN(a_release_in_the_child_wakes_the_childs_own_waiter);
    return check_done();
}

/*
 * Fibers: what a thread holds is the thread's, whichever of its fibers took it, and the end of a fiber is not
 * the end of its thread.
 */
#include "../host.h"

static rt_buffered_lock outer = RT_BUFFERED_LOCK_INIT, inner = RT_BUFFERED_LOCK_INIT;
static rt_guard *guard;

static void CALLBACK take_more(void *first)
{
    CHECK_EQ(rt_buffered_lock_acquire(&outer), RT_ERR_REENTRANT);
    CHECK_EQ(rt_buffered_lock_acquire(&inner), RT_OK);
    SwitchToFiber(first);
}

static void *find_both_taken(void *arg)
{
    CHECK_EQ(rt_buffered_lock_acquire_timed(&outer, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_buffered_lock_acquire_timed(&inner, 20000), RT_ERR_TIMEOUT);
    return arg;
}

static void a_fiber_that_ends_lets_go_of_nothing(void)
{
    rt_thread *thread = attach(NULL, "fibers", 0, RT_POLICY_ERROR);
    rt_view *view = NULL;
    void *first = ConvertThreadToFiber(NULL), *second;
    NEED(first != NULL);
    CHECK_EQ(rt_view_from(NULL, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire(view, "guard", &guard), RT_OK);
    CHECK_EQ(rt_buffered_lock_acquire(&outer), RT_OK);
    second = CreateFiber(0, take_more, first);
    NEED(second != NULL);
    SwitchToFiber(second);
    DeleteFiber(second);
    pthread_join(thread_start(find_both_taken, NULL), NULL);
    NEED(ConvertFiberToThread());
    pthread_join(thread_start(find_both_taken, NULL), NULL);
    CHECK_EQ(rt_buffered_lock_release(&inner), RT_OK);
    CHECK_EQ(rt_buffered_lock_release(&outer), RT_OK);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_thread_leave(thread), RT_OK);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    CHECK_EQ(rt_guard_release(guard), RT_OK);
    CHECK_EQ(rt_view_close(view), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

int main(void)
{
    RUN(a_fiber_that_ends_lets_go_of_nothing);
    return check_done();
}

/*
 * A host that switches stacks inside callbacks, as greenlet does: what a callback had on the stack is taken
 * away while it is suspended, and calls do not end in the order in which they began.
 */
#include "host.h"

#include <ucontext.h>

enum { STACK = 256 * 1024 };

static ucontext_t host, other;
static char *stack, *put_away;
static int other_is_over;

/* Goes to the other stack, which is put in its place for that time. */
static void switch_to_other(void)
{
    memcpy(stack, put_away, STACK);
    NEED(swapcontext(&host, &other) == 0);
    memcpy(put_away, stack, STACK);
    memset(stack, 0xa5, STACK);
}

static int switch_back(void *arg)
{
    (void)arg;
    NEED(swapcontext(&other, &host) == 0);
    return 0;
}

/* Runs on the other stack: a call of the library whose callback is suspended in its middle. */
static void call_on_the_other_stack(void)
{
    CHECK_EQ(rt_pending_add(NULL, "switches back", switch_back, NULL, NULL), RT_OK);
    CHECK_EQ(rt_pending_run(NULL, NULL), RT_OK);
    other_is_over = 1;
    NEED(swapcontext(&other, &host) == 0);
}

static int begin_on_the_other_stack(void *arg)
{
    (void)arg;
    switch_to_other();
    CHECK_EQ(other_is_over, 0);
    return 0;
}

static int finalize_and_fork(void *arg)
{
    int status;
    pid_t child;
    (void)arg;
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_ERR_IN_CALLBACK);
    child = fork();
    NEED(child >= 0);
    if (child == 0) {
        _exit(rt_finalize(NULL, NULL, NULL) == RT_ERR_IN_CALLBACK ? 0 : 1);
    }
    NEED(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}

static int end_on_the_other_stack(void *arg)
{
    (void)arg;
    switch_to_other();
    CHECK_EQ(other_is_over, 1);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_ERR_IN_CALLBACK);
    return 0;
}

static void a_callback_that_is_suspended_in_another_leaves_nothing_on_the_stack(void)
{
    stack = malloc(STACK);
    put_away = calloc(1, STACK);
    NEED(stack != NULL && put_away != NULL && getcontext(&other) == 0);
    other.uc_stack.ss_sp = stack;
    other.uc_stack.ss_size = STACK;
    makecontext(&other, call_on_the_other_stack, 0);
    memcpy(put_away, stack, STACK);
    CHECK_EQ(rt_atexit(NULL, "ends there", end_on_the_other_stack, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "finalizes", finalize_and_fork, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "begins there", begin_on_the_other_stack, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
    CHECK_EQ(other_is_over, 1);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
    free(stack);
    free(put_away);
}

int main(void)
{
    if (under_valgrind()) {
        puts("skipped switched_stacks.c: valgrind takes what is put away of a stack for gone");
        return check_done();
    }
    RUN(a_callback_that_is_suspended_in_another_leaves_nothing_on_the_stack);
    return check_done();
}

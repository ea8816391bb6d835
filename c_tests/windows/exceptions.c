/*
 * Exceptions of the system's, which are no C++ exceptions and unwind all the same: one that leaves a
 * callback ends the process with a message.
 */
#include "../host.h"

enum { EXCEPTION = (int)0xe0123456 };

static int raise_out(void *arg)
{
    (void)arg;
    RaiseException((DWORD)EXCEPTION, 0, 0, NULL);
    return 0;
}

/* Named in assembly by MinGW's __try1. */
__attribute__((used)) static long WINAPI catch_ours(EXCEPTION_POINTERS *raised)
{
    return raised->ExceptionRecord->ExceptionCode == (DWORD)EXCEPTION ? EXCEPTION_EXECUTE_HANDLER
                                                                      : EXCEPTION_CONTINUE_SEARCH;
}

/* Whatever `call` raises ends here. The macros' labels allow one such function in a program. */
__attribute__((noinline)) static void call_and_catch(int (*call)(void *))
{
#ifdef _MSC_VER
    __try {
        call(NULL);
    } __except (catch_ours(_exception_info())) {
    }
#else
    __try1(catch_ours)
    call(NULL);
    __except1
#endif
    fflush(stderr);
}

static int finalize_now(void *arg)
{
    (void)arg;
    return rt_finalize_ex();
}

static void finalize_with_a_raising_callback(void)
{
    rt_atexit(NULL, "raises", raise_out, NULL, NULL);
    call_and_catch(finalize_now);
    exit(1); /* it was caught, in an outer frame */
}

static void an_exception_out_of_a_callback_ends_the_process_with_a_message(void)
{
    char said[4096];
    CHECK(check_aborted(exit_code_of(finalize_with_a_raising_callback, said, sizeof said)));
    CHECK(strstr(said, "rtfinalize: an exception left a callback") != NULL);
}

static int raise_and_catch(void *arg)
{
    call_and_catch(raise_out);
    ++*(int *)arg;
    return 0;
}

static void an_exception_caught_inside_a_callback_is_the_hosts_own_matter(void)
{
    int called = 0;
    CHECK_EQ(rt_atexit(NULL, "catches", raise_and_catch, &called, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(called, 1);
}

static LONG WINAPI go_on(EXCEPTION_POINTERS *raised)
{
    return raised->ExceptionRecord->ExceptionCode == (DWORD)EXCEPTION ? EXCEPTION_CONTINUE_EXECUTION
                                                                      : EXCEPTION_CONTINUE_SEARCH;
}

static void one_after_which_the_callback_goes_on_has_not_left_it(void)
{
    NEED(AddVectoredExceptionHandler(1, go_on) != NULL);
    CHECK_EQ(rt_atexit(NULL, "goes on", raise_out, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
}

int main(void)
{
    RUN(an_exception_out_of_a_callback_ends_the_process_with_a_message);
    RUN(an_exception_caught_inside_a_callback_is_the_hosts_own_matter);
    RUN(one_after_which_the_callback_goes_on_has_not_left_it);
    return check_done();
}

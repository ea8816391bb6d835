/*
 * The header as any strict compiler sees it, in C and in C++: alone, twice (-DTWICE), and without
 * <pthread.h> (-DRT_NO_PTHREAD). Compiled, never run.
 */
#include "rtfinalize.h"
#ifdef TWICE
#include "rtfinalize.h"
#endif

rt_buffered_lock header_lock = RT_BUFFERED_LOCK_INIT;

/* An array of -1 elements does not compile: C99's static assertion. */
typedef char the_lock_fits_in_16_bytes[sizeof(rt_buffered_lock) <= 16 ? 1 : -1];
typedef char a_status_is_a_32_bit_integer[sizeof(rt_status) == 4 ? 1 : -1];

#if RT_VERSION_NUMBER < 0 || RT_ERR_NULL + 1 != RT_ERR_INVALID
#error "the macros work in the preprocessor too"
#endif

int header_inline_forms(rt_thread *thread);
int header_inline_forms(rt_thread *thread)
{
#ifdef RT_NO_PTHREAD
    return rt_is_finalizing_inline() + rt_thread_enter(thread) + rt_thread_checkpoint(thread);
#else
    return rt_is_finalizing_inline() + rt_thread_enter_or_exit(thread)
           + rt_thread_checkpoint_or_exit(thread);
#endif
}

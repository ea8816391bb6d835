/*
 * The one frame between this library and host code.
 *
 * A callback may end its thread, by pthread_exit or by being cancelled. The system then unwinds the
 * stack, and would take the middle of a finalization with it. This frame is where that unwinding
 * stops: the library finishes what it was doing, and the call that made the callback resumes the thread's
 * end just before it would return to the host (rtfinalize_resume_exit). If that call was itself made by a
 * callback, the end is stopped again at that one's frame, further out. The stop is glibc's own cleanup
 * mechanism, the one that compiled pthread_cleanup_push blocks use; other systems get the portable
 * macros and a jump.
 *
 * A C++ exception must not come this way: it would unwind the library's frames. It ends the process
 * here, with a message that says what happened. On Windows so does every exception that is caught in an
 * outer frame, of whatever language.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#define HIDDEN
#else
#include <pthread.h>
#include <unistd.h>
#define HIDDEN __attribute__((visibility("hidden")))
#endif

typedef int (*thunk)(void *context);

#define WHERE_FROM " left a callback; catch it inside the callback. Aborting.\n"

#if defined(__GNUC__) && !defined(_WIN32)
/* Runs when the frame below is left; `*whole` is 0 only if an exception does the leaving. */
static void left(const volatile int *whole)
{
    static const char text[] = "rtfinalize: a C++ exception" WHERE_FROM;
    if (!*whole) {
        ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
        (void)ignored;
        abort();
    }
}
#define WATCH_EXCEPTIONS volatile int whole __attribute__((cleanup(left))) = 0
#define FRAME_IS_WHOLE (whole = 1)
#else
#define WATCH_EXCEPTIONS
#define FRAME_IS_WHOLE ((void)0)
#endif

#if defined(__GLIBC__)

#if defined(__i386__)
#define CLEANUP_ABI __attribute__((regparm(1)))
#else
#define CLEANUP_ABI
#endif
/* glibc cannot drop these from its ABI (every C program with a pthread_cleanup_push block calls them), but
   <pthread.h> hides them from code compiled with -fexceptions, as this file is. */
extern void __pthread_register_cancel(__pthread_unwind_buf_t *buf) CLEANUP_ABI;
extern void __pthread_unregister_cancel(__pthread_unwind_buf_t *buf) CLEANUP_ABI;
extern void __pthread_unwind_next(__pthread_unwind_buf_t *buf) CLEANUP_ABI __attribute__((noreturn));
/* The buffer has no room for a signal mask, and with `mask` 0 none is saved. */
extern int set_jump(struct __cancel_jmp_buf_tag *env, int mask) __asm__("__sigsetjmp")
    __attribute__((returns_twice));

/* 1: the call returned. 0: it ended its thread. */
HIDDEN int rtfinalize_host_call(thunk call, void *context)
{
    __pthread_unwind_buf_t buf;
    WATCH_EXCEPTIONS;
    if (set_jump(buf.__cancel_jmp_buf, 0) != 0) {
        __pthread_unregister_cancel(&buf);
        FRAME_IS_WHOLE;
        return 0;
    }
    __pthread_register_cancel(&buf);
    call(context);
    __pthread_unregister_cancel(&buf);
    FRAME_IS_WHOLE;
    return 1;
}

/* Ends the thread as the callback asked, its exit value included: from the innermost place where anybody
   waits for that now. The one that was innermost inside the callback may be gone. */
HIDDEN void rtfinalize_resume_exit(void)
{
    __pthread_unwind_buf_t buf;
    memset(&buf, 0, sizeof buf);
    __pthread_register_cancel(&buf); /* notes that place in the buffer */
    __pthread_unregister_cancel(&buf);
    __pthread_unwind_next(&buf);
}

#elif defined(_WIN32)

/* The frame below is unwound for an exception of this number. */
static void left(DWORD code)
{
    static const DWORD msvc_throw = 0xe06d7363, gcc_throw = 0x20474343;
    static const char thrown[] = "rtfinalize: a C++ exception" WHERE_FROM;
    static const char raised[] = "rtfinalize: an exception" WHERE_FROM;
    const int is_cxx = code == gcc_throw || code == msvc_throw;
    DWORD written;
    WriteFile(GetStdHandle(STD_ERROR_HANDLE), is_cxx ? thrown : raised,
              (DWORD)(is_cxx ? sizeof thrown : sizeof raised) - 1, &written, NULL);
    abort();
}

#if defined(_MSC_VER)
/* Asked when nobody inside the callback takes the exception. What then unwinds the frame below is that
   exception; a longjmp asks nobody. */
static int note(DWORD code, volatile DWORD *raised)
{
    *raised = code;
    return EXCEPTION_CONTINUE_SEARCH;
}

static void call_watched(thunk call, void *context)
{
    volatile DWORD raised = 0;
    __try {
        __try {
            call(context);
        } __except (note(_exception_code(), &raised)) {
        }
    } __finally {
        if (_abnormal_termination() && raised != 0) {
            left(raised);
        }
    }
}
#elif defined(__x86_64__) && defined(__GNUC__)
/* What the system passes, whatever a compiler's headers call it. */
enum { UNWINDING = 0x2, EXIT_UNWIND = 0x4 };

/* Asked by the system when it unwinds the frame below. A longjmp may do that: it is how winpthreads'
   pthread_exit ends a thread. */
__attribute__((used)) EXCEPTION_DISPOSITION rtfinalize_left(EXCEPTION_RECORD *record, void *frame,
                                                            CONTEXT *context, void *dispatcher)
{
    static const DWORD long_jump = 0x80000026;
    const DWORD code = record->ExceptionCode;
    (void)frame, (void)context, (void)dispatcher;
    if ((record->ExceptionFlags & (UNWINDING | EXIT_UNWIND)) && code != long_jump) {
        left(code);
    }
    return ExceptionContinueSearch;
}

static void call_watched(thunk call, void *context)
{
    __asm__ volatile(".seh_handler rtfinalize_left, @unwind");
    call(context);
    __asm__ volatile(""); /* behind a call in the last place the frame would be gone */
}
#else
static void call_watched(thunk call, void *context)
{
    call(context);
}
#endif

HIDDEN int rtfinalize_host_call(thunk call, void *context)
{
    /* ExitThread unwinds nothing: the thread is gone, and its exit is noticed. The library's frames are
       not gone through, so what it was in the middle of is taken over from it or cut off. */
    call_watched(call, context);
    return 1;
}

HIDDEN void rtfinalize_resume_exit(void)
{
}

#else

static void jump(void *back)
{
    siglongjmp(*(sigjmp_buf *)back, 1);
}

HIDDEN int rtfinalize_host_call(thunk call, void *context)
{
    sigjmp_buf back;
    WATCH_EXCEPTIONS;
    if (sigsetjmp(back, 0) != 0) {
        FRAME_IS_WHOLE;
        return 0;
    }
    pthread_cleanup_push(jump, &back);
    call(context);
    pthread_cleanup_pop(0);
    FRAME_IS_WHOLE;
    return 1;
}

HIDDEN void rtfinalize_resume_exit(void)
{
    pthread_exit(NULL); /* the exit value is not to be had here */
}

#endif

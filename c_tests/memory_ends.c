/*
 * Memory ends in the middle of a finalization, at each of its allocations in turn: it is carried through, or not
 * begun, and every accepted byte is written. This program's malloc knows when.
 */
#include "destination.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>

/* --- a malloc that gives what is left --- */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *memory);

static atomic_long left = LONG_MAX; /* allocations that will succeed */

static int is_left(void)
{
    if (left > 0) {
        left--;
        return 1;
    }
    errno = ENOMEM;
    return 0;
}

void *malloc(size_t size)
{
    return is_left() ? __libc_malloc(size) : NULL;
}

void *calloc(size_t count, size_t size)
{
    return is_left() ? __libc_calloc(count, size) : NULL;
}

void *realloc(void *memory, size_t size)
{
    return is_left() ? __libc_realloc(memory, size) : NULL;
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    *memory = is_left() ? __libc_memalign(alignment, size) : NULL;
    return *memory == NULL ? ENOMEM : 0;
}

void free(void *memory)
{
    __libc_free(memory);
}

/* --- what is finalized --- */

enum { BYTES = 1000, OF_CHILD = 500, LATE = 300, CALLBACKS = 3 };

static long allocations; /* of the finalization, before there are no more */
static rt_writer *writer;
static int out, out_of_child;

/* By a callback, whose own allocations fail too. */
static int writes(void *arg)
{
    (void)arg;
    NEED(rt_writer_write(writer, stream(BYTES, LATE), LATE) == RT_OK);
    return 0;
}

static int fails(void *arg)
{
    (void)arg;
    return -1;
}

static int32_t hears(const rt_event *event, void *arg)
{
    (void)event;
    (void)arg;
    return 0;
}

enum { MEMORY_ENDED = 11, MEMORY_SUFFICED = 12 };

static void finalize_while_memory_ends(void)
{
    rt_finalize_options options = options_none();
    rt_report *report = NULL;
    rt_runtime *child;
    rt_status status;
    int i, ended, has_run;
    options.on_event = hears;
    options.notice_us = 1000000;
    out = accept_bytes(NULL, 0, BYTES, &writer);
    NEED(rt_runtime_new_child(NULL, NULL, &child) == RT_OK);
    out_of_child = accept_bytes(child, 0, OF_CHILD, NULL);
    NEED(rt_atexit(NULL, "writes", writes, NULL, NULL) == RT_OK);
    for (i = 0; i < CALLBACKS; i++) {
        NEED(rt_atexit(NULL, "fails", fails, NULL, NULL) == RT_OK);
        NEED(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, i, "fails", fails, NULL, NULL) == RT_OK);
        NEED(rt_object_track(NULL, "object", fails, fails, NULL, NULL) == RT_OK);
        NEED(rt_exit_function(NULL, "fails", fails, NULL, NULL) == RT_OK);
    }
    left = allocations;
    status = rt_finalize(NULL, &options, &report);
    ended = left == 0;
    left = LONG_MAX;
    has_run = status != RT_ERR_NO_MEMORY;
    CHECK_EQ(status, has_run ? RT_ERR_INCOMPLETE : RT_ERR_NO_MEMORY);
    CHECK_EQ(rt_runtime_state(NULL), has_run ? RT_STATE_FINALIZED : RT_STATE_RUNNING);
    check_arrived(out, 0, has_run ? BYTES + LATE : BYTES);
    check_arrived(out_of_child, 0, OF_CHILD);
    if (report != NULL) {
        const rt_report_summary summary = summary_of(report);
        CHECK(summary.failures + summary.unnoted >= 2 * CALLBACKS);
        CHECK_EQ(summary.unwritten, 0);
        CHECK_EQ(rt_report_free(report), RT_OK);
    }
    if (!has_run) {
        CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_ERR_INCOMPLETE);
        check_arrived(out, BYTES, LATE);
    }
    exit(check_failed > 0 ? 1 : ended ? MEMORY_ENDED : MEMORY_SUFFICED);
}

static void wherever_memory_ends_every_byte_is_written_and_the_finalization_is_whole(void)
{
    char said[4096];
    int code = MEMORY_ENDED;
    for (allocations = 0; code == MEMORY_ENDED && check_failed == 0; allocations++) {
        code = exit_code_of(finalize_while_memory_ends, said, sizeof said);
        CHECK(code == MEMORY_ENDED || code == MEMORY_SUFFICED);
    }
    if (code != MEMORY_SUFFICED) {
        printf("with %ld allocations: %s\n", allocations - 1, said);
    }
    CHECK(allocations > 20); /* or this program's malloc is not the one that is asked */
}

int main(void)
{
    if (under_valgrind()) {
        printf("skipped all: valgrind puts its own malloc in the place of this one\n");
        return check_done();
    }
    RUN(wherever_memory_ends_every_byte_is_written_and_the_finalization_is_whole);
    return check_done();
}

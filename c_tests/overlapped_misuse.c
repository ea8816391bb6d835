/*
 * Operations used wrongly: each misuse has its status and a text that says what to do, and nothing
 * is started, freed or lost by it.
 */
#include "operation.h"

static int says(const char *what)
{
    if (strstr(rt_last_error(), what) == NULL) {
        fprintf(stderr, "expected '%s' in: %s\n", what, rt_last_error());
        return 0;
    }
    return 1;
}

static void null_where_something_must_be(void)
{
    kernel k;
    rt_overlapped_callbacks callbacks;
    rt_overlapped *op = NULL;
    const void *data = NULL;
    size_t size = 0;
    int fd = file_with("data", 4);
    kernel_start(&k, 1);
    callbacks = kernel_callbacks(&k);
    CHECK_EQ(rt_overlapped_new(NULL, NULL, "op", &op), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "op", NULL), RT_ERR_NULL);
    callbacks.wait = NULL;
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "op", &op), RT_ERR_NULL);
    CHECK(says("wait"));
    CHECK_EQ(rt_overlapped_aio_read(NULL, fd, 4, 0, "op", NULL), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_aio_write(NULL, fd, "x", 1, 0, "op", NULL), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_aio_write(NULL, fd, NULL, 1, 0, "op", &op), RT_ERR_NULL);
#ifdef _WIN32
    {
        rt_overlapped_request r = request(RT_OVERLAPPED_WRITE, (HANDLE)_get_osfhandle(fd), 0, 1);
        CHECK_EQ(rt_overlapped_start(NULL, NULL, "op", &op), RT_ERR_NULL);
        CHECK_EQ(rt_overlapped_start(NULL, &r, "op", &op), RT_ERR_NULL); /* of nothing */
        r.data = "x";
        CHECK_EQ(rt_overlapped_start(NULL, &r, "op", NULL), RT_ERR_NULL);
    }
#endif
    CHECK(op == NULL);
    CHECK_EQ(rt_overlapped_wait(NULL, 0), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_cancel(NULL), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_result(NULL, &size), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_data(NULL, &data, &size), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_on_warning(NULL, NULL, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_dealloc(NULL), RT_ERR_NULL);
    op = begin_read(NULL, fd, 4, NULL); /* a name need not be */
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    CHECK_EQ(rt_overlapped_data(op, NULL, &size), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_data(op, &data, NULL), RT_ERR_NULL);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(k.cancels + k.waits + k.closes + k.frees, 0);
    free(k.memory);
}

static void a_handle_that_is_gone_or_never_was(void)
{
    size_t size = 0;
    const void *data = NULL;
    rt_overlapped *op = begin_read(NULL, file_with("data", 4), 4, "op"), *next;
    int on_the_stack = 0;
    CHECK_EQ(dealloc_patiently(op), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_HANDLE);
    CHECK(says("closed already"));
    next = begin_read(NULL, file_with("data", 4), 4, "next"); /* may take the same place */
    CHECK(next != op);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_cancel(op), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_result(op, &size), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_data(op, &data, &size), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_on_warning(op, NULL, NULL), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_HANDLE);
    CHECK_EQ(rt_overlapped_dealloc((rt_overlapped *)&on_the_stack), RT_ERR_HANDLE);
    CHECK_EQ(dealloc_patiently(next), RT_OK);
    CHECK_EQ(rt_overlapped_aio_read((rt_runtime *)&on_the_stack, 0, 1, 0, "op", &op),
             RT_ERR_HANDLE);
}

#ifdef _WIN32

static void posix_aio_is_not_to_be_had_and_the_kernels_own_operations_are(void)
{
    int fd = file_with("data", 4);
    rt_overlapped *op = NULL;
    REFUSED(rt_overlapped_aio_read(NULL, fd, 4, 0, "op", &op), RT_ERR_UNSUPPORTED);
    CHECK(says("POSIX AIO"));
    REFUSED(rt_overlapped_aio_write(NULL, fd, "x", 1, 0, "op", &op), RT_ERR_UNSUPPORTED);
    CHECK(op == NULL);
    op = begin_read(NULL, fd, 4, "op");
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "data", 4);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

static void more_bytes_than_the_system_takes_at_once(void)
{
    static const size_t too_large[] = {SIZE_MAX, SIZE_MAX / 2, (size_t)1 << 32};
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, (HANDLE)_get_osfhandle(pending_tube().out), 0, 0);
    rt_overlapped *op = NULL;
    size_t i;
    for (i = 0; i < 3; i++) {
        r.size = too_large[i];
        REFUSED(rt_overlapped_start(NULL, &r, "op", &op), RT_ERR_SIZE);
    }
    CHECK(op == NULL);
}

#else

static void sizes_of_nothing_and_of_everything(void)
{
    static const size_t too_large[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1};
    static const size_t not_to_be_had[] = {SIZE_MAX / 2, SIZE_MAX / 4};
    int fd = file_with("data", 4);
    rt_overlapped *op = NULL;
    size_t i;
    CHECK_EQ(rt_overlapped_aio_read(NULL, fd, 0, 0, "op", &op), RT_ERR_SIZE);
    CHECK_EQ(rt_overlapped_aio_write(NULL, fd, "x", 0, 0, "op", &op), RT_ERR_SIZE);
    CHECK_EQ(rt_overlapped_aio_write(NULL, fd, NULL, 0, 0, "op", &op), RT_ERR_SIZE);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_overlapped_aio_read(NULL, fd, too_large[i], 0, "op", &op), RT_ERR_SIZE);
        CHECK_EQ(rt_overlapped_aio_write(NULL, fd, "x", too_large[i], 0, "op", &op), RT_ERR_SIZE);
    }
    for (i = 0; i < 2; i++) {
        CHECK_EQ(rt_overlapped_aio_read(NULL, fd, not_to_be_had[i], 0, "op", &op),
                 RT_ERR_NO_MEMORY);
        CHECK(says("bytes"));
    }
    CHECK(op == NULL);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 4);
}

static void offsets_out_of_range(void)
{
    int fd = file_with("data", 4);
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_aio_read(NULL, fd, 1, -1, "op", &op), RT_ERR_INVALID);
    CHECK(says("offset"));
    CHECK_EQ(rt_overlapped_aio_write(NULL, fd, "x", 1, INT64_MIN, "op", &op), RT_ERR_INVALID);
    CHECK(op == NULL);
    CHECK_EQ(rt_overlapped_aio_read(NULL, fd, 1, INT64_MAX, "far", &op), RT_OK);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_ERR_IO); /* the system's to refuse */
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

static void descriptors_that_cannot_do_it(void)
{
    tube t = pending_tube();
    rt_overlapped *op = NULL;
    int closed = dup(t.out);
    close(closed);
    CHECK_EQ(rt_overlapped_aio_read(NULL, closed, 1, 0, "op", &op), RT_ERR_BAD_DESCRIPTOR);
    CHECK(says("descriptor"));
    CHECK_EQ(rt_overlapped_aio_write(NULL, closed, "x", 1, 0, "op", &op), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_overlapped_aio_read(NULL, -1, 1, 0, "op", &op), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_overlapped_aio_read(NULL, t.in, 1, 0, "op", &op), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_overlapped_aio_write(NULL, t.out, "x", 1, 0, "op", &op), RT_ERR_BAD_DESCRIPTOR);
    CHECK(op == NULL);
}

#endif

static void names_that_are_not_utf8(void)
{
    tube t = pending_tube();
    kernel k;
    rt_overlapped_callbacks callbacks;
    rt_overlapped *op = NULL;
    kernel_start(&k, 1);
    callbacks = kernel_callbacks(&k);
    CHECK_EQ(rt_overlapped_new(NULL, &callbacks, "\xff", &op), RT_ERR_UTF8);
    CHECK_EQ(rt_overlapped_aio_read(NULL, t.out, 1, 0, "\xff", &op), RT_ERR_UTF8);
    CHECK_EQ(rt_overlapped_aio_write(NULL, t.in, "x", 1, 0, "\xff", &op), RT_ERR_UTF8);
#ifdef _WIN32
    {
        rt_overlapped_request r = request(RT_OVERLAPPED_READ, (HANDLE)_get_osfhandle(t.out), 0, 1);
        CHECK_EQ(rt_overlapped_start(NULL, &r, "\xff", &op), RT_ERR_UTF8);
    }
#endif
    CHECK(op == NULL);
    CHECK_EQ(bytes_in(t.out), 0);
    free(k.memory);
}

static void structs_of_another_version(void)
{
    struct {
        rt_overlapped_callbacks known;
        size_t unknown;
    } future;
    kernel k;
    rt_overlapped *op = NULL;
    static const size_t wrong[] = {0, 8, sizeof(rt_overlapped_callbacks) - 1, 1 << 20, SIZE_MAX};
    size_t i;
    kernel_start(&k, 1);
    future.known = kernel_callbacks(&k);
    future.unknown = 1;
    for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        future.known.struct_size = wrong[i];
        CHECK_EQ(rt_overlapped_new(NULL, &future.known, "op", &op), RT_ERR_STRUCT_SIZE);
    }
    future.known.struct_size = sizeof future;
    CHECK_EQ(rt_overlapped_new(NULL, &future.known, "op", &op), RT_ERR_STRUCT_SIZE);
    CHECK_EQ(k.cancels + k.waits + k.closes + k.frees, 0);
    future.unknown = 0;
    CHECK_EQ(rt_overlapped_new(NULL, &future.known, "op", &op), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(k.frees, 1);
}

static void times_beyond_all_clocks(void)
{
    tube t = pending_tube();
    rt_overlapped *op = begin_read(NULL, t.out, 1, "op");
    tube_put(&t);
    CHECK_EQ(rt_overlapped_wait(op, INT64_MAX), RT_OK);
    CHECK_EQ(rt_overlapped_wait(op, INT64_MIN), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

#ifndef _WIN32

/* The host breaks the rule that the descriptor stays open; the memory stays all the same. */
static void a_descriptor_closed_under_an_operation(void)
{
    tube t = pending_tube();
    rt_overlapped *op = begin_read(NULL, t.out, 8, "closed under it");
    wait_until_read_from(t.out);
    close(t.out);
    CHECK_EQ(rt_overlapped_cancel(op), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    tube_put(&t); /* the helper is in the read still */
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "x", 1);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

#endif

int main(void)
{
    RUN(null_where_something_must_be);
    RUN(a_handle_that_is_gone_or_never_was);
    RUN_POSIX(sizes_of_nothing_and_of_everything, "POSIX AIO");
    RUN_POSIX(offsets_out_of_range, "POSIX AIO");
    RUN_POSIX(descriptors_that_cannot_do_it, "POSIX AIO");
#ifdef _WIN32
    RUN(posix_aio_is_not_to_be_had_and_the_kernels_own_operations_are);
    RUN(more_bytes_than_the_system_takes_at_once);
#endif
    RUN(names_that_are_not_utf8);
    RUN(structs_of_another_version);
    RUN(times_beyond_all_clocks);
    RUN_POSIX(a_descriptor_closed_under_an_operation, "POSIX AIO");
    return check_done();
}

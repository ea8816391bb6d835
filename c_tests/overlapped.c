/*
 * Operations of the system in flight while the runtime runs: an operation that has ended is freed, one that
 * can be cancelled is cancelled, and what the kernel still uses is never freed.
 */
#include "operation.h"

static void a_read_of_a_file_gives_its_bytes(void)
{
    int fd = file_with("0123456789", 10);
    rt_overlapped *op = begin_read_at(fd, 100, 4, "part");
    size_t count = 0;
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    CHECK_EQ(rt_overlapped_result(op, &count), RT_OK);
    CHECK_EQ(count, 6);
    check_data(op, "456789", 6);
    CHECK_EQ(rt_overlapped_cancel(op), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    close(fd);
}

static void a_read_at_the_end_of_a_file_gives_nothing(void)
{
    int fd = file_with("0123456789", 10);
    rt_overlapped *op = begin_read_at(fd, 100, 10, "rest");
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "", 0);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    close(fd);
}

static void a_write_has_its_own_copy(void)
{
    int fd = file_with("0123456789", 10);
    rt_overlapped *op;
    char *data = strdup("abc");
    const void *none = NULL;
    size_t count = 0;
    op = begin_write_at(fd, data, 3, 5, "patch");
    memset(data, 'x', 3);
    free(data);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    CHECK_EQ(rt_overlapped_result(op, &count), RT_OK);
    CHECK_EQ(count, 3);
    CHECK_EQ(rt_overlapped_data(op, &none, &count), RT_ERR_INVALID);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    op = begin_read_at(fd, 10, 0, "patched");
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "01234abc89", 10);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    close(fd);
}

/* The three kinds of ends that data comes to later. */
static void pending_until_data_comes(int in, int out)
{
    rt_overlapped *op = begin_read(NULL, out, 100, "pending");
    size_t count = 0;
    const void *data = NULL;
    CHECK_EQ(rt_overlapped_result(op, &count), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_data(op, &data, &count), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_wait(op, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_overlapped_wait(op, 2000), RT_ERR_TIMEOUT);
    put_bytes(in, "late", 4);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "late", 4);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

static void a_read_of_a_pipe_waits_for_data(void)
{
    tube t = pending_tube();
    pending_until_data_comes(t.in, t.out);
}

#ifndef _WIN32

static void a_read_of_a_socket_waits_for_data(void)
{
    int ends[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    pending_until_data_comes(ends[0], ends[1]);
    pending_until_data_comes(ends[1], ends[0]);
}

static void a_failed_write_tells_its_errno(void)
{
    tube t = pending_tube();
    rt_overlapped *op = NULL;
    signal(SIGPIPE, SIG_IGN);
    close(t.out);
    CHECK_EQ(rt_overlapped_aio_write(NULL, t.in, "x", 1, 0, "lost", &op), RT_OK);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_ERR_IO);
    CHECK(strstr(rt_last_error(), strerror(EPIPE)) != NULL);
    CHECK(strstr(rt_last_error(), "lost") != NULL);
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IO);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

#else /* sockets are in windows/kernel_operations.c */

static void a_failed_write_tells_the_systems_error(void)
{
    static const char much[1 << 20];
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_WRITE, d.server, 0, sizeof much);
    rt_overlapped *op, *none = NULL;
    char error[32];
    r.data = much;
    op = start(NULL, &r, "lost"); /* there is no room for all */
    CloseHandle(d.client);
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_ERR_IO);
    snprintf(error, sizeof error, "(os error %u)", (unsigned)error_of(op));
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IO);
    CHECK(strstr(rt_last_error(), error) != NULL);
    CHECK(strstr(rt_last_error(), "lost") != NULL);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    REFUSED(rt_overlapped_start(NULL, &r, "lost", &none), RT_ERR_IO); /* it fails at once */
    CHECK(none == NULL);
    CloseHandle(d.server);
}

#endif

static void a_queued_read_is_cancelled(void)
{
    tube t = pending_tube();
    rt_overlapped *first = begin_read(NULL, t.out, 1, "first");
    rt_overlapped *second = begin_queued_read(NULL, t.out, 1, "second");
    rt_overlapped *third = begin_queued_read(NULL, t.out, 1, "third");
    check_cancelled(second);
    CHECK_EQ(rt_overlapped_result(second, NULL), RT_ERR_IO);
    CHECK(strstr(rt_last_error(), CANCELLED) != NULL);
    CHECK_EQ(rt_overlapped_dealloc(second), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(third), RT_OK); /* cancelled by this call */
    put_bytes(t.in, "12", 2);
    CHECK_EQ(rt_overlapped_wait(first, -1), RT_OK);
    check_data(first, "1", 1);
    CHECK_EQ(rt_overlapped_dealloc(first), RT_OK);
    CHECK_EQ(bytes_in(t.out), 1);
}

static void a_read_under_way_is_not_freed_while_running(void)
{
    tube t = pending_tube();
    rt_overlapped *op = begin_read(NULL, t.out, 8, "stuck");
    warned w = {0};
    CHECK_EQ(rt_overlapped_on_warning(op, note_warning, &w), RT_OK);
    CHECK_EQ(rt_overlapped_cancel(op), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    CHECK(strstr(rt_last_error(), "stuck") != NULL);
    CHECK_EQ(w.count, 1);
    CHECK_EQ(w.warning, RT_WARN_IN_FLIGHT);
    CHECK(strcmp(w.name, "stuck") == 0);
    CHECK_EQ(rt_overlapped_on_warning(op, NULL, NULL), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    CHECK_EQ(w.count, 1);
    put_bytes(t.in, "alive", 5); /* the kernel writes to what was not freed */
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "alive", 5);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
}

/* Returns once the system has taken the byte. */
static void put_byte(void *arg)
{
    tube *t = (tube *)arg;
    tube_put(t);
    while (bytes_in(t->out) > 0) {
        sched_yield();
    }
}

static void data_that_comes_during_the_second_attempt_ends_it(void)
{
    tube t = pending_tube();
    rt_overlapped *op = begin_read(NULL, t.out, 8, "late");
    warned w = {.act = put_byte, .arg = &t};
    CHECK_EQ(rt_overlapped_on_warning(op, note_warning, &w), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(w.count, 1);
    CHECK_EQ(bytes_in(t.out), 0);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_HANDLE);
}

static void *put_byte_now(void *arg)
{
    tube_put((tube *)arg);
    return NULL;
}

static void an_operation_that_ends_while_it_is_freed_is_freed_once(void)
{
    int i;
    for (i = 0; i < 20; i++) {
        tube t = pending_tube();
        rt_overlapped *op = begin_queued_read(NULL, t.out, 8, "race");
        pthread_t thread = thread_start(put_byte_now, &t);
        CHECK_EQ(dealloc_patiently(op), RT_OK); /* read, or cancelled before */
        pthread_join(thread, NULL);
        CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_HANDLE);
        close(t.in);
        close(t.out);
    }
}

static void a_thread_that_waits_is_woken_by_the_end(void)
{
    tube t = pending_tube();
    waiter w = {begin_read(NULL, t.out, 8, "waited for"), RT_ERR_INTERNAL, 0};
    pthread_t thread = thread_start(wait_indefinitely, &w);
    tube_put(&t);
    pthread_join(thread, NULL);
    CHECK_EQ(w.status, RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(w.op), RT_OK);
}

int main(void)
{
    RUN(a_read_of_a_file_gives_its_bytes);
    RUN(a_read_at_the_end_of_a_file_gives_nothing);
    RUN(a_write_has_its_own_copy);
    RUN(a_read_of_a_pipe_waits_for_data);
    RUN_POSIX(a_read_of_a_socket_waits_for_data, "socketpair");
    RUN_POSIX(a_failed_write_tells_its_errno, "errno of an operation");
#ifdef _WIN32
    RUN(a_failed_write_tells_the_systems_error);
#endif
    RUN(a_queued_read_is_cancelled);
    RUN(a_read_under_way_is_not_freed_while_running);
    RUN(data_that_comes_during_the_second_attempt_ends_it);
    RUN(an_operation_that_ends_while_it_is_freed_is_freed_once);
    RUN(a_thread_that_waits_is_woken_by_the_end);
    return check_done();
}

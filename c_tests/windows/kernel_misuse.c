/*
 * Operations of the Windows kernel by a host that does not keep to the rules.
 */
#include "pending.h"

static void nothing_is_started_on_what_is_no_handle_for_it(void)
{
    HANDLE waits = file_handle_with("0123456789", 0);
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, NULL, 0, 64);
    rt_overlapped *op = NULL;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = INVALID_HANDLE_VALUE;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = (HANDLE)(uintptr_t)0x7ffffff0;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = waits; /* a call on it would wait */
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = file_handle_with("", FILE_FLAG_OVERLAPPED);
    r.kind = RT_OVERLAPPED_RECEIVE; /* no socket */
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    CloseHandle(r.handle);
    r.handle = waits;
    r.kind = RT_OVERLAPPED_READ;
    r.flags = 8;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_INVALID);
    r.flags = 0;
    r.kind = 7;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_INVALID);
    r.kind = RT_OVERLAPPED_WRITE; /* of nothing */
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_NULL);
    REFUSED(rt_overlapped_start(NULL, NULL, NULL, &op), RT_ERR_NULL);
    CHECK(op == NULL);
    CloseHandle(waits);
}

static void nothing_is_started_once_the_runtime_is_finalized(void)
{
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, d.server, 0, 64);
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_finalize_ex(), 0);
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_FINALIZING);
    duplex_close(&d);
}

/* The rule is that the handle stays open. The memory stays in any case, until the operation has ended. */
static void a_handle_that_is_closed_under_an_operation(void)
{
    duplex d = duplex_open();
    rt_overlapped *op = start_read(d.server, 0, 64, "closed under it");
    rt_report *report = NULL;
    rt_status freed;
    CloseHandle(d.server);
    rt_overlapped_cancel(op);
    freed = rt_overlapped_dealloc(op);
    CHECK(freed == RT_OK || freed == RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(leaks_in(report, RT_LEAK_OVERLAPPED), freed == RT_OK ? 0 : 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CloseHandle(d.client);
}

static void an_offset_that_no_file_has_and_a_read_of_nothing(void)
{
    HANDLE file = file_handle_with("0123456789", FILE_FLAG_OVERLAPPED);
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, file, 0, 64);
    rt_overlapped *op = NULL;
    r.offset = INT64_MAX - 1;
    if (rt_overlapped_start(NULL, &r, "beyond", &op) == RT_OK) {
        CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
        CHECK_EQ(error_of(op), ERROR_HANDLE_EOF);
        check_data(op, "", 0);
        CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    } else { /* Wine has no files so large. */
        CHECK(op == NULL);
        CHECK(strstr(rt_last_error(), "(os error 87)") != NULL);
    }
    r.offset = 0;
    r.size = 0;
    op = start(NULL, &r, "of nothing");
    CHECK_EQ(rt_overlapped_wait(op, -1), RT_OK);
    check_data(op, "", 0);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    CloseHandle(file);
}

int main(void)
{
    RUN(nothing_is_started_on_what_is_no_handle_for_it);
    RUN(nothing_is_started_once_the_runtime_is_finalized);
    RUN(a_handle_that_is_closed_under_an_operation);
    RUN(an_offset_that_no_file_has_and_a_read_of_nothing);
    return check_done();
}

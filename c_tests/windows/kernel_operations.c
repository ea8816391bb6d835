/*
 * Operations that the Windows kernel carries out: every way in which one begins and ends, while the
 * runtime runs and while it finalizes.
 */
#include "pending.h"

#include <mswsock.h>

static void a_read_of_a_pipe_pends_until_data_comes(void)
{
    duplex d = duplex_open();
    rt_overlapped *op = start_read(d.server, 0, 64, "reader");
    size_t count = 0;
    CHECK_EQ(rt_overlapped_result(op, &count), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_wait(op, 1000), RT_ERR_TIMEOUT);
    put(d.client, "hello", 5);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK_EQ(rt_overlapped_result(op, &count), RT_OK);
    CHECK_EQ(count, 5);
    check_data(op, "hello", 5);
    CHECK_EQ(error_of(op), 0);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    duplex_close(&d);
}

static void a_cancelled_read_says_so_and_takes_no_later_byte(void)
{
    duplex d = duplex_open();
    rt_overlapped *op = start_read(d.server, 0, 64, "reader"), *next;
    rt_status status = rt_overlapped_cancel(op);
    CHECK(status == RT_OK || status == RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_ERR_IO);
    CHECK_EQ(error_of(op), ERROR_OPERATION_ABORTED);
    CHECK_EQ(rt_overlapped_cancel(op), RT_OK); /* again, of one that has ended */
    put(d.client, "later", 5);
    next = start_read(d.server, 0, 64, "next");
    CHECK_EQ(rt_overlapped_wait(next, LONG_US), RT_OK);
    check_data(next, "later", 5);
    CHECK_EQ(rt_overlapped_dealloc(next), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    duplex_close(&d);
}

static void dealloc_cancels_a_pending_read_while_the_runtime_runs(void)
{
    duplex d = duplex_open();
    rt_overlapped *op = start_read(d.server, RT_OVERLAPPED_OWNS_HANDLE, 64, "reader");
    DWORD flags;
    SetLastError(12345);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(GetLastError(), 12345);
    CHECK(!GetHandleInformation(d.server, &flags)); /* closed with the operation */
    CloseHandle(d.client);
}

static void a_write_that_finds_no_room_pends_and_can_be_cancelled(void)
{
    static char much[1 << 20];
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_WRITE, d.server, 0, sizeof much);
    rt_overlapped *op;
    r.data = much;
    op = start(NULL, &r, "writer");
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    duplex_close(&d);
}

static void a_write_carries_a_copy_of_its_data(void)
{
    char data[] = "copied", got[16];
    DWORD count = 0;
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_WRITE, d.server, 0, 6);
    rt_overlapped *op;
    r.data = data;
    op = start(NULL, &r, "writer");
    memset(data, 'x', sizeof data);
    CHECK(ReadFile(d.client, got, sizeof got, &count, NULL));
    CHECK(count == 6 && memcmp(got, "copied", 6) == 0);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK_EQ(rt_overlapped_data(op, (const void **)&r.data, &r.size), RT_ERR_INVALID);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    duplex_close(&d);
}

static void a_connection_pends_until_a_client_comes(void)
{
    char name[100];
    HANDLE server = server_end(name, sizeof name, PIPE_TYPE_BYTE), client;
    rt_overlapped_request r = request(RT_OVERLAPPED_CONNECT, server, 0, 0);
    rt_overlapped *op = start(NULL, &r, "listener");
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    client = client_end(name);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    /* Of one that is there already the system says so at once, and there is nothing pending. */
    op = start_ended(&r, "listener");
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_OK);
    CHECK_EQ(error_of(op), ERROR_PIPE_CONNECTED);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(client);
    CloseHandle(server);
}

static void a_message_that_is_longer_than_the_buffer_is_read_in_parts(void)
{
    duplex d = duplex_open_as(PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE);
    rt_overlapped *op = start_read(d.server, 0, 4, "reader");
    put(d.client, "message", 7);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK_EQ(error_of(op), ERROR_MORE_DATA);
    check_data(op, "mess", 4);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    op = start_read(d.server, 0, 4, "rest");
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK_EQ(error_of(op), 0);
    check_data(op, "age", 3);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    duplex_close(&d);
}

static void the_end_of_a_pipe_ends_a_read_with_nothing(void)
{
    duplex d = duplex_open();
    rt_overlapped_request r;
    rt_overlapped *op = start_read(d.server, 0, 64, "reader");
    CloseHandle(d.client);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    check_data(op, "", 0);
    CHECK_EQ(error_of(op), ERROR_BROKEN_PIPE);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    r = request(RT_OVERLAPPED_READ, d.server, 0, 64);
    op = start_ended(&r, "too late");
    check_data(op, "", 0);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(d.server);
}

static void a_file_is_read_at_an_offset_and_ends(void)
{
    HANDLE file = file_handle_with("0123456789", FILE_FLAG_OVERLAPPED);
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, file, 0, 64);
    rt_overlapped *op;
    r.offset = 7;
    op = start(NULL, &r, "middle");
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    check_data(op, "789", 3);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    r.offset = 10;
    op = NULL;
    CHECK(rt_overlapped_start(NULL, &r, "end", &op) >= 0);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    check_data(op, "", 0);
    CHECK_EQ(error_of(op), ERROR_HANDLE_EOF);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(file);
}

static void sockets_receive_and_send(void)
{
    pair p = connected_sockets();
    rt_overlapped_request r = request(RT_OVERLAPPED_RECEIVE, (HANDLE)p.here, 0, 64);
    rt_overlapped *op = start(NULL, &r, "receiver"), *sender;
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    r = request(RT_OVERLAPPED_SEND, (HANDLE)p.there, 0, 5);
    r.data = "hello";
    sender = start(NULL, &r, "sender");
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    check_data(op, "hello", 5);
    CHECK_EQ(rt_overlapped_wait(sender, LONG_US), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(sender), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    /* A pending one is cancelled, and its socket closed with it. */
    r = request(RT_OVERLAPPED_RECEIVE, (HANDLE)p.here, RT_OVERLAPPED_OWNS_HANDLE, 64);
    op = start(NULL, &r, "receiver");
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK(recv(p.there, (char *)&r, 1, 0) <= 0);
    closesocket(p.there);
}

/* AcceptEx wants a socket, and a buffer with room for two addresses. */
typedef struct acceptor {
    SOCKET listener, taken;
} acceptor;

static int32_t begin_accept(void *arg, void *handle, void *overlapped, void *buffer, size_t size)
{
    acceptor *a = (acceptor *)arg;
    DWORD room = sizeof(struct sockaddr_in) + 16, got = 0;
    CHECK(size >= 2 * room);
    return AcceptEx((SOCKET)handle, a->taken, buffer, 0, room, room, &got, (OVERLAPPED *)overlapped)
               ? 0
               : WSAGetLastError();
}

static void what_a_callback_begins_is_an_operation_like_others(void)
{
    struct sockaddr_in address;
    int size = sizeof address;
    acceptor a;
    SOCKET client;
    WSADATA about;
    rt_overlapped_request r;
    rt_overlapped *op;
    NEED(WSAStartup(MAKEWORD(2, 2), &about) == 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    a.listener = socket(AF_INET, SOCK_STREAM, 0);
    a.taken = socket(AF_INET, SOCK_STREAM, 0);
    NEED(bind(a.listener, (struct sockaddr *)&address, size) == 0 && listen(a.listener, 1) == 0);
    NEED(getsockname(a.listener, (struct sockaddr *)&address, &size) == 0);
    r = request(RT_OVERLAPPED_OTHER, (HANDLE)a.listener, 0, 2 * (sizeof(struct sockaddr_in) + 16));
    r.begin = begin_accept;
    r.arg = &a;
    op = start(NULL, &r, "acceptor");
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    client = socket(AF_INET, SOCK_STREAM, 0);
    NEED(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    r.begin = NULL;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_INVALID);
    closesocket(client);
    closesocket(a.taken);
    closesocket(a.listener);
}

/* A read on a thread that exits. */
typedef struct issuer {
    HANDLE handle;
    rt_overlapped *op;
} issuer;

static void *issue(void *arg)
{
    issuer *i = (issuer *)arg;
    i->op = start_read(i->handle, 0, 64, "of a thread that is gone");
    return NULL;
}

static void an_operation_outlives_the_thread_that_issued_it(void)
{
    duplex d = duplex_open();
    issuer i = {d.server, NULL};
    rt_status status;
    pthread_join(thread_start(issue, &i), NULL);
    put(d.client, "hello", 5);
    status = rt_overlapped_wait(i.op, LONG_US);
    /* Windows cancels what the thread has issued as it exits; Wine 8 leaves it pending. Either way it has
     * one end, which the library sees. */
    if (status == RT_OK) {
        check_data(i.op, "hello", 5);
    } else {
        CHECK_EQ(status, RT_ERR_IO);
        CHECK_EQ(error_of(i.op), ERROR_OPERATION_ABORTED);
    }
    CHECK_EQ(rt_overlapped_dealloc(i.op), RT_OK);
    i.op = NULL;
    pthread_join(thread_start(issue, &i), NULL);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_overlapped_dealloc(i.op), RT_OK);
    duplex_close(&d);
}

/* Completes reads while the main thread cancels or frees them. */
typedef struct race {
    HANDLE client;
    int rounds;
    HANDLE go, done;
} race;

static void *complete_each(void *arg)
{
    race *r = (race *)arg;
    int i;
    for (i = 0; i < r->rounds; i++) {
        WaitForSingleObject(r->go, INFINITE);
        put(r->client, "x", 1);
        SetEvent(r->done);
    }
    return NULL;
}

static void a_completion_that_races_with_the_cancel_loses_no_byte(void)
{
    duplex d = duplex_open();
    race r = {d.client, 500, CreateEventA(NULL, FALSE, FALSE, NULL), NULL};
    pthread_t thread = thread_start(complete_each, &r);
    int i, read_bytes = 0;
    size_t count = 0;
    rt_overlapped *op;
    for (i = 0; i < r.rounds; i++) {
        op = start_read(d.server, 0, 1, "racer");
        SetEvent(r.go);
        rt_overlapped_cancel(op);
        if (rt_overlapped_wait(op, LONG_US) == RT_OK) {
            CHECK_EQ(rt_overlapped_result(op, &count), RT_OK);
            read_bytes += (int)count;
        } else {
            CHECK_EQ(error_of(op), ERROR_OPERATION_ABORTED);
        }
        CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
        if (read_bytes <= i) { /* cancelled: the byte is the next read's */
            op = start_read(d.server, 0, 1, "next");
            CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
            check_data(op, "x", 1);
            read_bytes++;
            CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
        }
    }
    pthread_join(thread, NULL);
    CHECK_EQ(read_bytes, r.rounds);
    CloseHandle(r.go);
    duplex_close(&d);
}

static void a_completion_that_races_with_the_free_takes_the_byte_or_leaves_it(void)
{
    duplex d = duplex_open();
    race r = {d.client, 300, CreateEventA(NULL, FALSE, FALSE, NULL), CreateEventA(NULL, FALSE, FALSE, NULL)};
    pthread_t thread = thread_start(complete_each, &r);
    int i;
    for (i = 0; i < r.rounds; i++) {
        rt_overlapped *op = start_read(d.server, 0, 1, "racer");
        DWORD left = 0;
        SetEvent(r.go);
        CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
        NEED(WaitForSingleObject(r.done, 30000) == WAIT_OBJECT_0);
        NEED(PeekNamedPipe(d.server, NULL, 0, NULL, &left, NULL));
        CHECK(left <= 1);
        if (left == 1) {
            op = start_read(d.server, 0, 1, "next");
            CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
            check_data(op, "x", 1);
            CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
        }
    }
    pthread_join(thread, NULL);
    CloseHandle(r.go);
    CloseHandle(r.done);
    duplex_close(&d);
}

typedef struct warned {
    int count;
    HANDLE finish; /* data is written here when the warning comes, or NULL */
} warned;

static void on_warning(void *arg, int32_t warning, const char *name)
{
    warned *w = (warned *)arg;
    CHECK_EQ(warning, RT_WARN_IN_FLIGHT);
    CHECK(strcmp(name, "stubborn") == 0);
    w->count++;
    if (w->finish != NULL) {
        put(w->finish, "done", 4);
    }
}

static void what_cannot_be_cancelled_is_warned_of_and_kept_while_the_runtime_runs(void)
{
    duplex d = duplex_open();
    warned w = {0, NULL};
    rt_overlapped *op = start_read(d.server, RT_OVERLAPPED_NO_CANCEL, 64, "stubborn");
    const int64_t began = now_us();
    CHECK_EQ(rt_overlapped_on_warning(op, on_warning, &w), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
    CHECK(now_us() - began < 10000000); /* both attempts are bounded */
    CHECK_EQ(w.count, 1);
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT); /* the handle stays */
    w.finish = d.client;
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK); /* the second attempt finds it ended */
    CHECK_EQ(w.count, 2);
    duplex_close(&d);
}

static void what_cannot_be_cancelled_is_leaked_with_all_it_has_while_finalizing(void)
{
    duplex d = duplex_open();
    rt_report *report = NULL;
    DWORD flags;
    rt_overlapped *op = start_read(d.server, RT_OVERLAPPED_NO_CANCEL | RT_OVERLAPPED_OWNS_HANDLE, 64, "stubborn");
    void *address = NULL;
    HANDLE event;
    CHECK_EQ(rt_overlapped_address(op, &address), RT_OK);
    event = ((OVERLAPPED *)address)->hEvent;
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(leaks_in(report, RT_LEAK_OVERLAPPED), 1);
    CHECK(report_says(report, "stubborn"));
    CHECK_EQ(summary_of(report).restartable, 0);
    /* Nothing is closed: handle and event are as they were, and the operation goes on. */
    CHECK(GetHandleInformation(d.server, &flags) && GetHandleInformation(event, &flags));
    CHECK_EQ(WaitForSingleObject(event, 0), WAIT_TIMEOUT);
    put(d.client, "late", 4);
    CHECK_EQ(WaitForSingleObject(event, 30000), WAIT_OBJECT_0);
    check_data(op, "late", 4);
    SetLastError(54321);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_LEAKED);
    CHECK_EQ(GetLastError(), 54321);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void what_can_be_cancelled_is_freed_by_finalization(void)
{
    duplex d = duplex_open();
    rt_report *report = NULL;
    DWORD flags;
    rt_overlapped *op = start_read(d.server, RT_OVERLAPPED_OWNS_HANDLE, 64, "reader");
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).leaks, 0);
    CHECK_EQ(summary_of(report).restartable, 1);
    CHECK(!GetHandleInformation(d.server, &flags));
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(a_read_of_a_pipe_pends_until_data_comes);
    RUN(a_cancelled_read_says_so_and_takes_no_later_byte);
    RUN(dealloc_cancels_a_pending_read_while_the_runtime_runs);
    RUN(a_write_that_finds_no_room_pends_and_can_be_cancelled);
    RUN(a_write_carries_a_copy_of_its_data);
    RUN(a_connection_pends_until_a_client_comes);
    RUN(a_message_that_is_longer_than_the_buffer_is_read_in_parts);
    RUN(the_end_of_a_pipe_ends_a_read_with_nothing);
    RUN(a_file_is_read_at_an_offset_and_ends);
    RUN(sockets_receive_and_send);
    RUN(what_a_callback_begins_is_an_operation_like_others);
    RUN(an_operation_outlives_the_thread_that_issued_it);
    RUN(a_completion_that_races_with_the_cancel_loses_no_byte);
    RUN(a_completion_that_races_with_the_free_takes_the_byte_or_leaves_it);
    RUN(what_cannot_be_cancelled_is_warned_of_and_kept_while_the_runtime_runs);
    RUN(what_cannot_be_cancelled_is_leaked_with_all_it_has_while_finalizing);
    RUN(what_can_be_cancelled_is_freed_by_finalization);
    return check_done();
}

/*
 * Operations that the Windows kernel carries out: every way in which one begins and ends, while the
 * runtime runs and while it finalizes.
 */
#include "pending.h"

#include <mswsock.h>

/* The bound on waits that must end; no test is to take so long. */
enum { LONG_US = 30 * 1000000 };

/* One that has ended when it is begun, and of which no completion port hears. */
static rt_overlapped *start_ended(const rt_overlapped_request *r, const char *name)
{
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_start(NULL, r, name, &op), RT_ENDED);
    NEED(op != NULL);
    return op;
}

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

static HANDLE file_with(const char *data, DWORD flags)
{
    char folder[MAX_PATH], path[MAX_PATH];
    HANDLE file;
    NEED(GetTempPathA(sizeof folder, folder) && GetTempFileNameA(folder, "rtf", 0, path));
    file = CreateFileA(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    NEED(file != INVALID_HANDLE_VALUE);
    put(file, data, (DWORD)strlen(data));
    CloseHandle(file);
    file = CreateFileA(path, GENERIC_READ | GENERIC_WRITE | DELETE, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, flags | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    NEED(file != INVALID_HANDLE_VALUE);
    return file;
}

static void a_file_is_read_at_an_offset_and_ends(void)
{
    HANDLE file = file_with("0123456789", FILE_FLAG_OVERLAPPED);
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

typedef struct pair {
    SOCKET here, there;
} pair;

static pair connected_sockets(void)
{
    struct sockaddr_in address;
    int size = sizeof address;
    WSADATA about;
    pair p;
    SOCKET listener;
    NEED(WSAStartup(MAKEWORD(2, 2), &about) == 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    NEED(bind(listener, (struct sockaddr *)&address, size) == 0 && listen(listener, 1) == 0);
    NEED(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    p.there = socket(AF_INET, SOCK_STREAM, 0);
    NEED(connect(p.there, (struct sockaddr *)&address, sizeof address) == 0);
    p.here = accept(listener, NULL, NULL);
    NEED(p.here != INVALID_SOCKET);
    closesocket(listener);
    return p;
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

/* What another thread sees that knows only the OVERLAPPED. */
static void check_overlapped_says(rt_overlapped *op, HANDLE handle, DWORD error)
{
    void *address = NULL;
    OVERLAPPED *overlapped;
    DWORD count = 12345;
    BOOL well;
    CHECK_EQ(rt_overlapped_address(op, &address), RT_OK);
    overlapped = (OVERLAPPED *)address;
    CHECK(HasOverlappedIoCompleted(overlapped));
    CHECK_EQ(WaitForSingleObject(overlapped->hEvent, 0), WAIT_OBJECT_0);
    SetLastError(0);
    well = GetOverlappedResult(handle, overlapped, &count, FALSE);
    CHECK_EQ(well, error == 0);
    CHECK_EQ(GetLastError(), error);
    CHECK_EQ(count, 0);
}

/* Windows leaves the OVERLAPPED of a call that fails at once as it was: pending, for ever. */
static void what_ends_at_once_is_pending_to_nobody(void)
{
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_CONNECT, d.server, 0, 0);
    rt_overlapped *op = start_ended(&r, "listener");
    HANDLE file;
    rt_status status;
    check_overlapped_says(op, d.server, ERROR_PIPE_CONNECTED);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(d.client);
    r = request(RT_OVERLAPPED_READ, d.server, 0, 64);
    op = start_ended(&r, "too late");
    check_overlapped_says(op, d.server, ERROR_BROKEN_PIPE);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(d.server);
    file = file_with("", FILE_FLAG_OVERLAPPED);
    r = request(RT_OVERLAPPED_READ, file, 0, 64);
    status = rt_overlapped_start(NULL, &r, "end", &op); /* a file system may take its time for that */
    CHECK(status == RT_OK || status == RT_ENDED);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    check_overlapped_says(op, file, ERROR_HANDLE_EOF);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(file);
}

static void a_datagram_longer_than_the_buffer_is_cut_whether_it_was_there_or_comes(void)
{
    struct sockaddr_in address;
    int size = sizeof address, round;
    WSADATA about;
    SOCKET here, there;
    NEED(WSAStartup(MAKEWORD(2, 2), &about) == 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    here = socket(AF_INET, SOCK_DGRAM, 0);
    there = socket(AF_INET, SOCK_DGRAM, 0);
    NEED(bind(here, (struct sockaddr *)&address, size) == 0);
    NEED(getsockname(here, (struct sockaddr *)&address, &size) == 0);
    for (round = 0; round < 2; round++) {
        const int is_there = round == 0;
        rt_overlapped_request r = request(RT_OVERLAPPED_RECEIVE, (HANDLE)here, 0, 4);
        rt_overlapped *op = is_there ? NULL : start(NULL, &r, "receiver");
        NEED(sendto(there, "datagram", 8, 0, (struct sockaddr *)&address, size) == 8);
        if (is_there) {
            fd_set readable;
            FD_ZERO(&readable);
            FD_SET(here, &readable);
            NEED(select(0, &readable, NULL, NULL, NULL) == 1);
            op = start(NULL, &r, "receiver");
        }
        CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
        CHECK_EQ(error_of(op), ERROR_MORE_DATA);
        check_data(op, "data", 4);
        CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    }
    closesocket(here);
    closesocket(there);
}

static int is_socket(SOCKET socket)
{
    int type, size = sizeof type;
    return getsockopt(socket, SOL_SOCKET, SO_TYPE, (char *)&type, &size) == 0;
}

/* Wine has CloseHandle do what closesocket does. On Windows it leaves Winsock's own part behind, which the
   next socket of the same number finds. */
static void an_owned_socket_is_closed_as_one_whatever_is_done_with_it(void)
{
    pair p = connected_sockets();
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, (HANDLE)p.here, RT_OVERLAPPED_OWNS_HANDLE, 64);
    rt_overlapped *op = start(NULL, &r, "reader");
    char byte;
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    CHECK(is_socket(p.here));
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CHECK(!is_socket(p.here));
    CHECK(recv(p.there, &byte, 1, 0) <= 0);
    closesocket(p.there);
}

typedef LONG(NTAPI *nt_read_file)(HANDLE, HANDLE, void *, void *, void *, void *, ULONG, void *, void *);

/* The kernel's own call says "pending" by its answer, and leaves the status to its caller. */
static int32_t begin_nt_read(void *arg, void *handle, void *overlapped, void *buffer, size_t size)
{
    OVERLAPPED *o = (OVERLAPPED *)overlapped;
    const LONG pending = 0x103;
    const nt_read_file read_file = *(const nt_read_file *)arg;
    return read_file(handle, o->hEvent, NULL, NULL, o, buffer, (ULONG)size, NULL, NULL) == pending
               ? ERROR_IO_PENDING
               : ERROR_INVALID_FUNCTION;
}

static void what_the_kernels_own_call_began_is_pending_until_it_ends(void)
{
    duplex d = duplex_open();
    rt_overlapped_request r = request(RT_OVERLAPPED_OTHER, d.server, 0, 64);
    nt_read_file read_file =
        (nt_read_file)(void (*)(void))GetProcAddress(GetModuleHandleA("ntdll.dll"), "NtReadFile");
    rt_overlapped *op;
    NEED(read_file != NULL);
    r.begin = begin_nt_read;
    r.arg = &read_file;
    op = start(NULL, &r, "reader");
    CHECK_EQ(rt_overlapped_result(op, NULL), RT_ERR_IN_FLIGHT);
    put(d.client, "hello", 5);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    check_data(op, "hello", 5);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    duplex_close(&d);
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

static void a_completion_port_gets_the_packet_unless_asked_not_to(void)
{
    duplex d = duplex_open();
    HANDLE port = CreateIoCompletionPort(d.server, NULL, 77, 0);
    OVERLAPPED *packet = NULL;
    void *address = NULL;
    ULONG_PTR key = 0;
    DWORD count = 0;
    rt_overlapped *op;
    NEED(port != NULL);
    op = start_read(d.server, 0, 64, "with a packet");
    put(d.client, "hello", 5);
    CHECK(GetQueuedCompletionStatus(port, &count, &key, &packet, 30000));
    CHECK_EQ(rt_overlapped_address(op, &address), RT_OK);
    CHECK(packet == address && key == 77 && count == 5);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK); /* its own event is set as well */
    check_data(op, "hello", 5);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    op = start_read(d.server, RT_OVERLAPPED_NO_PACKET, 64, "without");
    put(d.client, "again", 5);
    CHECK_EQ(rt_overlapped_wait(op, LONG_US), RT_OK);
    CHECK(!GetQueuedCompletionStatus(port, &count, &key, &packet, 0));
    CHECK_EQ(GetLastError(), WAIT_TIMEOUT);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(port);
    duplex_close(&d);
}

static int packet_comes(HANDLE port)
{
    OVERLAPPED *packet = NULL;
    ULONG_PTR key = 0;
    DWORD count = 0;
    GetQueuedCompletionStatus(port, &count, &key, &packet, 1000);
    return packet != NULL;
}

static void a_host_knows_of_which_operations_no_packet_comes(void)
{
    duplex d = duplex_open();
    HANDLE port = CreateIoCompletionPort(d.server, NULL, 77, 0);
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, d.server, 0, 64);
    rt_overlapped *op = NULL;
    NEED(port != NULL);
    put(d.client, "hello", 5);
    op = start(NULL, &r, "at once"); /* and with a packet, as Windows has it by default */
    CHECK(packet_comes(port));
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    NEED(SetFileCompletionNotificationModes(d.server, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS));
    put(d.client, "again", 5);
    op = start_ended(&r, "at once, with nothing to tell");
    CHECK(!packet_comes(port));
    check_data(op, "again", 5);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    op = start(NULL, &r, "later");
    put(d.client, "later", 5);
    CHECK(packet_comes(port));
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(d.client);
    op = start_ended(&r, "too late");
    CHECK(!packet_comes(port));
    CHECK_EQ(rt_overlapped_dealloc(op), RT_OK);
    CloseHandle(port);
    CloseHandle(d.server);
}

/* Completes reads while the main thread cancels them. */
typedef struct race {
    HANDLE client;
    int rounds;
    HANDLE go;
} race;

static void *complete_each(void *arg)
{
    race *r = (race *)arg;
    int i;
    for (i = 0; i < r->rounds; i++) {
        WaitForSingleObject(r->go, INFINITE);
        put(r->client, "x", 1);
    }
    return NULL;
}

static void a_completion_that_races_with_the_cancel_loses_no_byte(void)
{
    duplex d = duplex_open();
    race r = {d.client, 500, CreateEventA(NULL, FALSE, FALSE, NULL)};
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
    CHECK_EQ(rt_overlapped_on_warning(op, on_warning, &w), RT_OK);
    CHECK_EQ(rt_overlapped_dealloc(op), RT_ERR_IN_FLIGHT);
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

static void nothing_is_started_on_what_is_no_handle_for_it(void)
{
    HANDLE waits = file_with("0123456789", 0);
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, NULL, 0, 64);
    rt_overlapped *op = NULL;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = INVALID_HANDLE_VALUE;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = (HANDLE)(uintptr_t)0x7ffffff0;
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = waits; /* a call on it would wait */
    REFUSED(rt_overlapped_start(NULL, &r, NULL, &op), RT_ERR_BAD_DESCRIPTOR);
    r.handle = file_with("", FILE_FLAG_OVERLAPPED);
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
    RUN(what_ends_at_once_is_pending_to_nobody);
    RUN(a_datagram_longer_than_the_buffer_is_cut_whether_it_was_there_or_comes);
    RUN(an_owned_socket_is_closed_as_one_whatever_is_done_with_it);
    RUN(what_the_kernels_own_call_began_is_pending_until_it_ends);
    RUN(an_operation_outlives_the_thread_that_issued_it);
    RUN(a_completion_port_gets_the_packet_unless_asked_not_to);
    RUN(a_host_knows_of_which_operations_no_packet_comes);
    RUN(a_completion_that_races_with_the_cancel_loses_no_byte);
    RUN(what_cannot_be_cancelled_is_warned_of_and_kept_while_the_runtime_runs);
    RUN(what_cannot_be_cancelled_is_leaked_with_all_it_has_while_finalizing);
    RUN(what_can_be_cancelled_is_freed_by_finalization);
    RUN(nothing_is_started_on_what_is_no_handle_for_it);
    RUN(nothing_is_started_once_the_runtime_is_finalized);
    return check_done();
}

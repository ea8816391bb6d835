/*
 * How who looks on hears that an operation of the kernel has ended: by the OVERLAPPED, at a completion port, or
 * from the call that began it.
 */
#include "pending.h"

/* Wine's <winbase.h> lacks it. */
#ifndef FILE_SKIP_COMPLETION_PORT_ON_SUCCESS
#define FILE_SKIP_COMPLETION_PORT_ON_SUCCESS 1
#endif

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

/* When a call fails at once, Windows does not touch its OVERLAPPED, which would stay pending. */
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
    file = file_handle_with("", FILE_FLAG_OVERLAPPED);
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

int main(void)
{
    RUN(what_ends_at_once_is_pending_to_nobody);
    RUN(a_datagram_longer_than_the_buffer_is_cut_whether_it_was_there_or_comes);
    RUN(an_owned_socket_is_closed_as_one_whatever_is_done_with_it);
    RUN(what_the_kernels_own_call_began_is_pending_until_it_ends);
    RUN(a_completion_port_gets_the_packet_unless_asked_not_to);
    RUN(a_host_knows_of_which_operations_no_packet_comes);
    return check_done();
}

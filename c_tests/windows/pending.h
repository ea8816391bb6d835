/*
 * Operations of the Windows kernel for the tests: pipes with both ends in hand, sockets, files, and a look
 * into an operation.
 */
#ifndef PENDING_H
#define PENDING_H

#include <winsock2.h>

#include "../host.h"

/* A pipe of messages or bytes. The server's end is opened for overlapped operations, the client's not. */
typedef struct duplex {
    HANDLE server, client;
} duplex;

/* The bound on waits that must end; no test is to take so long. */
enum { LONG_US = 30 * 1000000 };

static inline HANDLE server_end(char *name, size_t size, DWORD mode)
{
    static LONG count;
    HANDLE server;
    snprintf(name, size, "\\\\.\\pipe\\rtfinalize-%lu-%ld", GetCurrentProcessId(),
             InterlockedIncrement(&count));
    server = CreateNamedPipeA(name, PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED, mode, 1, 4096, 4096, 0, NULL);
    NEED(server != INVALID_HANDLE_VALUE);
    return server;
}

static inline HANDLE client_end(const char *name)
{
    HANDLE client = CreateFileA(name, GENERIC_READ | GENERIC_WRITE, 0, NULL, OPEN_EXISTING, 0, NULL);
    NEED(client != INVALID_HANDLE_VALUE);
    return client;
}

static inline duplex duplex_open_as(DWORD mode)
{
    char name[100];
    duplex d;
    d.server = server_end(name, sizeof name, mode);
    d.client = client_end(name);
    return d;
}

static inline duplex duplex_open(void)
{
    return duplex_open_as(PIPE_TYPE_BYTE);
}

static inline void duplex_close(duplex *d)
{
    CloseHandle(d->client);
    CloseHandle(d->server);
}

static inline void put(HANDLE handle, const void *data, DWORD size)
{
    DWORD put_bytes = 0;
    NEED(WriteFile(handle, data, size, &put_bytes, NULL) && put_bytes == size);
}

/* A file opened for operations by `flags`, gone with its handle. */
static inline HANDLE file_handle_with(const char *data, DWORD flags)
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

static inline rt_overlapped_request request(uint32_t kind, HANDLE handle, uint32_t flags, size_t size)
{
    rt_overlapped_request r;
    memset(&r, 0, sizeof r);
    r.struct_size = sizeof r;
    r.kind = kind;
    r.flags = flags;
    r.handle = handle;
    r.size = size;
    return r;
}

static inline rt_overlapped *start(rt_runtime *runtime, const rt_overlapped_request *r, const char *name)
{
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_start(runtime, r, name, &op), RT_OK);
    NEED(op != NULL);
    return op;
}

static inline rt_overlapped *start_read(HANDLE handle, uint32_t flags, size_t size, const char *name)
{
    rt_overlapped_request r = request(RT_OVERLAPPED_READ, handle, flags, size);
    return start(NULL, &r, name);
}

/* One that has ended when it is begun, and of which no completion port hears. */
static inline rt_overlapped *start_ended(const rt_overlapped_request *r, const char *name)
{
    rt_overlapped *op = NULL;
    CHECK_EQ(rt_overlapped_start(NULL, r, name, &op), RT_ENDED);
    NEED(op != NULL);
    return op;
}

/* How it ended, by the system's number. */
static inline uint32_t error_of(rt_overlapped *op)
{
    uint32_t error = 99999;
    CHECK_EQ(rt_overlapped_error(op, &error), RT_OK);
    return error;
}

static inline uint64_t leaks_in(const rt_report *report, uint32_t kind)
{
    uint64_t i, found = 0;
    for (i = 0; i < summary_of(report).leaks; i++) {
        rt_report_leak leak;
        memset(&leak, 0, sizeof leak);
        leak.struct_size = sizeof leak;
        CHECK_EQ(rt_report_get_leak(report, i, &leak), RT_OK);
        found += leak.kind == kind;
    }
    return found;
}

typedef struct pair {
    SOCKET here, there;
} pair;

static inline pair connected_sockets(void)
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

#endif

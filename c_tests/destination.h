/*
 * Where a writer's bytes go, seen from the other end: pipes that are full, readers that collect, and
 * streams whose every byte tells its own place.
 */
#ifndef DESTINATION_H
#define DESTINATION_H

#include "host.h"
#ifndef _WIN32
#include <fcntl.h>
#include <sys/socket.h>
#endif

/* Bytes that arrived. */
typedef struct bytes {
    unsigned char *data;
    size_t len, room;
} bytes;

static inline void bytes_add(bytes *b, const void *data, size_t len)
{
    if (b->len + len > b->room) {
        b->room = 2 * (b->len + len);
        b->data = (unsigned char *)realloc(b->data, b->room);
        NEED(b->data != NULL);
    }
    if (len > 0) {
        memcpy(b->data + b->len, data, len);
    }
    b->len += len;
}

static inline void bytes_free(bytes *b)
{
    free(b->data);
    memset(b, 0, sizeof *b);
}

/* Reads until the end, or until `most` bytes are there. */
static inline void read_most(int fd, bytes *b, size_t most)
{
    unsigned char part[4096];
    while (b->len < most) {
        size_t want = most - b->len < sizeof part ? most - b->len : sizeof part;
        ssize_t got = read(fd, part, want);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return; /* a closed pty gives EIO */
        }
        bytes_add(b, part, (size_t)got);
    }
}

/* Reads what is there now, without waiting for more. */
static inline void read_now(int fd, bytes *b)
{
#ifdef _WIN32
    DWORD there = 0;
    if (GetFileType((HANDLE)_get_osfhandle(fd)) == FILE_TYPE_DISK) {
        read_most(fd, b, SIZE_MAX);
        return;
    }
    /* Fails once the other end is closed and nothing is left. */
    if (PeekNamedPipe((HANDLE)_get_osfhandle(fd), NULL, 0, NULL, &there, NULL)) {
        read_most(fd, b, b->len + there);
    }
#else
    NEED(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    read_most(fd, b, SIZE_MAX);
#endif
}

/* A thread that collects `most` bytes, or all until the end. */
typedef struct reader {
    pthread_t thread;
    int fd;
    size_t most;
    useconds_t pause; /* between small reads, to be slow; 0: as fast as it can */
    bytes got;
} reader;

static inline void *reader_body(void *arg)
{
    reader *r = (reader *)arg;
    size_t before = SIZE_MAX;
    while (r->pause != 0 && before != r->got.len && r->got.len < r->most) {
        size_t next = r->got.len + 1000;
        before = r->got.len;
        read_most(r->fd, &r->got, next < r->most ? next : r->most);
        usleep(r->pause);
    }
    read_most(r->fd, &r->got, r->most);
    return NULL;
}

static inline void reader_start(reader *r, int fd, size_t most, useconds_t pause)
{
    memset(r, 0, sizeof *r);
    r->fd = fd;
    r->most = most;
    r->pause = pause;
    r->thread = thread_start(reader_body, r);
}

static inline bytes *reader_join(reader *r)
{
    NEED(pthread_join(r->thread, NULL) == 0);
    return &r->got;
}

/* What a pipe of pipe_open holds. */
enum { PIPE_SIZE = 4096 };

static inline void pipe_open(int ends[2])
{
#ifdef _WIN32
    NEED(_pipe(ends, PIPE_SIZE, _O_BINARY | _O_NOINHERIT) == 0);
#else
    NEED(pipe(ends) == 0);
    NEED(fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE) == PIPE_SIZE);
#endif
}

static inline void pipe_set_nonblocking(int fd, int nonblocking)
{
#ifdef _WIN32
    DWORD mode = nonblocking ? PIPE_NOWAIT : PIPE_WAIT;
    NEED(SetNamedPipeHandleState((HANDLE)_get_osfhandle(fd), &mode, NULL, NULL));
#else
    NEED(fcntl(fd, F_SETFL, nonblocking ? O_NONBLOCK : 0) == 0);
#endif
}

enum { FILE_NAME_SIZE = 300 };

/* A new file, open for reading and writing. */
static inline int file_create(char name[FILE_NAME_SIZE])
{
    int fd;
#ifdef _WIN32
    char place[FILE_NAME_SIZE];
    NEED(GetTempPathA(sizeof place, place) > 0 && GetTempFileNameA(place, "rtf", 0, name) != 0);
    /* What a process makes on its way to its body is for nobody, and gone with it. */
    fd = open(name, _O_RDWR | _O_BINARY | _O_NOINHERIT
                        | (getenv(check_body_variable) == NULL ? 0 : _O_TEMPORARY));
#else
    strcpy(name, "/tmp/rtfinalize-test-XXXXXX");
    fd = mkstemp(name);
#endif
    NEED(fd >= 0);
    return fd;
}

/* The same, and it is gone once nobody has it open any more. */
static inline int file_without_name(void)
{
    char name[FILE_NAME_SIZE];
    int fd = file_create(name);
#ifdef _WIN32
    close(fd);
    fd = open(name, _O_RDWR | _O_BINARY | _O_NOINHERIT | _O_TEMPORARY | _O_CREAT, 0600);
    NEED(fd >= 0);
#else
    NEED(unlink(name) == 0);
#endif
    return fd;
}

static inline rt_writer_options writer_options(const char *name, size_t capacity, uint32_t flags)
{
    rt_writer_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = name;
    options.capacity = capacity;
    options.flags = flags;
    return options;
}

static inline rt_writer *writer_open(rt_runtime *runtime, int fd, const char *name, size_t capacity,
                                     uint32_t flags)
{
    rt_writer *writer = NULL;
    rt_writer_options options = writer_options(name, capacity, flags);
    CHECK_EQ(rt_writer_open_fd(runtime, fd, &options, &writer), RT_OK);
    return writer;
}

/* The account; whenever it is asked for, it adds up. */
static inline rt_writer_account account_of(rt_writer *writer)
{
    rt_writer_account account;
    memset(&account, 0, sizeof account);
    account.struct_size = sizeof account;
    CHECK_EQ(rt_writer_get_account(writer, &account), RT_OK);
    CHECK_EQ(account.accepted, account.written + account.unwritten + account.in_flight);
    return account;
}

/* The destination of that name in a report; NEED: it is there, once. */
static inline rt_report_destination destination_of(const rt_report *report, const char *name)
{
    rt_report_destination one, found;
    size_t index, count = 0;
    memset(&found, 0, sizeof found);
    for (index = 0;; index++) {
        memset(&one, 0, sizeof one);
        one.struct_size = sizeof one;
        if (rt_report_get_destination(report, index, &one) != RT_OK) {
            break;
        }
        CHECK_EQ(one.accepted, one.written + one.unwritten + one.in_flight);
        if (strcmp(one.name, name) == 0) {
            found = one;
            count++;
        }
    }
    CHECK_EQ(count, 1);
    NEED(found.name != NULL);
    return found;
}

/* Byte number `at` of the stream every test writes: no shift, loss or repetition goes unseen. */
static inline unsigned char stream_byte(size_t at)
{
    uint64_t mixed = (uint64_t)at * 0x9E3779B97F4A7C15u;
    return (unsigned char)(mixed >> 56 ^ mixed >> 24);
}

static inline const unsigned char *stream(size_t from, size_t len)
{
    static __thread unsigned char part[1 << 20];
    size_t i;
    NEED(len <= sizeof part);
    for (i = 0; i < len; i++) {
        part[i] = stream_byte(from + i);
    }
    return part;
}

/* `b` is the first `len` bytes of the stream, and nothing else. */
#define CHECK_STREAM(b, expected) check_stream(__FILE__, __LINE__, (b), (expected))
static inline void check_stream(const char *file, int line, const bytes *b, size_t len)
{
    char text[128];
    size_t i;
    for (i = 0; i < b->len; i++) {
        if (b->data[i] != stream_byte(i)) {
            snprintf(text, sizeof text, "byte %zu of %zu is not the stream's", i, b->len);
            check_fail(file, line, text);
            return;
        }
    }
    if (b->len != len) {
        snprintf(text, sizeof text, "%zu bytes arrived, expected %zu", b->len, len);
        check_fail(file, line, text);
    }
}

/* A callback with nothing to do. */
static inline int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* A destination that takes whatever it is offered. */
static inline int64_t take_all(void *arg, const void *data, size_t len)
{
    (void)data;
    (void)arg;
    return (int64_t)len;
}

/* Has a new writer over a pipe accept these bytes of the stream. Returns the end to read from; `writer` may be
 * NULL. */
static inline int accept_bytes(rt_runtime *runtime, size_t from, size_t count, rt_writer **writer)
{
    int ends[2];
    rt_writer *opened;
    pipe_open(ends);
    opened = writer_open(runtime, ends[1], "log", 4096, 0);
    CHECK_EQ(rt_writer_write(opened, stream(from, count), count), RT_OK);
    if (writer != NULL) {
        *writer = opened;
    }
    return ends[0];
}

/* These bytes of the stream have arrived, and no others. */
static inline void check_arrived(int fd, size_t from, size_t count)
{
    bytes got = {NULL, 0, 0};
    read_now(fd, &got);
    CHECK_EQ(got.len, count);
    CHECK(got.len == count && memcmp(got.data, stream(from, count), count) == 0);
    bytes_free(&got);
}

#endif

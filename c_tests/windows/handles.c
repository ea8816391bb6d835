/*
 * Writers over Windows handles and over descriptors of the C runtime: what arrives, what is refused, who
 * closes, and a report in a file whose name is not ASCII.
 */
#include "../destination.h"
#include <sys/stat.h>

static rt_writer *over(HANDLE handle, uint32_t flags, rt_status expected)
{
    rt_writer *writer = NULL;
    rt_writer_options options = writer_options("handle", 256, flags);
    CHECK_EQ(rt_writer_open_handle(NULL, handle, &options, &writer), expected);
    CHECK((writer != NULL) == (expected == RT_OK));
    return writer;
}

/* The path of a file of this process's own. */
static const wchar_t *path_of(const wchar_t *name)
{
    static wchar_t path[2 * MAX_PATH];
    wchar_t directory[MAX_PATH];
    NEED(GetTempPathW(MAX_PATH, directory) > 0);
    _snwprintf(path, 2 * MAX_PATH, L"%lsrtfinalize-%lu-%ls", directory, GetCurrentProcessId(), name);
    return path;
}

static HANDLE file(const wchar_t *path, DWORD access, DWORD how, DWORD flags)
{
    HANDLE handle = CreateFileW(path, access, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, how, flags, NULL);
    NEED(handle != INVALID_HANDLE_VALUE);
    return handle;
}

static bytes content_of(const wchar_t *path)
{
    bytes got = {0};
    int fd = _wopen(path, _O_RDONLY | _O_BINARY);
    NEED(fd >= 0);
    read_most(fd, &got, SIZE_MAX);
    close(fd);
    return got;
}

static int is_open(HANDLE handle)
{
    DWORD flags;
    return GetHandleInformation(handle, &flags) != 0;
}

static void a_file_gets_every_byte_and_is_closed_if_it_is_the_writers(void)
{
    const wchar_t *path = path_of(L"file");
    HANDLE mine = file(path, GENERIC_WRITE, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL);
    rt_writer *writer = over(mine, 0, RT_OK);
    bytes got;
    CHECK_EQ(rt_writer_write(writer, stream(0, 1000), 1000), RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    CHECK(is_open(mine));
    writer = over(mine, RT_WRITER_OWNS_FD, RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(1000, 100), 100), RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    CHECK(!is_open(mine));
    got = content_of(path);
    CHECK_STREAM(&got, 1100);
    bytes_free(&got);
    NEED(DeleteFileW(path));
}

/* Writes records until a pipe that tells its room is full. On a busy machine a call runs out of time before. */
static size_t fill_up(rt_writer *writer)
{
    size_t sent = 0;
    while (account_of(writer).written < PIPE_SIZE) {
        while (rt_writer_write_timed(writer, stream(sent, 50), 50, 20000) == RT_OK) {
            sent += 50;
        }
    }
    while (account_of(writer).in_flight > 0) {
        CHECK_EQ(rt_writer_flush(writer, 20000), RT_ERR_TIMEOUT);
    }
    return sent;
}

static void a_pipe_is_written_as_far_as_there_is_room_and_its_end_is_an_error(void)
{
    HANDLE out, in;
    rt_writer *writer;
    size_t sent;
    bytes got = {0};
    NEED(CreatePipe(&out, &in, NULL, PIPE_SIZE));
    writer = over(in, RT_WRITER_OWNS_FD, RT_OK);
    sent = fill_up(writer);
    CHECK_EQ(rt_writer_flush(writer, 20000), RT_ERR_TIMEOUT);
    read_most(_open_osfhandle((intptr_t)out, _O_RDONLY | _O_BINARY), &got, (size_t)account_of(writer).written);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_EQ(account_of(writer).written, sent);
    CloseHandle(out);
    CHECK_EQ(rt_writer_write(writer, "lost", 4), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
    CHECK(strstr(rt_last_error(), "os error 232") != NULL || strstr(rt_last_error(), "os error 109") != NULL);
    CHECK_EQ(rt_finalize_ex(), -1); /* four bytes are not written, and the report says so */
    bytes_free(&got);
}

static DWORD modes_of(HANDLE pipe)
{
    DWORD modes = 0;
    NEED(GetNamedPipeHandleStateA(pipe, &modes, NULL, NULL, NULL, NULL, 0));
    return modes;
}

/* The server's end of a pipe opened with these modes, and the client's. */
static void named_pipe(DWORD access, DWORD modes, DWORD client, HANDLE *here, HANDLE *there)
{
    char name[64];
    static int made;
    snprintf(name, sizeof name, "\\\\.\\pipe\\rtfinalize-%lu-%d", GetCurrentProcessId(), made++);
    *here = CreateNamedPipeA(name, access, modes, 1, PIPE_SIZE, PIPE_SIZE, 0, NULL);
    NEED(*here != INVALID_HANDLE_VALUE);
    *there = CreateFileA(name, client, 0, NULL, OPEN_EXISTING, 0, NULL);
    NEED(*there != INVALID_HANDLE_VALUE);
}

static void a_full_pipe_keeps_its_modes(DWORD modes)
{
    HANDLE here, there;
    rt_writer *writer;
    uint64_t lost = 0;
    DWORD before;
    named_pipe(PIPE_ACCESS_DUPLEX, PIPE_TYPE_MESSAGE | modes, GENERIC_READ, &here, &there);
    before = modes_of(here);
    CHECK_EQ(before & (PIPE_READMODE_MESSAGE | PIPE_NOWAIT), modes);
    writer = over(here, 0, RT_OK);
    CHECK(fill_up(writer) >= PIPE_SIZE);
    CHECK_EQ(rt_writer_flush(writer, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(modes_of(here), before);
    CloseHandle(there);
    CHECK_EQ(rt_writer_abandon(writer, &lost), RT_OK);
    CHECK(lost > 0);
    CHECK_EQ(modes_of(here), before);
    CloseHandle(here);
}

static void a_pipe_keeps_its_modes_over_a_write_that_finds_it_full(void)
{
    a_full_pipe_keeps_its_modes(PIPE_READMODE_MESSAGE | PIPE_NOWAIT);
    a_full_pipe_keeps_its_modes(PIPE_READMODE_MESSAGE);
    a_full_pipe_keeps_its_modes(PIPE_NOWAIT);
    a_full_pipe_keeps_its_modes(0);
}

/* Its server may write and not ask: neither for the room nor for the modes. */
static void a_pipe_that_tells_nothing_of_itself_is_written(void)
{
    HANDLE here, there;
    rt_writer *writer;
    DWORD modes;
    bytes got = {0};
    named_pipe(PIPE_ACCESS_OUTBOUND, 0, GENERIC_READ, &here, &there);
    printf("# its modes can%s be asked for\n",
           GetNamedPipeHandleStateA(here, &modes, NULL, NULL, NULL, NULL, 0) ? "" : "not");
    writer = over(here, RT_WRITER_OWNS_FD, RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 1000), 1000), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 5000000), RT_OK);
    read_most(_open_osfhandle((intptr_t)there, _O_RDONLY | _O_BINARY), &got, SIZE_MAX);
    CHECK_STREAM(&got, 1000);
    bytes_free(&got);
}

/* Nobody can say whether such a pipe has room: a write to a full one waits in the system. */
static rt_writer *over_a_silent_pipe(HANDLE *here, HANDLE *there)
{
    named_pipe(PIPE_ACCESS_OUTBOUND, 0, GENERIC_READ, here, there);
    return over(*here, 0, RT_OK);
}

/* Writes records until a write waits for room, or there is no thread of the library's to be had for one. */
static size_t fill(rt_writer *writer)
{
    size_t sent = 0;
    uint64_t offered = 1;
    while (offered > 0 && offered <= PIPE_SIZE) {
        int64_t began = now_us();
        rt_status status = rt_writer_write_timed(writer, stream(sent, 50), 50, 0);
        CHECK(now_us() - began < 10000000);
        if (status == RT_OK) {
            sent += 50;
        } else {
            CHECK_EQ(status, RT_ERR_TIMEOUT);
            offered = account_of(writer).written + account_of(writer).in_flight;
        }
    }
    CHECK_EQ(rt_writer_flush(writer, 1000), RT_ERR_TIMEOUT);
    return sent;
}

static void a_call_with_a_time_returns_by_it_where_a_write_waits_in_the_system(void)
{
    HANDLE here, there;
    rt_writer *writer = over_a_silent_pipe(&here, &there);
    rt_writer_account account;
    reader to;
    size_t sent = fill(writer);
    account = account_of(writer);
    CHECK_EQ(account.accepted, sent);
    CHECK_EQ(account.written + account.unwritten + account.in_flight, sent);
    CHECK(account.in_flight > 0);
    reader_start(&to, _open_osfhandle((intptr_t)there, _O_RDONLY | _O_BINARY), sent, 0);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_STREAM(reader_join(&to), sent);
    CHECK_EQ(account_of(writer).written, sent);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    bytes_free(&to.got);
}

/* A host's calls never take all of what a finalization needs to return in time. */
static void writes_that_wait_keep_no_finalization_from_writing_elsewhere(void)
{
    rt_finalize_options options = options_none();
    rt_report *report = NULL;
    HANDLE here, there, out, in;
    rt_writer *writer;
    bytes got = {0};
    int stuck = -1;
    do {
        writer = over_a_silent_pipe(&here, &there);
        fill(writer);
        stuck++;
    } while (account_of(writer).in_flight > 0);
    CHECK(stuck > 0 && stuck < 20);
    NEED(CreatePipe(&out, &in, NULL, PIPE_SIZE));
    NEED(rt_writer_open_handle(NULL, in, &(rt_writer_options){.struct_size = sizeof(rt_writer_options),
                                                              .name = "free"}, &writer) == RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 100), 100), RT_OK);
    options.deadline_us = 1000000;
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK_EQ(destination_of(report, "free").written, 100);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    CloseHandle(in);
    read_most(_open_osfhandle((intptr_t)out, _O_RDONLY | _O_BINARY), &got, SIZE_MAX);
    CHECK_STREAM(&got, 100);
    bytes_free(&got);
    rt_report_free(report);
}

static void what_cannot_be_written_is_refused_with_the_reason(void)
{
    const wchar_t *path = path_of(L"refused");
    HANDLE overlapped = file(path, GENERIC_WRITE, CREATE_ALWAYS, FILE_FLAG_OVERLAPPED);
    HANDLE read_only = file(path, GENERIC_READ, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL);
    HANDLE no_file = CreateEventA(NULL, FALSE, FALSE, NULL);
    over(overlapped, 0, RT_ERR_BAD_DESCRIPTOR);
    CHECK(strstr(rt_last_error(), "overlapped") != NULL);
    over(read_only, 0, RT_ERR_BAD_DESCRIPTOR);
    CHECK(strstr(rt_last_error(), "read-only") != NULL);
    over(no_file, 0, RT_ERR_BAD_DESCRIPTOR);
    over(NULL, 0, RT_ERR_BAD_DESCRIPTOR);
    over(INVALID_HANDLE_VALUE, 0, RT_ERR_BAD_DESCRIPTOR);
    over((HANDLE)(intptr_t)0x7ffffff0, 0, RT_ERR_BAD_DESCRIPTOR);
    CloseHandle(overlapped);
    CloseHandle(read_only);
    CloseHandle(no_file);
    NEED(DeleteFileW(path));
}

/* Both ends of a pipe that can be read and written, opened to be read and written by one thread after
   another. */
static void duplex(HANDLE *here, HANDLE *there)
{
    named_pipe(PIPE_ACCESS_DUPLEX, PIPE_TYPE_BYTE | PIPE_WAIT, GENERIC_READ | GENERIC_WRITE, here, there);
}

static event reads = EVENT_INIT;
static pid_t reads_as;

static void *read_one_byte(void *handle)
{
    char byte;
    DWORD got = 0;
    reads_as = my_tid();
    event_set(&reads);
    CHECK(ReadFile(handle, &byte, 1, &got, NULL) && got == 1);
    return NULL;
}

/* On Windows the writer's query and its write wait until the read has returned, so a finalization that made
   them itself would never end. Wine lets operations on one handle overtake each other: all bytes arrive
   there. */
static void a_read_that_another_thread_sits_in_keeps_no_finalization(void)
{
    HANDLE here, there;
    rt_writer *writer;
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    rt_report_destination destination;
    pthread_t reader;
    bytes got = {0};
    int64_t began;
    duplex(&here, &there);
    writer = over(here, 0, RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 100), 100), RT_OK);
    reader = thread_start(read_one_byte, here);
    event_wait(&reads);
    wait_until_asleep(reads_as);
    options.grace_us = 200000;
    began = now_us();
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_OK);
    CHECK(now_us() - began < 10000000);
    destination = destination_of(report, "handle");
    CHECK_EQ(destination.accepted, 100);
    CHECK(destination.written == 100 || destination.unwritten + destination.in_flight == 100);
    NEED(WriteFile(there, "x", 1, &(DWORD){0}, NULL));
    NEED(pthread_join(reader, NULL) == 0);
    read_now(_open_osfhandle((intptr_t)there, _O_RDONLY | _O_BINARY), &got);
    CHECK(got.len == 0 || got.len == 100);
    CHECK(got.len == destination.written || destination.in_flight > 0);
    CHECK_STREAM(&got, got.len);
    bytes_free(&got);
    rt_report_free(report);
}

static int never_returns(void *arg)
{
    (void)arg;
    Sleep(INFINITE);
    return 0;
}

static void overrun_beside_a_read(void)
{
    rt_finalize_options options = options_none();
    HANDLE here, there;
    rt_writer *writer;
    (void)there;
    duplex(&here, &there);
    writer = over(here, 0, RT_OK);
    NEED(rt_writer_write(writer, stream(0, 100), 100) == RT_OK);
    thread_start(read_one_byte, here);
    event_wait(&reads);
    wait_until_asleep(reads_as);
    options.overrun = RT_OVERRUN_EXIT;
    options.deadline_us = 100000;
    options.exit_code = 75;
    NEED(rt_atexit(NULL, "never returns", never_returns, NULL, NULL) == RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void a_process_ends_by_its_deadline_beside_a_read_that_does_not(void)
{
    char said[1000];
    CHECK_EQ(exit_code_of(overrun_beside_a_read, said, sizeof said), 75);
    CHECK(strstr(said, "exit code 75") != NULL);
    /* By Wine, and by Windows. */
    CHECK(strstr(said, "100 bytes written") != NULL || strstr(said, "100 bytes of 1 writer not") != NULL);
}

static void a_descriptor_opened_for_appending_appends(void)
{
    const wchar_t *path = path_of(L"append");
    int fd = _wopen(path, _O_WRONLY | _O_CREAT | _O_TRUNC | _O_BINARY, _S_IREAD | _S_IWRITE);
    rt_writer *writer;
    bytes got;
    NEED(fd >= 0 && write(fd, stream(0, 300), 300) == 300 && close(fd) == 0);
    fd = _wopen(path, _O_WRONLY | _O_APPEND | _O_BINARY);
    NEED(fd >= 0);
    writer = writer_open(NULL, fd, "append", 100, RT_WRITER_OWNS_FD);
    CHECK_EQ(rt_writer_write(writer, stream(300, 250), 250), RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    got = content_of(path);
    CHECK_STREAM(&got, 550);
    bytes_free(&got);
    NEED(DeleteFileW(path));
}

static void the_report_goes_to_a_file_whose_name_is_not_ascii(void)
{
    const wchar_t *path = path_of(L"Bericht-\u00e4\u4e2d.txt");
    wchar_t wish[3 * MAX_PATH];
    bytes got;
    _snwprintf(wish, 3 * MAX_PATH, L"text:%ls", path);
    NEED(SetEnvironmentVariableW(L"RTFINALIZE_REPORT", wish));
    CHECK_EQ(rt_finalize_ex(), 0);
    got = content_of(path);
    bytes_add(&got, "", 1);
    CHECK(strstr((const char *)got.data, "restartable: yes") != NULL);
    bytes_free(&got);
    NEED(DeleteFileW(path));
}

int main(void)
{
    RUN(a_file_gets_every_byte_and_is_closed_if_it_is_the_writers);
    RUN(a_pipe_is_written_as_far_as_there_is_room_and_its_end_is_an_error);
    RUN(a_pipe_keeps_its_modes_over_a_write_that_finds_it_full);
    RUN(a_pipe_that_tells_nothing_of_itself_is_written);
    RUN(a_call_with_a_time_returns_by_it_where_a_write_waits_in_the_system);
    RUN(writes_that_wait_keep_no_finalization_from_writing_elsewhere);
    RUN(what_cannot_be_written_is_refused_with_the_reason);
    RUN(a_read_that_another_thread_sits_in_keeps_no_finalization);
    RUN(a_process_ends_by_its_deadline_beside_a_read_that_does_not);
    RUN(a_descriptor_opened_for_appending_appends);
    RUN(the_report_goes_to_a_file_whose_name_is_not_ascii);
    return check_done();
}

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

static void a_pipe_is_written_as_far_as_there_is_room_and_its_end_is_an_error(void)
{
    HANDLE out, in;
    rt_writer *writer;
    size_t sent = 0;
    bytes got = {0};
    NEED(CreatePipe(&out, &in, NULL, PIPE_SIZE));
    writer = over(in, RT_WRITER_OWNS_FD, RT_OK);
    while (rt_writer_write_timed(writer, stream(sent, 50), 50, 20000) == RT_OK) {
        sent += 50;
    }
    CHECK(sent >= PIPE_SIZE);
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
    RUN(what_cannot_be_written_is_refused_with_the_reason);
    RUN(a_descriptor_opened_for_appending_appends);
    RUN(the_report_goes_to_a_file_whose_name_is_not_ascii);
    return check_done();
}

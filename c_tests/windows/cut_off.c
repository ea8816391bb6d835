/*
 * Threads that are ended in the middle of a raw write: nobody hears what it took. So none of it is written
 * again, and the account says that it is not known.
 */
#include "killed.h"

static HANDLE here, there;
static event begins = EVENT_INIT;
static pid_t writes_as;

/* A pipe whose writing end may not ask for its room: a write to it waits in the system. It has none left. */
static void open_full_pipe(void)
{
    char name[64];
    rt_writer_options options = writer_options("log", 256, 0);
    DWORD count;
    snprintf(name, sizeof name, "\\\\.\\pipe\\rtfinalize-cut-off-%lu", GetCurrentProcessId());
    here = CreateNamedPipeA(name, PIPE_ACCESS_OUTBOUND, PIPE_TYPE_BYTE, 1, PIPE_SIZE, PIPE_SIZE, 0, NULL);
    NEED(here != INVALID_HANDLE_VALUE);
    there = CreateFileA(name, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    NEED(there != INVALID_HANDLE_VALUE);
    NEED(WriteFile(here, stream(0, PIPE_SIZE), PIPE_SIZE, &count, NULL) && count == PIPE_SIZE);
    CHECK_EQ(rt_writer_open_handle(NULL, here, &options, &writer), RT_OK);
}

/* A record of `*arg` bytes is offered from the buffer, or, larger than that, from the caller's memory. */
static void *write_without_end(void *arg)
{
    const size_t size = *(const size_t *)arg;
    writes_as = my_tid();
    event_set(&begins);
    if (rt_writer_write(writer, stream(PIPE_SIZE, size), size) == RT_OK) {
        rt_writer_flush(writer, -1);
    }
    return arg;
}

static void terminate_in_a_write_of(size_t size)
{
    pthread_t thread;
    HANDLE handle;
    open_full_pipe();
    thread = thread_start(write_without_end, &size);
    handle = (HANDLE)pthread_gethandle(thread);
    event_wait(&begins);
    wait_until_asleep(writes_as);
    NEED(TerminateThread(handle, 1));
    NEED(WaitForSingleObject(handle, CHECK_HANG_SECONDS * 500) == WAIT_OBJECT_0);
}

static void check_account(rt_writer_account account, size_t size)
{
    CHECK_EQ(account.accepted, size + 4);
    CHECK_EQ(account.written, 4);
    CHECK_EQ(account.unwritten, 0);
    CHECK_EQ(account.in_flight, size);
}

/* What comes of a write whose thread is gone is the system's matter: it may arrive, but once. */
static void check_got(const bytes *got, size_t size)
{
    NEED(got->len == PIPE_SIZE + 4 || got->len == PIPE_SIZE + size + 4);
    CHECK(memcmp(got->data, stream(0, got->len - 4), got->len - 4) == 0);
    CHECK(memcmp(got->data + got->len - 4, "more", 4) == 0);
}

/* The bytes of the thread's record are in flight for good; the writer goes on behind them. */
static void check_what_is_cut_off(size_t size, int is_closed)
{
    reader to;
    rt_report *report = NULL;
    rt_report_destination log;
    terminate_in_a_write_of(size);
    reader_start(&to, _open_osfhandle((intptr_t)there, _O_RDONLY | _O_BINARY), SIZE_MAX, 0);
    CHECK_EQ(rt_writer_write(writer, "more", 4), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    check_account(account_of(writer), size);
    if (is_closed) {
        CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    }
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    log = destination_of(report, "log");
    CHECK_EQ(log.in_flight, size);
    CHECK_EQ(log.written, 4);
    CHECK(report_says(report, "ended in the middle of a write"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK(CloseHandle(here));
    check_got(reader_join(&to), size);
    bytes_free(&to.got);
}

static void a_record_in_the_buffer_is_not_written_again(void)
{
    check_what_is_cut_off(100, 0);
}

static void a_record_in_the_callers_memory_is_accounted_for(void)
{
    check_what_is_cut_off(1000, 0);
}

static void the_report_knows_of_it_though_the_writer_is_closed_before(void)
{
    check_what_is_cut_off(100, 1);
}

/* The file behind the writer of a process that ends. */
static HANDLE file;

static void *write_record_after_record(void *arg)
{
    enum { RECORD = 50, MOST = 20000 };
    size_t at;
    for (at = 0; at < MOST; at += RECORD) {
        CHECK_EQ(rt_writer_write(writer, stream(at, RECORD), RECORD), RT_OK);
        CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
        event_set(&begins);
    }
    event_wait(&never);
    return arg;
}

static void finalize_and_look_into_the_file(void)
{
    static char got[30000];
    rt_report *report = NULL;
    rt_report_destination log;
    DWORD count = 0;
    rt_finalize(NULL, NULL, &report);
    log = destination_of(report, "log");
    SetFilePointer(file, 0, NULL, FILE_BEGIN);
    CHECK(ReadFile(file, got, sizeof got, &count, NULL));
    CHECK_EQ(log.unwritten, 0);
    CHECK(count == log.written || count == log.written + log.in_flight);
    CHECK(memcmp(got, stream(0, count), count) == 0);
    say(log.in_flight > 0 ? "in flight\n" : "written\n");
    say_whether_all_is_well();
}

static void end_while_a_thread_writes(void)
{
    const int fd = file_without_name();
    file = (HANDLE)_get_osfhandle(fd);
    writer = writer_open(NULL, fd, "log", 256, 0);
    library_calling(finalize_and_look_into_the_file);
    thread_start(write_record_after_record, NULL);
    event_wait(&begins);
    ExitProcess(0);
}

/* Killed in the middle of what is the library's own the thread leaves the process nothing to finalize. */
static void wherever_a_writing_thread_is_killed_each_byte_is_written_once_or_in_flight(void)
{
    char said[4000];
    int i, well = 0, in_flight = 0;
    for (i = 0; i < 20; i++) {
        exit_code_of(end_while_a_thread_writes, said, sizeof said);
        well += strstr(said, "well\n") != NULL;
        in_flight += strstr(said, "in flight\n") != NULL;
        CHECK(strstr(said, "well\n") != NULL || strstr(said, " as the process ended") != NULL);
    }
    printf("# %d finalized, %d with a record in flight\n", well, in_flight);
    CHECK(well > 0);
}

int main(void)
{
    RUN(a_record_in_the_buffer_is_not_written_again);
    RUN(a_record_in_the_callers_memory_is_accounted_for);
    RUN(the_report_knows_of_it_though_the_writer_is_closed_before);
    RUN(wherever_a_writing_thread_is_killed_each_byte_is_written_once_or_in_flight);
    return check_done();
}

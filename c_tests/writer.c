/*
 * The buffered writer while its runtime runs: every accepted byte arrives once and in order, on every
 * kind of descriptor; nobody holds the lock over a wait; what fails can be tried again.
 */
#include "destination.h"
#ifndef _WIN32
#include <termios.h>
#endif

/* A place to write to, and the end at which the bytes come out. */
typedef struct place {
    const char *name;
    void (*open)(int *in, int *out);
} place;

static void open_pipe(int *in, int *out)
{
    int ends[2];
    pipe_open(ends);
    *out = ends[0];
    *in = ends[1];
}

#ifdef _WIN32

static void open_file(int *in, int *out)
{
    char path[MAX_PATH];
    *in = temporary_file(path);
    NEED(*in >= 0);
    *out = temporary_file_again(path);
    NEED(*out >= 0);
}

/* Handles are tested in windows/handles.c. */
static const place places[] = {
    {"file", open_file},
    {"pipe", open_pipe},
};

#else

static void open_nonblocking_pipe(int *in, int *out)
{
    open_pipe(in, out);
    NEED(fcntl(*in, F_SETFL, O_NONBLOCK) == 0);
}

static void open_socket(int *in, int *out)
{
    int ends[2], small = 2048;
    NEED(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    NEED(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof small) == 0);
    *out = ends[0];
    *in = ends[1];
}

static void open_nonblocking_socket(int *in, int *out)
{
    open_socket(in, out);
    NEED(fcntl(*in, F_SETFL, O_NONBLOCK) == 0);
}

static void open_pty(int *in, int *out)
{
    struct termios raw;
    *out = posix_openpt(O_RDWR | O_NOCTTY);
    NEED(*out >= 0 && grantpt(*out) == 0 && unlockpt(*out) == 0);
    *in = open(ptsname(*out), O_RDWR | O_NOCTTY);
    NEED(*in >= 0 && tcgetattr(*in, &raw) == 0);
    cfmakeraw(&raw);
    NEED(tcsetattr(*in, TCSANOW, &raw) == 0);
}

static void open_file(int *in, int *out)
{
    char path[] = "/tmp/rtfinalize-writer-XXXXXX";
    *in = mkstemp(path);
    NEED(*in >= 0);
    *out = open(path, O_RDONLY);
    NEED(*out >= 0 && unlink(path) == 0);
}

static const place places[] = {
    {"file", open_file},
    {"pipe", open_pipe},
    {"pipe with O_NONBLOCK", open_nonblocking_pipe},
    {"socket", open_socket},
    {"socket with O_NONBLOCK", open_nonblocking_socket},
    {"pty", open_pty},
};

#endif

enum { PLACES = sizeof places / sizeof places[0] };

static void every_size_arrives_once_and_in_order_at_every_kind_of_descriptor(void)
{
    enum { CAPACITY = 64 };
    static const size_t sizes[] = {0,   1,   2,    CAPACITY - 1, CAPACITY, 1,     CAPACITY + 1,
                                   127, 128, 4096, 4097,         3,        12345, 100000};
    size_t p, i, sent;
    for (p = 0; p < PLACES; p++) {
        int in, out, is_file = places[p].open == open_file;
        reader r;
        rt_writer *writer;
        places[p].open(&in, &out);
        writer = writer_open(NULL, in, places[p].name, CAPACITY, 0);
        for (i = sent = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            sent += sizes[i];
        }
        if (!is_file) {
            reader_start(&r, out, sent, 0);
        }
        for (i = sent = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            CHECK_EQ(rt_writer_write(writer, stream(sent, sizes[i]), sizes[i]), RT_OK);
            sent += sizes[i];
            CHECK_EQ(account_of(writer).accepted, sent);
        }
        CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
        CHECK_EQ(account_of(writer).written, sent);
        if (is_file) {
            memset(&r, 0, sizeof r);
            read_most(out, &r.got, SIZE_MAX);
        } else {
            reader_join(&r);
        }
        CHECK_STREAM(&r.got, sent);
        CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
        bytes_free(&r.got);
        close(in);
        close(out);
    }
}

static void a_record_that_fits_exactly_waits_in_the_buffer_and_an_empty_one_writes_nothing(void)
{
    int ends[2];
    rt_writer *writer;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 100, 0);
    CHECK_EQ(rt_writer_write(writer, NULL, 0), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(0, 100), 100), RT_OK);
    CHECK_EQ(account_of(writer).unwritten, 100);
    CHECK_EQ(rt_writer_write(writer, NULL, 0), RT_OK);
    CHECK_EQ(account_of(writer).written, 0);
    CHECK_EQ(rt_writer_write(writer, stream(100, 1), 1), RT_OK);
    CHECK_EQ(account_of(writer).written, 100);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 101);
    bytes_free(&got);
}

static void a_line_buffered_writer_flushes_after_a_newline_and_not_before(void)
{
    int ends[2];
    rt_writer *writer;
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 0, RT_WRITER_LINE_BUFFERED);
    CHECK_EQ(rt_writer_write(writer, "begun", 5), RT_OK);
    CHECK_EQ(account_of(writer).written, 0);
    CHECK_EQ(rt_writer_write(writer, " ended\nnext", 11), RT_OK);
    CHECK_EQ(account_of(writer).written, 16);
    CHECK_EQ(rt_writer_write(writer, " line", 5), RT_OK);
    CHECK_EQ(account_of(writer).unwritten, 5);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
}

/* Records that say whose they are, how long they are and what is in them. */
enum { THREADS = 8, RECORDS = 300, RECORD_CAPACITY = 512 };
typedef struct head {
    uint8_t mark, thread;
    uint16_t len; /* of the whole record */
    uint32_t number, sum;
} head;
enum { HEAD_MARK = 0xAB, SINGLE_MARK = 0xCD };

static uint32_t sum_of(const unsigned char *data, size_t len)
{
    uint32_t sum = 2166136261u;
    while (len-- > 0) {
        sum = (sum ^ *data++) * 16777619u;
    }
    return sum;
}

typedef struct recorder {
    rt_writer *writer;
    uint8_t number;
} recorder;

static uint16_t next_len(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint16_t)(sizeof(head) + (*seed >> 8) % (3 * RECORD_CAPACITY - sizeof(head) + 1));
}

/* How many bytes all threads together write. */
static size_t all_records(void)
{
    uint32_t thread, i, seed;
    size_t sum = 0;
    for (thread = 0; thread < THREADS; thread++) {
        for (i = 0, seed = thread + 1; i < RECORDS; i++) {
            sum += next_len(&seed) + 1u;
        }
    }
    return sum;
}

static void *write_records(void *arg)
{
    recorder *me = (recorder *)arg;
    unsigned char record[3 * RECORD_CAPACITY];
    uint32_t i, seed = me->number + 1u;
    for (i = 0; i < RECORDS; i++) {
        head h;
        h.mark = HEAD_MARK;
        h.thread = me->number;
        h.number = i;
        h.len = next_len(&seed);
        memcpy(record + sizeof h, stream(seed, h.len - sizeof h), h.len - sizeof h);
        h.sum = sum_of(record + sizeof h, h.len - sizeof h);
        memcpy(record, &h, sizeof h);
        CHECK_EQ(rt_writer_write(me->writer, record, h.len), RT_OK);
        record[0] = SINGLE_MARK;
        CHECK_EQ(rt_writer_write(me->writer, record, 1), RT_OK);
    }
    return NULL;
}

static void check_records(const bytes *got)
{
    uint32_t next[THREADS] = {0}, singles = 0;
    size_t at = 0, thread;
    while (at < got->len) {
        head h;
        if (got->data[at] == SINGLE_MARK) {
            singles++;
            at++;
            continue;
        }
        CHECK(got->len - at >= sizeof h);
        memcpy(&h, got->data + at, sizeof h);
        if (h.mark != HEAD_MARK || h.thread >= THREADS || h.number != next[h.thread] ||
            h.len < sizeof h || h.len > got->len - at ||
            h.sum != sum_of(got->data + at + sizeof h, h.len - sizeof h)) {
            CHECK(!"records are whole, unmixed, and in order within their thread");
            return;
        }
        next[h.thread]++;
        at += h.len;
    }
    for (thread = 0; thread < THREADS; thread++) {
        CHECK_EQ(next[thread], RECORDS);
    }
    CHECK_EQ(singles, THREADS * RECORDS);
}

static void *sample_accounts(void *arg)
{
    recorder *all = (recorder *)arg;
    do {
        account_of(all[0].writer);
        sched_yield();
    } while (all[0].number == 0);
    return NULL;
}

static void records_of_eight_threads_never_mix_and_the_account_always_adds_up(void)
{
    size_t p, i;
    for (p = 0; p < PLACES; p++) {
        int in, out;
        reader r;
        recorder threads[THREADS], samples[1];
        pthread_t started[THREADS], sampler;
        rt_writer_account account;
        places[p].open(&in, &out);
        if (places[p].open != open_file) {
            reader_start(&r, out, all_records(), 0);
        }
        samples[0].writer = writer_open(NULL, in, places[p].name, RECORD_CAPACITY, RT_WRITER_OWNS_FD);
        samples[0].number = 0;
        sampler = thread_start(sample_accounts, samples);
        for (i = 0; i < THREADS; i++) {
            threads[i].writer = samples[0].writer;
            threads[i].number = (uint8_t)i;
            started[i] = thread_start(write_records, &threads[i]);
        }
        for (i = 0; i < THREADS; i++) {
            pthread_join(started[i], NULL);
        }
        __atomic_store_n(&samples[0].number, 1, __ATOMIC_RELAXED);
        pthread_join(sampler, NULL);
        CHECK_EQ(rt_writer_flush(samples[0].writer, -1), RT_OK);
        account = account_of(samples[0].writer);
        CHECK_EQ(account.accepted, all_records());
        if (places[p].open == open_file) {
            memset(&r, 0, sizeof r);
        } else {
            reader_join(&r);
        }
        CHECK_EQ(rt_writer_close(samples[0].writer, 0), RT_OK);
        read_now(out, &r.got); /* all of a file; of the others nothing is left */
        CHECK_EQ(r.got.len, account.accepted);
        check_records(&r.got);
        bytes_free(&r.got);
        close(out);
    }
}

/* One thread that writes while others look on. */
typedef struct job {
    rt_writer *writer;
    size_t from, len;
    int64_t timeout;
    rt_status status;
    pid_t tid;
    event begun;
} job;

static void *do_job(void *arg)
{
    job *j = (job *)arg;
    const unsigned char *data = stream(j->from, j->len);
    j->tid = my_tid();
    event_set(&j->begun);
    j->status = rt_writer_write_timed(j->writer, data, j->len, j->timeout);
    return NULL;
}

static pthread_t job_start(job *j, rt_writer *writer, size_t from, size_t len)
{
    job fresh = {NULL, 0, 0, -1, 0, 0, EVENT_INIT};
    pthread_t thread;
    *j = fresh;
    j->writer = writer;
    j->from = from;
    j->len = len;
    thread = thread_start(do_job, j);
    event_wait(&j->begun);
    return thread;
}

/* Fills the pipe and the writer's buffer; returns how many bytes of the stream that took. */
static size_t fill_up(rt_writer *writer, size_t capacity)
{
    CHECK_EQ(rt_writer_write(writer, stream(0, PIPE_SIZE), PIPE_SIZE), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(PIPE_SIZE, capacity), capacity), RT_OK);
    CHECK_EQ(account_of(writer).unwritten, capacity);
    return PIPE_SIZE + capacity;
}

#ifndef _WIN32

static void on_signal(int number)
{
    (void)number;
}

static void signals_do_not_cut_a_blocked_write(void)
{
    enum { CAPACITY = 100, MORE = 50000 };
    int ends[2], i;
    struct sigaction action;
    rt_writer *writer;
    job j;
    reader r;
    pthread_t thread;
    size_t sent;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal; /* without SA_RESTART */
    NEED(sigaction(SIGUSR1, &action, NULL) == 0);
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    sent = fill_up(writer, CAPACITY);
    thread = job_start(&j, writer, sent, MORE);
    for (i = 0; i < 100; i++) {
        wait_until_asleep(j.tid);
        NEED(pthread_kill(thread, SIGUSR1) == 0);
    }
    reader_start(&r, ends[0], sent + MORE, 0);
    pthread_join(thread, NULL);
    CHECK_EQ(j.status, RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
    CHECK_STREAM(reader_join(&r), sent + MORE);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    bytes_free(&r.got);
}

#endif

/* Windows cannot tell when a pipe has room: those that wait try, and have the lock for so long. */
#ifdef _WIN32
enum { NO_ROOM_NEEDED = 10 * 1000000 };
#else
enum { NO_ROOM_NEEDED = 0 };
#endif

static void a_full_pipe_blocks_only_those_that_write_to_it(void)
{
    enum { CAPACITY = 100, WRITERS = 4 };
    int ends[2], i;
    rt_writer *writer;
    job jobs[WRITERS];
    pthread_t threads[WRITERS];
    bytes got = {0};
    size_t sent;
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", CAPACITY, 0);
    sent = fill_up(writer, CAPACITY);
    for (i = 0; i < WRITERS; i++) {
        threads[i] = job_start(&jobs[i], writer, 0, 10);
        wait_until_asleep(jobs[i].tid);
    }
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    CHECK_EQ(rt_writer_unlock(writer), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_write_timed(writer, "x", 1, 0), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_write_timed(writer, "x", 1, 20000), RT_ERR_TIMEOUT);
    CHECK_EQ(rt_writer_write_timed(writer, NULL, 0, NO_ROOM_NEEDED), RT_OK);
    CHECK_EQ(account_of(writer).accepted, sent);
    read_most(ends[0], &got, sent);
    CHECK_STREAM(&got, sent);
    for (i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        CHECK_EQ(jobs[i].status, RT_OK);
    }
    CHECK_EQ(account_of(writer).accepted, sent + 10 * WRITERS);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    read_now(ends[0], &got);
    CHECK_EQ(got.len, sent + 10 * WRITERS);
    bytes_free(&got);
}

static void locked_records_stay_together(void)
{
    int ends[2], i;
    rt_writer *writer;
    job j;
    pthread_t thread;
    bytes got = {0};
    pipe_open(ends);
    writer = writer_open(NULL, ends[1], "log", 8, 0);
    CHECK_EQ(rt_writer_lock(writer), RT_OK);
    CHECK_EQ(rt_writer_lock(writer), RT_ERR_REENTRANT);
    thread = job_start(&j, writer, 30, 10);
    wait_until_asleep(j.tid);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(rt_writer_write(writer, stream(10 * (size_t)i, 10), 10), RT_OK);
    }
    CHECK_EQ(rt_writer_unlock(writer), RT_OK);
    CHECK_EQ(rt_writer_unlock(writer), RT_ERR_NOT_OWNER);
    pthread_join(thread, NULL);
    CHECK_EQ(j.status, RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    read_now(ends[0], &got);
    CHECK_STREAM(&got, 40);
    bytes_free(&got);
}

int main(void)
{
    RUN(every_size_arrives_once_and_in_order_at_every_kind_of_descriptor);
    RUN(a_record_that_fits_exactly_waits_in_the_buffer_and_an_empty_one_writes_nothing);
    RUN(a_line_buffered_writer_flushes_after_a_newline_and_not_before);
    RUN(records_of_eight_threads_never_mix_and_the_account_always_adds_up);
    RUN_POSIX(signals_do_not_cut_a_blocked_write, "signals");
    RUN(a_full_pipe_blocks_only_those_that_write_to_it);
    RUN(locked_records_stay_together);
    return check_done();
}

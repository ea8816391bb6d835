/*
 * Writers over a host's own callbacks, well-behaved and otherwise: each byte they took is written
 * once, and nothing they return, call or do to their thread corrupts the writer.
 */
#include "destination.h"

/* A destination of the host's. `next` says what each call shall do. */
typedef struct place {
    bytes got;
    rt_writer *writer;
    int64_t (*next)(struct place *p, const void *data, size_t len);
    int64_t answer;
    int (*wait)(struct place *p, int64_t timeout_us);
    size_t room; /* how many bytes it still takes; SIZE_MAX: any number */
    int writes, waits, closes;
    int close_answer;
} place;

static int64_t take(place *p, const void *data, size_t len)
{
    bytes_add(&p->got, data, len);
    return (int64_t)len;
}

static int64_t on_write(void *arg, const void *data, size_t len)
{
    place *p = (place *)arg;
    p->writes++;
    return p->next(p, data, len);
}

static int on_wait(void *arg, int64_t timeout_us)
{
    place *p = (place *)arg;
    p->waits++;
    return p->wait(p, timeout_us);
}

static int on_close(void *arg)
{
    place *p = (place *)arg;
    p->closes++;
    return p->close_answer;
}

static rt_writer *open_place(place *p, size_t capacity)
{
    rt_writer_callbacks callbacks;
    rt_writer_options options = writer_options("place", capacity, 0);
    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.write = on_write;
    callbacks.wait = p->wait == NULL ? NULL : on_wait;
    callbacks.close = on_close;
    callbacks.arg = p;
    CHECK_EQ(rt_writer_open_callbacks(NULL, &callbacks, &options, &p->writer), RT_OK);
    return p->writer;
}

static place place_that(int64_t (*next)(place *, const void *, size_t))
{
    place p;
    memset(&p, 0, sizeof p);
    p.next = next;
    p.room = SIZE_MAX;
    return p;
}

static int64_t take_one(place *p, const void *data, size_t len)
{
    return take(p, data, len > 0 ? 1 : 0);
}

static void a_destination_that_takes_a_byte_at_a_time_gets_each_once(void)
{
    place p = place_that(take_one);
    size_t sent = 0, sizes[] = {1, 9, 10, 11, 0, 35, 500}, i;
    rt_writer *writer = open_place(&p, 10);
    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CHECK_EQ(rt_writer_write(writer, stream(sent, sizes[i]), sizes[i]), RT_OK);
        sent += sizes[i];
        account_of(writer);
    }
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_STREAM(&p.got, sent);
    CHECK_EQ(p.closes, 1);
    bytes_free(&p.got);
}

static int64_t take_into_room(place *p, const void *data, size_t len)
{
    size_t some = len < p->room ? len : p->room;
    if (some == 0) {
        return p->answer;
    }
    p->room -= some;
    return take(p, data, some);
}

static int make_room(place *p, int64_t timeout_us)
{
    CHECK(timeout_us < 0);
    p->room = 7;
    return 0;
}

static int never_room(place *p, int64_t timeout_us)
{
    (void)p;
    CHECK(timeout_us >= 0);
    usleep((useconds_t)(timeout_us < 1000 ? timeout_us : 1000));
    return 1;
}

static int fail_to_wait(place *p, int64_t timeout_us)
{
    (void)p;
    (void)timeout_us;
    return -1;
}

static void a_full_destination_is_waited_for_by_its_own_callback(void)
{
    static const int64_t full[] = {0, -EAGAIN};
    size_t i;
    for (i = 0; i < 2; i++) {
        place p = place_that(take_into_room);
        rt_writer *writer;
        p.wait = make_room;
        p.room = 0;
        p.answer = full[i];
        writer = open_place(&p, 10);
        CHECK_EQ(rt_writer_write(writer, stream(0, 8), 8), RT_OK);
        CHECK_EQ(rt_writer_write(writer, stream(8, 8), 8), RT_OK);
        CHECK_EQ(rt_writer_write(writer, stream(16, 100), 100), RT_OK);
        CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
        CHECK(p.waits > 0);
        CHECK_STREAM(&p.got, 116);
        bytes_free(&p.got);
    }
}

static void each_way_not_to_wait_has_its_status_and_accepts_nothing(void)
{
    place p = place_that(take_into_room);
    rt_writer *writer;
    p.room = 0;
    writer = open_place(&p, 10); /* it cannot wait */
    CHECK_EQ(rt_writer_write(writer, stream(0, 10), 10), RT_OK);
    CHECK_EQ(rt_writer_write(writer, "x", 1), RT_ERR_WOULD_BLOCK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_WOULD_BLOCK);
    CHECK_EQ(account_of(writer).accepted, 10);
    p.room = SIZE_MAX;
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_STREAM(&p.got, 10);
    bytes_free(&p.got);

    p = place_that(take_into_room);
    p.room = 0;
    p.wait = never_room;
    writer = open_place(&p, 10);
    CHECK_EQ(rt_writer_write(writer, stream(0, 10), 10), RT_OK);
    CHECK_EQ(rt_writer_write_timed(writer, "x", 1, 20000), RT_ERR_TIMEOUT);
    p.wait = fail_to_wait;
    CHECK_EQ(rt_writer_write(writer, "x", 1), RT_ERR_CALLBACK);
    CHECK_EQ(account_of(writer).accepted, 10);
    p.room = SIZE_MAX;
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_STREAM(&p.got, 10);
    bytes_free(&p.got);
}

static void after_no_space_and_then_space_each_byte_is_there_once(void)
{
    place p = place_that(take_into_room);
    rt_writer *writer;
    p.answer = -ENOSPC;
    p.room = 5;
    writer = open_place(&p, 10);
    CHECK_EQ(rt_writer_write(writer, stream(0, 10), 10), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
    CHECK(strstr(rt_last_error(), "No space left") != NULL);
    CHECK_EQ(account_of(writer).unwritten, 5);
    CHECK_EQ(rt_writer_write(writer, stream(10, 100), 100), RT_ERR_IO);
    p.room = SIZE_MAX;
    CHECK_EQ(rt_writer_write(writer, stream(10, 100), 100), RT_OK);
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    CHECK_STREAM(&p.got, 110);
    bytes_free(&p.got);
}

static int64_t answer_so(place *p, const void *data, size_t len)
{
    (void)data;
    return p->answer == INT64_MAX - 1 ? (int64_t)len + 1 : p->answer;
}

static void an_answer_that_makes_no_sense_is_an_error_and_loses_nothing(void)
{
    /* The last but one stands for one byte more than was offered. */
    static const int64_t nonsense[] = {INT64_MIN, INT64_MIN + 1, INT32_MIN, -1000000,
                                       -5000000000, INT64_MAX - 1, INT64_MAX};
    size_t i;
    for (i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        place p = place_that(answer_so);
        rt_writer *writer = open_place(&p, 10);
        p.answer = nonsense[i];
        CHECK_EQ(rt_writer_write(writer, stream(0, 10), 10), RT_OK);
        CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
        CHECK_EQ(rt_writer_write(writer, stream(10, 5), 5), RT_ERR_IO);
        CHECK_EQ(account_of(writer).unwritten, 10);
        CHECK_EQ(account_of(writer).in_flight, 0);
        p.next = take;
        CHECK_EQ(rt_writer_flush(writer, -1), RT_OK);
        p.next = answer_so; /* and as the answer to a record offered as it is */
        CHECK_EQ(rt_writer_write(writer, stream(10, 50), 50), RT_ERR_IO);
        CHECK_EQ(account_of(writer).accepted, 10);
        p.next = take;
        CHECK_EQ(rt_writer_write(writer, stream(10, 50), 50), RT_OK);
        CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
        CHECK_STREAM(&p.got, 60);
        bytes_free(&p.got);
    }
}

static void a_close_callback_runs_once_and_its_failure_ends_the_handle_all_the_same(void)
{
    static const int answers[] = {-EIO, INT32_MIN};
    size_t i;
    for (i = 0; i < 2; i++) {
        place p = place_that(take);
        rt_writer *writer = open_place(&p, 10);
        p.close_answer = answers[i];
        CHECK_EQ(rt_writer_write(writer, stream(0, 5), 5), RT_OK);
        CHECK_EQ(rt_writer_close(writer, -1), RT_ERR_IO);
        CHECK_EQ(rt_writer_close(writer, -1), RT_ERR_HANDLE);
        CHECK_EQ(p.closes, 1);
        CHECK_STREAM(&p.got, 5);
        bytes_free(&p.got);
    }
}

static rt_writer *other_writer;

static int64_t call_back(place *p, const void *data, size_t len)
{
    rt_report *report = NULL;
    CHECK_EQ(rt_writer_write(p->writer, "x", 1), RT_ERR_REENTRANT);
    CHECK(strlen(rt_last_error()) > 0);
    CHECK_EQ(rt_writer_flush(p->writer, 0), RT_ERR_REENTRANT);
    CHECK_EQ(rt_writer_lock(p->writer), RT_ERR_REENTRANT);
    CHECK_EQ(rt_writer_close(p->writer, 0), RT_ERR_REENTRANT);
    CHECK_EQ(rt_writer_abandon(p->writer, NULL), RT_ERR_REENTRANT);
    CHECK_EQ(rt_writer_unlock(p->writer), RT_ERR_STATE);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_IN_CALLBACK);
    CHECK_EQ(rt_finalize_ex(), -1);
    CHECK(report == NULL);
    CHECK_EQ(account_of(p->writer).in_flight, len);
    CHECK_EQ(rt_writer_write(other_writer, data, len), RT_OK);
    return take(p, data, len);
}

static void a_callback_may_use_other_writers_and_is_refused_its_own(void)
{
    place p = place_that(call_back), other = place_that(take);
    rt_writer *writer = open_place(&p, 10);
    other_writer = open_place(&other, 10);
    CHECK_EQ(rt_writer_write(writer, stream(0, 8), 8), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(8, 8), 8), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_EQ(rt_writer_close(other_writer, 0), RT_OK);
    CHECK_STREAM(&p.got, 16);
    CHECK_STREAM(&other.got, 16);
    bytes_free(&p.got);
    bytes_free(&other.got);
}

static int64_t publish_and_fail(place *p, const void *data, size_t len)
{
    CHECK_EQ(rt_writer_publish_progress(p->writer, len + 1), RT_ERR_SIZE);
    CHECK_EQ(rt_writer_publish_progress(p->writer, SIZE_MAX), RT_ERR_SIZE);
    if (p->room == 0) {
        return -EIO;
    }
    p->room = 0;
    bytes_add(&p->got, data, 3);
    CHECK_EQ(rt_writer_publish_progress(p->writer, 3), RT_OK);
    return -EIO; /* after it took three bytes */
}

static void what_a_callback_published_counts_though_it_failed_later(void)
{
    place p = place_that(publish_and_fail);
    rt_writer *writer = open_place(&p, 10);
    CHECK_EQ(rt_writer_publish_progress(writer, 1), RT_ERR_NOT_OWNER);
    CHECK_EQ(rt_writer_write(writer, stream(0, 10), 10), RT_OK);
    CHECK_EQ(rt_writer_flush(writer, -1), RT_ERR_IO);
    CHECK_EQ(account_of(writer).written, 3);
    p.next = take;
    CHECK_EQ(rt_writer_close(writer, -1), RT_OK);
    CHECK_STREAM(&p.got, 10);
    bytes_free(&p.got);
}

/* A thread that writes through a callback which ends it. */
typedef struct ending {
    rt_writer *writer;
    size_t len;
    int returned;
} ending;

static void *write_and_end(void *arg)
{
    ending *e = (ending *)arg;
    rt_writer_write(e->writer, stream(0, e->len), e->len);
    rt_writer_flush(e->writer, -1);
    e->returned = 1;
    return NULL;
}

static int64_t take_three_and_end(place *p, const void *data, size_t len)
{
    if (len > 3) {
        bytes_add(&p->got, data, 3);
        CHECK_EQ(rt_writer_publish_progress(p->writer, 3), RT_OK);
    }
    pthread_exit((void *)17);
}

static int64_t end_at_once(place *p, const void *data, size_t len)
{
    (void)p;
    (void)data;
    (void)len;
    pthread_exit((void *)17);
}

static int64_t be_cancelled(place *p, const void *data, size_t len)
{
    (void)p;
    (void)data;
    (void)len;
    pthread_cancel(pthread_self());
    pthread_testcancel();
    CHECK(!"a cancelled callback goes on");
    return 0;
}

static void a_callback_that_ends_its_thread_leaves_a_whole_writer(void)
{
    static int64_t (*const ways[])(place *, const void *, size_t) = {take_three_and_end, end_at_once,
                                                                     be_cancelled};
    size_t i, large;
    for (i = 0; i < 6; i++) {
        place p = place_that(ways[i / 2]);
        ending e;
        void *value = NULL;
        pthread_t thread;
        rt_writer_account account;
        large = i % 2;
        memset(&e, 0, sizeof e);
        e.writer = open_place(&p, 100);
        e.len = large ? 250 : 60;
        thread = thread_start(write_and_end, &e);
        NEED(pthread_join(thread, &value) == 0);
        CHECK_EQ(e.returned, 0);
        CHECK(value == (ways[i / 2] == be_cancelled ? PTHREAD_CANCELED : (void *)17));
#ifdef _WIN32 /* where nothing is unwound: who takes the lock over finds out what became of the write */
        p.next = take;
        CHECK_EQ(rt_writer_flush(e.writer, -1), RT_OK);
#endif
        account = account_of(e.writer);
        CHECK_EQ(account.written, p.got.len);
        CHECK_EQ(account.in_flight, 0);
        p.next = take;
        CHECK_EQ(rt_writer_close(e.writer, -1), RT_OK);
        CHECK_STREAM(&p.got, account.accepted);
        CHECK(large || account.accepted == 60);
        bytes_free(&p.got);
    }
}

static int64_t interrupted_then_take(place *p, const void *data, size_t len)
{
    return p->writes % 3 != 0 ? -EINTR : take(p, data, len);
}

static void an_interrupted_callback_is_called_again(void)
{
    place p = place_that(interrupted_then_take);
    rt_writer *writer = open_place(&p, 10);
    CHECK_EQ(rt_writer_write(writer, stream(0, 10), 10), RT_OK);
    CHECK_EQ(rt_writer_write(writer, stream(10, 50), 50), RT_OK);
    CHECK_EQ(rt_writer_close(writer, 0), RT_OK);
    CHECK_STREAM(&p.got, 60);
    bytes_free(&p.got);
}

int main(void)
{
    RUN(a_destination_that_takes_a_byte_at_a_time_gets_each_once);
    RUN(a_full_destination_is_waited_for_by_its_own_callback);
    RUN(each_way_not_to_wait_has_its_status_and_accepts_nothing);
    RUN(after_no_space_and_then_space_each_byte_is_there_once);
    RUN(an_answer_that_makes_no_sense_is_an_error_and_loses_nothing);
    RUN(a_close_callback_runs_once_and_its_failure_ends_the_handle_all_the_same);
    RUN(a_callback_may_use_other_writers_and_is_refused_its_own);
    RUN(what_a_callback_published_counts_though_it_failed_later);
    RUN(a_callback_that_ends_its_thread_leaves_a_whole_writer);
    RUN(an_interrupted_callback_is_called_again);
    return check_done();
}

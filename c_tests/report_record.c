/*
 * What the report's record says beside the numbers: when each wait and each long callback began, whom the freeze
 * stopped, and from whom a lock was taken over. A program reads it in the JSON form.
 */
#include "destination.h"

/* The report as JSON; to be freed. */
static char *json_of(const rt_report *report)
{
    size_t needed = 0;
    char *json;
    CHECK_EQ(rt_report_format(report, RT_REPORT_JSON, NULL, 0, &needed), RT_OK);
    json = (char *)malloc(needed);
    NEED(json != NULL);
    CHECK_EQ(rt_report_format(report, RT_REPORT_JSON, json, needed, NULL), RT_OK);
    return json;
}

/* What follows `before` in the JSON, or NULL. */
static const char *after(const char *json, const char *before)
{
    const char *at = json == NULL ? NULL : strstr(json, before);
    if (at == NULL) {
        fprintf(stderr, "'%s' is not in: %s\n", before, json == NULL ? "nothing" : json);
        return NULL;
    }
    return at + strlen(before);
}

/* The number that follows `name`, from `json` on; -1 if there is none. */
static int64_t number_of(const char *json, const char *name)
{
    char key[64];
    const char *at;
    snprintf(key, sizeof key, "\"%s\":", name);
    at = after(json, key);
    return at == NULL ? -1 : (int64_t)strtoll(at, NULL, 10);
}

static int take_long(void *arg)
{
    (void)arg;
    usleep(20000);
    return 0;
}

static void a_callback_is_in_the_record_if_it_was_long(void)
{
    rt_report *report = NULL;
    char *json;
    const char *run, *other;
    int64_t start_us, us;
    CHECK_EQ(rt_atexit(NULL, "the short one", nothing, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "the long one", take_long, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    json = json_of(report);
    run = after(json, "\"callbacks\":[{\"name\":\"the long one\"");
    start_us = number_of(run, "start_us");
    us = number_of(run, "us");
    CHECK(start_us >= 0 && us >= 20000);
    CHECK(start_us + us <= (int64_t)summary_of(report).total_us);
    /* A busy machine may have made it long. */
    other = strstr(json, "the short one");
    CHECK(other == NULL || number_of(other, "us") >= 1000);
    free(json);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int give_up_waiting(void *arg)
{
    (void)arg;
    usleep(30000);
    return rt_note_blocked(NULL, "a lock of the host's", 20000, "not waited for any longer");
}

static void a_wait_is_in_the_record_with_its_beginning(void)
{
    rt_report *report = NULL;
    char *json;
    const char *wait, *run;
    int64_t start_us;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "waiting", give_up_waiting, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    json = json_of(report);
    run = after(json, "\"handlers\":[{\"name\":\"waiting\"");
    wait = after(json, "\"what\":\"a lock of the host's\"");
    start_us = number_of(wait, "start_us");
    CHECK_EQ(number_of(wait, "us"), 20000);
    /* Inside the run of the handler that waited: 20 ms before it said so. */
    CHECK(start_us >= number_of(run, "start_us") + 10000);
    CHECK(start_us + 20000 <= number_of(run, "start_us") + number_of(run, "us"));
    free(json);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int wait_and_look(void *arg)
{
    rt_seen_thread seen = {.struct_size = sizeof seen, .number = 7, .name = "thread 'reader'"};
    (void)arg;
    seen.what = "in fetch (app.py:12)";
    seen.state = RT_SEEN_RUNNING;
    CHECK_EQ(rt_note_thread(NULL, &seen), RT_OK);
    usleep(20000);
    seen.state = RT_SEEN_WAITING;
    CHECK_EQ(rt_note_thread(NULL, &seen), RT_OK);
    usleep(20000);
    seen.state = RT_SEEN_ENDED;
    CHECK_EQ(rt_note_thread(NULL, &seen), RT_OK);
    return rt_note_wait(NULL, "thread 'reader'", 20000, NULL);
}

static void what_a_host_sees_its_threads_do_is_in_the_record(void)
{
    rt_report *report = NULL;
    char *json;
    const char *ran, *waited;
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_THREADS, 0, "join", wait_and_look, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    json = json_of(report);
    CHECK(after(json, "\"what\":\"thread 'reader'\"") != NULL);
    CHECK(after(json, "\"outcome\":\"came in the end\"") != NULL);
    ran = after(json, "\"threads\":[{\"name\":\"thread 'reader'\",\"stretches\":[{\"state\":\"running\"");
    waited = after(ran, "{\"state\":\"waiting\",\"what\":\"in fetch (app.py:12)\"");
    CHECK(number_of(ran, "us") >= 20000);
    CHECK(number_of(waited, "us") >= 20000);
    CHECK_EQ(number_of(waited, "start_us"), number_of(ran, "start_us") + number_of(ran, "us"));
    CHECK(number_of(waited, "start_us") + number_of(waited, "us") <= (int64_t)summary_of(report).total_us);
    free(json);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void what_is_wrong_about_a_thread_is_refused(void)
{
    rt_seen_thread seen = {.struct_size = sizeof seen, .name = "reader", .state = RT_SEEN_RUNNING};
    REFUSED(rt_note_thread(NULL, &seen), RT_ERR_STATE);
    REFUSED(rt_note_wait(NULL, "reader", 0, NULL), RT_ERR_STATE);
    REFUSED(rt_note_wait(NULL, NULL, 0, NULL), RT_ERR_NULL);
    REFUSED(rt_note_thread(NULL, NULL), RT_ERR_NULL);
    seen.state = 5;
    REFUSED(rt_note_thread(NULL, &seen), RT_ERR_INVALID);
    seen.state = RT_SEEN_STOPPED;
    seen.name = NULL;
    REFUSED(rt_note_thread(NULL, &seen), RT_ERR_NULL);
    seen.name = "\xff";
    REFUSED(rt_note_thread(NULL, &seen), RT_ERR_UTF8);
    seen.struct_size = 8;
    REFUSED(rt_note_thread(NULL, &seen), RT_ERR_STRUCT_SIZE);
    CHECK_EQ(rt_finalize_ex(), 0);
    seen = (rt_seen_thread){.struct_size = sizeof seen, .name = "reader", .state = RT_SEEN_RUNNING};
    REFUSED(rt_note_thread(NULL, &seen), RT_ERR_FINALIZING);
    REFUSED(rt_note_wait(NULL, "reader", 0, NULL), RT_ERR_FINALIZING);
}

/* A thread that is stopped while it holds a writer's lock. */
typedef struct holder {
    rt_writer *writer;
    event holds;
} holder;

static void *hold(void *arg)
{
    holder *h = (holder *)arg;
    rt_thread *thread = attach(NULL, "the holder", 1, RT_POLICY_HANG);
    CHECK_EQ(rt_thread_enter(thread), RT_OK);
    CHECK_EQ(rt_writer_lock(h->writer), RT_OK);
    CHECK_EQ(rt_writer_write(h->writer, stream(0, 100), 100), RT_OK);
    event_set(&h->holds);
    while (rt_thread_checkpoint(thread) == RT_OK) {
        usleep(1000);
    }
    CHECK(!"a parked thread goes on");
    return NULL;
}

static void a_stopped_thread_and_the_lock_that_was_taken_from_it_are_in_the_record(void)
{
    int file = file_without_name();
    rt_report *report = NULL;
    holder h = {NULL, EVENT_INIT};
    char *json;
    const char *taken;
    h.writer = writer_open(NULL, file, "log", 1000, 0);
    thread_start(hold, &h);
    event_wait(&h.holds);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(destination_of(report, "log").recovered, 100);
    json = json_of(report);
    CHECK(after(json, "\"stopped\":[\"daemon thread 'the holder' (thread ") != NULL);
    taken = after(json, "\"taken_over\":[{\"at_us\":");
    CHECK(taken != NULL && strtoll(taken, NULL, 10) <= (long long)summary_of(report).total_us);
    CHECK(after(taken, "the lock of writer 'log', with 100 bytes, was taken over from thread 'the holder'") != NULL);
    CHECK_EQ(number_of(json, "more_taken_over"), 0);
    free(json);
    CHECK_EQ(rt_writer_close(h.writer, 0), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_OK);
    close(file);
}

int main(void)
{
    NEED(unsetenv("RTFINALIZE_REPORT") == 0);
    RUN(a_callback_is_in_the_record_if_it_was_long);
    RUN(a_wait_is_in_the_record_with_its_beginning);
    RUN(what_a_host_sees_its_threads_do_is_in_the_record);
    RUN(what_is_wrong_about_a_thread_is_refused);
    RUN(a_stopped_thread_and_the_lock_that_was_taken_from_it_are_in_the_record);
    return check_done();
}

/*
 * What a thread of the process is doing, in words for a person (`rt_thread_whereabouts`).
 */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

typedef struct {
    pthread_t thread;
    event here;
    pid_t tid;
    int descriptor;
    pthread_mutex_t *mutex;
} worker;

static void *reads(void *arg)
{
    worker *self = arg;
    char byte;
    self->tid = my_tid();
    event_set(&self->here);
    CHECK_EQ(read(self->descriptor, &byte, 1), 1);
    return NULL;
}

static void *locks(void *arg)
{
    worker *self = arg;
    self->tid = my_tid();
    event_set(&self->here);
    pthread_mutex_lock(self->mutex);
    pthread_mutex_unlock(self->mutex);
    return NULL;
}

static void start(worker *self, void *(*run)(void *))
{
    CHECK_EQ(pthread_create(&self->thread, NULL, run, self), 0);
    event_wait(&self->here);
}

static const char *words_about(pid_t tid)
{
    static char text[256];
    CHECK_EQ(rt_thread_whereabouts((uint32_t)tid, text, sizeof text, NULL), RT_OK);
    return text;
}

/* The thread is on its way there. */
static void wait_until_it_is(pid_t tid, const char *words)
{
    while (strcmp(words_about(tid), words) != 0) {
        sched_yield();
    }
}

static void a_system_call_its_descriptor_and_what_that_leads_to_are_named(void)
{
    int ends[2];
    char link[64], target[128] = "", words[256];
    worker reader = {.here = EVENT_INIT};
    NEED(pipe(ends) == 0);
    reader.descriptor = ends[0];
    snprintf(link, sizeof link, "/proc/self/fd/%d", ends[0]);
    NEED(readlink(link, target, sizeof target - 1) > 0);
    snprintf(words, sizeof words, "in read of descriptor %d (%s)", ends[0], target);
    start(&reader, reads);
    wait_until_it_is(reader.tid, words);
    CHECK_EQ(write(ends[1], "x", 1), 1);
    pthread_join(reader.thread, NULL);
    wait_until_gone(reader.tid);
    CHECK(strcmp(words_about(reader.tid), "") == 0);
    close(ends[0]);
    close(ends[1]);
}

static void a_thread_that_waits_for_a_mutex_is_asleep(void)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    worker waiter = {.here = EVENT_INIT, .mutex = &mutex};
    pthread_mutex_lock(&mutex);
    start(&waiter, locks);
    wait_until_it_is(waiter.tid, "asleep in futex");
    pthread_mutex_unlock(&mutex);
    pthread_join(waiter.thread, NULL);
}

static void the_calling_thread_runs(void)
{
    CHECK(strcmp(words_about(my_tid()), "running") == 0);
}

static void of_what_is_no_thread_of_this_process_nothing_is_known(void)
{
    CHECK(strcmp(words_about(0), "") == 0);
    CHECK(strcmp(words_about(1), "") == 0);
    CHECK(strcmp(words_about(-1), "") == 0);
}

static void what_does_not_fit_is_cut_and_the_size_of_the_whole_is_told(void)
{
    char text[8] = "xxxxxxx";
    size_t needed = 0;
    const uint32_t me = (uint32_t)my_tid();
    CHECK_EQ(rt_thread_whereabouts(me, NULL, 0, &needed), RT_OK);
    CHECK_EQ(needed, sizeof "running");
    CHECK_EQ(rt_thread_whereabouts(me, text, 4, &needed), RT_ERR_SIZE);
    CHECK(strcmp(text, "run") == 0);
    CHECK_EQ(needed, sizeof "running");
    CHECK_EQ(rt_thread_whereabouts(me, text, needed, NULL), RT_OK);
    CHECK(strcmp(text, "running") == 0);
    CHECK_EQ(rt_thread_whereabouts(me, NULL, 8, NULL), RT_ERR_NULL);
}

static void a_name_of_a_file_cannot_control_the_place_where_it_is_shown(void)
{
    char path[] = "/tmp/rtfinalize-\n\033[31m-XXXXXX";
    int other;
    worker reader = {.here = EVENT_INIT};
    int file = mkstemp(path);
    NEED(file >= 0 && unlink(path) == 0 && mkfifo(path, 0600) == 0);
    close(file);
    reader.descriptor = open(path, O_RDONLY | O_NONBLOCK);
    other = open(path, O_WRONLY);
    NEED(reader.descriptor >= 0 && other >= 0 && fcntl(reader.descriptor, F_SETFL, 0) == 0);
    start(&reader, reads);
    while (strstr(words_about(reader.tid), "(/tmp/rtfinalize-??[31m-") == NULL) {
        sched_yield();
    }
    CHECK_EQ(write(other, "x", 1), 1);
    pthread_join(reader.thread, NULL);
    close(reader.descriptor);
    close(other);
    unlink(path);
}

int main(void)
{
    RUN(a_system_call_its_descriptor_and_what_that_leads_to_are_named);
    RUN(a_thread_that_waits_for_a_mutex_is_asleep);
    RUN(the_calling_thread_runs);
    RUN(of_what_is_no_thread_of_this_process_nothing_is_known);
    RUN(what_does_not_fit_is_cut_and_the_size_of_the_whole_is_told);
    RUN(a_name_of_a_file_cannot_control_the_place_where_it_is_shown);
    return check_done();
}

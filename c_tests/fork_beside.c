/*
 * Forks beside other threads that are in the middle of something: timed waits that run out, the end of the
 * process, work that goes on, AIO. The child is whole.
 */
#include "forked.h"
#include "host.h"

#include <sys/prctl.h>

static rt_buffered_lock lock = RT_BUFFERED_LOCK_INIT;
static volatile int over;

static void *wait_a_moment(void *us)
{
    while (!over) {
        CHECK_EQ(rt_buffered_lock_acquire_timed(&lock, *(int *)us), RT_ERR_TIMEOUT);
    }
    return NULL;
}

static void a_fork_beside_waits_that_run_out_leaves_no_queue_locked(void)
{
    enum { THREADS = 4 };
    static int bounds[THREADS] = {1, 2, 3, 5};
    pthread_t threads[THREADS];
    const int forks = under_valgrind() ? 20 : 1500;
    over = 0;
    CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
    for (int n = 0; n < THREADS; n++) {
        threads[n] = thread_start(wait_a_moment, &bounds[n]);
    }
    for (int n = 0; n < forks; n++) {
        const pid_t child = fork_bounded();
        if (child == 0) {
            CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
            CHECK_EQ(rt_buffered_lock_acquire(&lock), RT_OK);
            end_child();
        }
        expect_good_end(child);
    }
    over = 1;
    for (int n = 0; n < THREADS; n++) {
        pthread_join(threads[n], NULL);
    }
    CHECK_EQ(rt_buffered_lock_release(&lock), RT_OK);
}

/* --- the end of the process -------------------------------------------------------------------------- */

static int never_returns(void *arg)
{
    (void)arg;
    for (;;) {
        pause();
    }
    return 0;
}

static void full_pipe(int ends[2])
{
    static const char junk[4096];
    NEED(pipe(ends) == 0);
    NEED(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    while (write(ends[1], junk, sizeof junk) > 0) {
    }
    NEED(fcntl(ends[1], F_SETFL, 0) == 0);
}

/* The end of a process waits up to 250 ms for room at its writers' destinations. So a fork of another thread
   a good 100 ms after the deadline is in its middle. */
static void *fork_in_the_middle_of_the_end(void *arg)
{
    const struct timespec into_it = {0, 220 * 1000 * 1000};
    (void)arg;
    nanosleep(&into_it, NULL);
    if (fork() == 0) {
        const rt_finalize_options exits = options_exiting(100000);
        rt_runtime *own = runtime_new("the child's own");
        alarm(CHECK_HANG_SECONDS / 4);
        rt_atexit(own, "never returns", never_returns, NULL, NULL);
        rt_finalize(own, &exits, NULL);
        _exit(1);
    }
    return NULL;
}

static void end_with_a_fork_in_the_middle(void)
{
    rt_finalize_options exits = options_exiting(100000);
    int ends[2];
    rt_writer *writer;
    exits.exit_code = 75;
    full_pipe(ends);
    NEED(rt_writer_open_fd(NULL, ends[1], NULL, &writer) == RT_OK);
    NEED(rt_writer_write(writer, "held\n", 5) == RT_OK);
    thread_start(fork_in_the_middle_of_the_end, NULL);
    NEED(rt_atexit(NULL, "never returns", never_returns, NULL, NULL) == RT_OK);
    rt_finalize(NULL, &exits, NULL);
}

static void a_child_forked_while_its_parent_ends_ends_by_its_own_deadline(void)
{
    int status = 0;
    char said[4096];
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    CHECK_EQ(exit_code_of(end_with_a_fork_in_the_middle, said, sizeof said), 75);
    NEED(wait(&status) > 0);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) != 1 && WEXITSTATUS(status) != 0);
}

/* --- work that goes on -------------------------------------------------------------------------------- */

static event begun = EVENT_INIT, go_on = EVENT_INIT;

static int go_on_for_long(void *arg)
{
    (void)arg;
    event_set(&begun);
    event_wait(&go_on);
    return 0;
}

static void *one(void *arg)
{
    return arg;
}

static pid_t child_of_callback;

/* By new threads with large stacks the C library gives back those of threads that it takes to have ended. */
static int fork_in_a_callback(void *arg)
{
    (void)arg;
    event_wait(&begun);
    child_of_callback = fork_bounded();
    if (child_of_callback == 0) {
        pthread_attr_t large;
        pthread_t threads[8];
        pthread_attr_init(&large);
        pthread_attr_setstacksize(&large, 60 << 20);
        for (int n = 0; n < 8; n++) {
            NEED(pthread_create(&threads[n], &large, one, NULL) == 0);
        }
        for (int n = 0; n < 8; n++) {
            pthread_join(threads[n], NULL);
        }
    }
    return 0;
}

static void a_child_forked_beside_work_that_goes_on_leaves_it_to_its_parent(void)
{
    rt_handler_options goes_on = {.struct_size = sizeof goes_on, .work = RT_WORK_CONTINUE};
    rt_report *report = NULL;
    for (int n = 0; n < 4; n++) {
        CHECK_EQ(rt_phase_add_handler_ex(NULL, RT_PHASE_GUARDS, "goes on", &goes_on, go_on_for_long, NULL,
                                         NULL), RT_OK);
    }
    CHECK_EQ(rt_atexit(NULL, "forks", fork_in_a_callback, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK_EQ(summary_of(report).restartable, child_of_callback == 0);
    if (child_of_callback == 0) {
        end_child();
    }
    expect_good_end(child_of_callback);
    event_set(&go_on);
}

/* --- AIO ---------------------------------------------------------------------------------------------- */

static rt_overlapped *begin_to_read(int fd, const char *name)
{
    rt_overlapped *read = NULL;
    CHECK_EQ(rt_overlapped_aio_read(NULL, fd, 4, 0, name, &read), RT_OK);
    return read;
}

static void read_and_check(int fd, const char *text)
{
    const void *data = NULL;
    size_t size = 0;
    rt_overlapped *read = begin_to_read(fd, "read");
    CHECK_EQ(rt_overlapped_wait(read, -1), RT_OK);
    CHECK_EQ(rt_overlapped_data(read, &data, &size), RT_OK);
    CHECK(size == 4 && memcmp(data, text, 4) == 0);
    CHECK_EQ(rt_overlapped_dealloc(read), RT_OK);
}

static void put_late(int fd)
{
    NEED(write(fd, "late", 4) == 4);
}

/* The parent's request is done, so the system's helper thread idles, and was not copied. */
static void aio_that_a_child_begins_is_carried_out(void)
{
    const int fd = sink_open();
    tube idle = tube_open();
    NEED(write(fd, "text", 4) == 4);
    read_and_check(fd, "text");
    const pid_t child = fork_bounded();
    if (child == 0) {
        rt_overlapped *pending, *write = NULL;
        char written[5] = "";
        for (int n = 0; n < 20; n++) {
            read_and_check(fd, "text");
        }
        const int own = sink_open();
        CHECK_EQ(rt_overlapped_aio_write(NULL, own, "more", 4, 0, "write", &write), RT_OK);
        CHECK_EQ(rt_overlapped_wait(write, -1), RT_OK);
        CHECK_EQ(rt_overlapped_dealloc(write), RT_OK);
        CHECK(pread(own, written, 4, 0) == 4 && strcmp(written, "more") == 0);
        pending = begin_to_read(idle.out, "pending");
        CHECK_EQ(rt_overlapped_wait(pending, 1000), RT_ERR_TIMEOUT);
        put_late(idle.in);
        CHECK_EQ(rt_overlapped_wait(pending, -1), RT_OK);
        CHECK_EQ(rt_overlapped_dealloc(pending), RT_OK);
        CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK);
        end_child();
    }
    expect_good_end(child);
}

int main(void)
{
    RUN(a_fork_beside_waits_that_run_out_leaves_no_queue_locked);
    RUN(a_child_forked_while_its_parent_ends_ends_by_its_own_deadline);
    RUN(a_child_forked_beside_work_that_goes_on_leaves_it_to_its_parent);
    RUN(aio_that_a_child_begins_is_carried_out);
    return check_done();
}

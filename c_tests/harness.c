/*
 * The tests' own ground: in whatever way a test does not come to its end with all checks held, it counts as
 * failed.
 */
static int hang_seconds = 60;
#define CHECK_HANG_SECONDS hang_seconds
#include "host.h"

#include <fcntl.h>

static void fails_a_check(void)
{
    CHECK_EQ(1, 2);
}

static void *check_in_vain(void *arg)
{
    CHECK(arg != NULL);
    return arg;
}

static void fails_a_check_on_another_thread(void)
{
    pthread_join(thread_start(check_in_vain, NULL), NULL);
}

static void lacks_what_it_needs(void)
{
    NEED(1 == 2);
}

static void crashes(void)
{
    *(volatile int *)(uintptr_t)16 = 1;
}

static void aborts(void)
{
    abort();
}

static void exits_on_its_way(void)
{
    exit(0);
}

static void ends_its_thread_and_with_it_the_process(void)
{
    pthread_exit(NULL);
}

static void hangs(void)
{
    for (;;) {
        pause();
    }
}

static void exit_well(void)
{
    exit(0);
}

static void expects_another_exit_code_of_its_process(void)
{
    char said[1000];
    CHECK_EQ(exit_code_of(exit_well, said, sizeof said), 75);
}

static void fail_a_check_and_exit_well(void)
{
    CHECK_EQ(1, 2);
    exit(0);
}

static void fails_a_check_in_a_process_of_its_own(void)
{
    char said[1000];
    CHECK_EQ(exit_code_of(fail_a_check_and_exit_well, said, sizeof said), 0);
}

static void has_a_process_of_its_own_that_hangs(void)
{
    char said[1000];
    CHECK_EQ(exit_code_of(hangs, said, sizeof said), 0);
}

static void comes_to_its_end_with_all_checks_held(void)
{
    char said[1000];
    CHECK_EQ(exit_code_of(exit_well, said, sizeof said), 0);
    CHECK_EQ(exit_code_of(lacks_what_it_needs, said, sizeof said), 99);
    CHECK(strstr(said, "1 == 2") != NULL);
}

static int silenced, out, err;

static void silence(void)
{
    fflush(NULL);
    out = dup(STDOUT_FILENO);
    err = dup(STDERR_FILENO);
    NEED(dup2(silenced, STDOUT_FILENO) >= 0 && dup2(silenced, STDERR_FILENO) >= 0);
}

static void speak(void)
{
    fflush(NULL);
    NEED(dup2(out, STDOUT_FILENO) >= 0 && dup2(err, STDERR_FILENO) >= 0);
    close(out);
    close(err);
}

/* How a test is counted; whatever is said meanwhile, is said to nobody. */
static void counts_as(const char *name, void (*test)(void), int failed)
{
    const int passed_before = check_passed, failed_before = check_failed;
    int as_it_should;
    silence();
    check_run(name, test);
    speak();
    as_it_should = check_passed - passed_before == !failed && check_failed - failed_before == failed;
    check_passed = passed_before + as_it_should;
    check_failed = failed_before + !as_it_should;
    printf("%s a test that %s\n", as_it_should ? "ok" : "FAILED", name);
    fflush(stdout);
}

#define FAILS(test) counts_as(#test, test, 1)
#define FAILS_IN_TIME(test) (hang_seconds = 4, FAILS(test), hang_seconds = 60)
#define PASSES(test) counts_as(#test, test, 0)

int main(void)
{
    silenced = open(NULL_DEVICE, O_WRONLY);
    NEED(silenced >= 0);
    FAILS(fails_a_check);
    FAILS(fails_a_check_on_another_thread);
    FAILS(lacks_what_it_needs);
    FAILS(crashes);
    FAILS(aborts);
    FAILS(exits_on_its_way);
    FAILS(ends_its_thread_and_with_it_the_process);
    FAILS_IN_TIME(hangs);
    FAILS(expects_another_exit_code_of_its_process);
    FAILS(fails_a_check_in_a_process_of_its_own);
    FAILS_IN_TIME(has_a_process_of_its_own_that_hangs);
    PASSES(comes_to_its_end_with_all_checks_held);
    return check_done();
}

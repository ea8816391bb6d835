/*
 * What a host says of a callback that takes long (`rt_describe_work`) is in the report, too, where the callback has
 * returned long ago: the words of the moment when its time was up, or of the last line about it.
 */
#include "host.h"
#include <stdatomic.h>

static _Atomic(const char *) place;
static atomic_int looks;

static size_t describe(char *text, size_t size)
{
    const char *words = place;
    size_t length = strlen(words);
    length = length < size ? length : size;
    memcpy(text, words, length);
    looks++;
    return length;
}

/* Goes on when the watch has looked twice: what it saw at first is written down then. */
static void stay_in(const char *words)
{
    const int before = looks;
    place = words;
    while (looks < before + 2) {
        sched_yield();
    }
}

static int works_in_f(void *arg)
{
    (void)arg;
    stay_in("in f");
    return RT_OK;
}

static int works_in_f_and_cleans_up_in_g(void *arg)
{
    (void)arg;
    stay_in("in f");
    stay_in("in g");
    return RT_OK;
}

static rt_report *finalize_of(rt_runtime *runtime, rt_runtime *described, rt_callback call, int64_t notice_us)
{
    rt_report *report = NULL;
    rt_finalize_options options = options_none();
    options.notice_us = notice_us;
    CHECK_EQ(rt_describe_work(described, describe), RT_OK);
    CHECK_EQ(rt_atexit(runtime, "slow", call, NULL, NULL), RT_OK);
    CHECK_EQ(rt_finalize(runtime, &options, &report), RT_OK);
    CHECK_EQ(rt_describe_work(NULL, NULL), RT_OK);
    return report;
}

static rt_report *finalize_with(rt_callback call, int64_t notice_us)
{
    return finalize_of(NULL, NULL, call, notice_us);
}

static void a_callback_that_a_line_was_about_is_in_the_report_with_its_place(void)
{
    rt_report *report = finalize_with(works_in_f, 20000);
    CHECK(report_says(report, "callback 'slow', in f: ended"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_callback_past_its_time_is_in_the_report_with_the_place_where_it_was_then(void)
{
    rt_report *report;
    CHECK_EQ(rt_runtime_set_budget(NULL, RT_PHASE_ATEXIT, 50000), RT_OK);
    report = finalize_with(works_in_f_and_cleans_up_in_g, 20000);
    CHECK(report_says(report, "callback 'slow', in f: not interrupted"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int returns_at_once(void *arg)
{
    (void)arg;
    return RT_OK;
}

static void of_a_callback_that_nobody_spoke_of_there_is_no_entry(void)
{
    char text[4096] = "";
    rt_report *report = finalize_with(returns_at_once, 3600 * (int64_t)1000000);
    CHECK_EQ(rt_report_format(report, RT_REPORT_JSON, text, sizeof text - 1, NULL), RT_OK);
    CHECK(strstr(text, "\"blocked\":[]") != NULL);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static int takes_100_ms(void *arg)
{
    (void)arg;
    usleep(100 * 1000);
    return RT_OK;
}

static void of_a_child_runtime_its_own_host_speaks(void)
{
    rt_runtime *child;
    rt_report *report;
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &child), RT_OK);
    report = finalize_of(child, child, works_in_f, 20000);
    CHECK(report_says(report, "callback 'slow', in f: ended"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

static void of_another_runtime_than_the_described_one_nothing_is_said(void)
{
    rt_runtime *child;
    rt_report *report;
    CHECK_EQ(rt_runtime_new_child(NULL, NULL, &child), RT_OK);
    report = finalize_of(child, NULL, takes_100_ms, 20000);
    CHECK(report_says(report, "callback 'slow': ended"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

int main(void)
{
    RUN(a_callback_that_a_line_was_about_is_in_the_report_with_its_place);
    RUN(a_callback_past_its_time_is_in_the_report_with_the_place_where_it_was_then);
    RUN(of_a_callback_that_nobody_spoke_of_there_is_no_entry);
    RUN(of_a_child_runtime_its_own_host_speaks);
    RUN(of_another_runtime_than_the_described_one_nothing_is_said);
    return check_done();
}

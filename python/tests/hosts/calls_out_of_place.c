// title: calls that come at the wrong time are refused, and say why
// of: the header
// stock: none
// arrives: alive: b"alive"
#include "host.h"

#define IS(status, wanted) NEED((status) == (wanted))

static int refuses(const PyConfig *config, const char *why)
{
    PyStatus status = rtpy_start(config);
    if (!PyStatus_Exception(status)) {
        return 0;
    }
    if (strstr(status.err_msg, why) == NULL) {
        fprintf(stderr, "it says: %s\n", status.err_msg);
        return 0;
    }
    return 1;
}

static void before_there_was_a_python(void)
{
    rtpy_guard guard;
    rt_report *report = (rt_report *)1;
    IS(rtpy_ensure("early", &guard), RT_ERR_FINALIZING);
    rtpy_release(&guard);
    rtpy_release(NULL);
    IS(rtpy_finalize(NULL, &report), RT_ERR_STATE);
    NEED(report == NULL);
}

static void a_python_of_another_is_taken_over(void)
{
    PyConfig config;
    Py_InitializeEx(0);
    PyConfig_InitPythonConfig(&config);
    NEED(refuses(&config, "runs already"));
    PyConfig_Clear(&config);
    NEED(!PyStatus_Exception(rtpy_start(NULL)));
    NEED(refuses(NULL, "was started already"));
}

static void what_is_wrong_in_a_call_leaves_all_as_it_was(void)
{
    rt_finalize_options options = {.struct_size = 3};
    rtpy_guard guard;
    IS(rtpy_ensure("name", NULL), RT_ERR_NULL);
    IS(rtpy_ensure("\xff", &guard), RT_ERR_UTF8);
    IS(rtpy_finalize(&options, NULL), RT_ERR_STRUCT_SIZE);
    NEED(Py_IsInitialized());
    host_run("1 + 1");
}

static void a_guard_of_the_thread_that_ends_python_is_counted_and_can_be_released_later(void)
{
    rtpy_guard guard;
    rt_report *first, *again;
    IS(rtpy_ensure("main", &guard), RT_OK);
    IS(rtpy_finalize(NULL, &first), RT_ERR_INCOMPLETE);
    rtpy_release(&guard);
    rtpy_release(&guard);
    NEED(!Py_IsInitialized());
    IS(rtpy_finalize(NULL, &again), RT_OK); /* nothing was left to do */
    NEED(refuses(NULL, "the report of its end says why"));
    NEED(first != NULL && again != NULL);
    IS(rt_report_free(first), RT_OK);
    IS(rt_report_free(again), RT_OK);
}

static void a_configuration_of_the_hosts_is_used(void)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.optimization_level = 2;
    NEED(!PyStatus_Exception(rtpy_start(&config)));
    PyConfig_Clear(&config);
    host_run("import sys\nif sys.flags.optimize != 2: raise ValueError(sys.flags)");
    IS(rtpy_finalize(NULL, NULL), RT_OK);
}

int main(void)
{
    before_there_was_a_python();
    a_configuration_of_the_hosts_is_used();
    a_python_of_another_is_taken_over();
    what_is_wrong_in_a_call_leaves_all_as_it_was();
    a_guard_of_the_thread_that_ends_python_is_counted_and_can_be_released_later();
    host_lives_on();
    return 0;
}

/* Which library this is, what a status means, and what went wrong last. */
#include "check.h"

static void the_library_is_the_headers(void)
{
    char text[64];
    CHECK_EQ(rt_version(), RT_VERSION_NUMBER);
    CHECK_EQ(rt_version() >> 16, RT_VERSION_MAJOR);
    CHECK_EQ(rt_version() >> 8 & 0xff, RT_VERSION_MINOR);
    CHECK_EQ(rt_version() & 0xff, RT_VERSION_PATCH);
    snprintf(text, sizeof text, "%d.%d.%d", RT_VERSION_MAJOR, RT_VERSION_MINOR, RT_VERSION_PATCH);
    CHECK(strcmp(RT_VERSION_STRING, text) == 0);
    CHECK(strcmp(rt_version_string(), text) == 0);
}

static void each_status_has_a_text_of_its_own(void)
{
    static const rt_status statuses[] = {
        RT_OK, RT_RECOVERED, RT_LEAKED, RT_AGAIN, RT_ERR_INVALID, RT_ERR_NULL, RT_ERR_HANDLE,
        RT_ERR_STRUCT_SIZE, RT_ERR_UTF8, RT_ERR_SIZE, RT_ERR_NO_MEMORY, RT_ERR_NOT_FOUND,
        RT_ERR_UNSUPPORTED, RT_ERR_TIMEOUT, RT_ERR_REENTRANT, RT_ERR_OWNER_BLOCKED, RT_ERR_NOT_OWNER,
        RT_ERR_FINALIZING, RT_ERR_IN_CALLBACK, RT_ERR_NOT_ATTACHED, RT_ERR_ALREADY_ATTACHED,
        RT_ERR_WRONG_THREAD, RT_ERR_STATE, RT_ERR_EXIT_THREAD, RT_ERR_THREAD_EXITING, RT_ERR_IO,
        RT_ERR_BAD_DESCRIPTOR, RT_ERR_IN_FLIGHT, RT_ERR_WOULD_BLOCK, RT_ERR_CALLBACK,
        RT_ERR_INCOMPLETE, RT_ERR_IN_DEALLOC, RT_ERR_INTERNAL, RT_RESURRECTED, RT_ERR_CYCLE,
        RT_ENDED,
    };
    static const size_t count = sizeof statuses / sizeof statuses[0];
    const char *none = rt_strerror(-98);
    size_t i, j;
    CHECK(none[0] != '\0');
    for (i = 0; i < count; i++) {
        CHECK(rt_strerror(statuses[i])[0] != '\0');
        CHECK(strcmp(rt_strerror(statuses[i]), none) != 0);
        for (j = 0; j < i; j++) {
            CHECK(strcmp(rt_strerror(statuses[i]), rt_strerror(statuses[j])) != 0);
        }
    }
}

static void a_number_that_is_no_status_says_so(void)
{
    CHECK(strcmp(rt_strerror(98), rt_strerror(-98)) == 0);
    CHECK(strcmp(rt_strerror(INT32_MAX), rt_strerror(-98)) == 0);
    CHECK(strcmp(rt_strerror(INT32_MIN), rt_strerror(-98)) == 0);
}

static void the_last_error_is_empty_before_the_first(void)
{
    CHECK(strcmp(rt_last_error(), "") == 0);
}

static int no_callback(void *arg)
{
    (void)arg;
    return 0;
}

static void the_last_error_says_what_to_do_and_outlives_successes(void)
{
    char first[512];
    CHECK_EQ(rt_runtime_new("no room for the handle", NULL), RT_ERR_NULL);
    CHECK(strstr(rt_last_error(), rt_strerror(RT_ERR_NULL)) != NULL);
    snprintf(first, sizeof first, "%s", rt_last_error());

    CHECK_EQ(rt_pending_run(NULL, NULL), RT_OK);
    CHECK(strcmp(rt_last_error(), first) == 0);

    CHECK_EQ(rt_atexit(NULL, "\xff\xfe", no_callback, NULL, NULL), RT_ERR_UTF8);
    CHECK(strstr(rt_last_error(), rt_strerror(RT_ERR_UTF8)) != NULL);
}

static void *another_thread(void *empty)
{
    *(int *)empty = rt_last_error()[0] == '\0';
    rt_unregister(NULL, UINT64_MAX);
    return NULL;
}

static void each_thread_has_its_own_last_error(void)
{
    char mine[512];
    pthread_t thread;
    int empty = -1;
    CHECK_EQ(rt_runtime_new(NULL, NULL), RT_ERR_NULL);
    snprintf(mine, sizeof mine, "%s", rt_last_error());
    NEED(pthread_create(&thread, NULL, another_thread, &empty) == 0);
    NEED(pthread_join(thread, NULL) == 0);
    CHECK_EQ(empty, 1);
    CHECK(strcmp(rt_last_error(), mine) == 0);
}

static void all_of_it_works_after_finalization(void)
{
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_version(), RT_VERSION_NUMBER);
    CHECK_EQ(rt_runtime_new(NULL, NULL), RT_ERR_NULL);
    CHECK(rt_last_error()[0] != '\0');
}

int main(void)
{
    RUN(the_library_is_the_headers);
    RUN(each_status_has_a_text_of_its_own);
    RUN(a_number_that_is_no_status_says_so);
    RUN(the_last_error_is_empty_before_the_first);
    RUN(the_last_error_says_what_to_do_and_outlives_successes);
    RUN(each_thread_has_its_own_last_error);
    RUN(all_of_it_works_after_finalization);
    return check_done();
}

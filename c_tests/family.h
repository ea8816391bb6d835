/*
 * What the tests of child runtimes share: making one, a diary of what ran in which order, and a child's
 * report.
 */
#ifndef FAMILY_H
#define FAMILY_H

#include "host.h"

static inline rt_runtime *child_of(rt_runtime *parent, const char *name, uint32_t flags)
{
    rt_runtime *child = NULL;
    rt_runtime_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.name = name;
    options.flags = flags;
    NEED(rt_runtime_new_child(parent, &options, &child) == RT_OK);
    return child;
}

static char diary[256];

/* Each test is a process of its own, and only finalizing threads write. */
static inline int write_down(void *what)
{
    strncat(diary, (const char *)what, sizeof diary - strlen(diary) - 1);
    strncat(diary, " ", sizeof diary - strlen(diary) - 1);
    return 0;
}

static inline void at_exit_and_late(rt_runtime *runtime, const char *early, const char *late)
{
    CHECK_EQ(rt_atexit(runtime, early, write_down, (void *)(uintptr_t)early, NULL), RT_OK);
    CHECK_EQ(rt_exit_function(runtime, late, write_down, (void *)(uintptr_t)late, NULL), RT_OK);
}

static inline int named(const rt_report *report, const char *name)
{
    const char *actual = NULL;
    CHECK_EQ(rt_report_runtime(report, &actual), RT_OK);
    return actual != NULL && strcmp(actual, name) == 0;
}

static inline rt_report *report_of_child(const rt_report *report, size_t index, const char *name)
{
    rt_report *child = NULL;
    CHECK_EQ(rt_report_child(report, index, &child), RT_OK);
    CHECK(named(child, name));
    return child;
}

#endif

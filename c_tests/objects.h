/*
 * What the tests of tracked objects share: objects that keep a diary of what is done to them.
 */
#ifndef OBJECTS_H
#define OBJECTS_H

#include "host.h"

/* What happened to the objects of a test, in order: a capital letter is a finalize, a small one a
   dealloc. */
static char diary[64];

static inline void note(char what)
{
    size_t end = strlen(diary);
    NEED(end + 1 < sizeof diary);
    diary[end] = what;
}

static inline void check_diary(const char *expected)
{
    if (strcmp(diary, expected) != 0) {
        fprintf(stderr, "the diary says %s, expected %s\n", diary, expected);
        CHECK(!"the diary is as expected");
    }
}

typedef struct object {
    rt_runtime *runtime;
    char name[2];      /* a capital letter */
    int answer;        /* of finalize */
    int dealloc_answer;
    rt_object handle;
    struct object *other; /* for callbacks that do something to another one */
} object;

static inline int finalize(void *arg)
{
    object *o = (object *)arg;
    note(o->name[0]);
    return o->answer;
}

static inline int dealloc(void *arg)
{
    object *o = (object *)arg;
    note((char)(o->name[0] - 'A' + 'a'));
    return o->dealloc_answer;
}

static inline void track_with(object *o, rt_runtime *runtime, char name, rt_callback finalizer)
{
    memset(o, 0, sizeof *o);
    o->runtime = runtime;
    o->name[0] = name;
    CHECK_EQ(rt_object_track(runtime, o->name, finalizer, dealloc, o, &o->handle), RT_OK);
    CHECK(o->handle != 0);
}

static inline void track(object *o, rt_runtime *runtime, char name)
{
    track_with(o, runtime, name, finalize);
}

/* Finalizes the runtime and frees it; the report is the caller's. */
static inline rt_report *finalized(rt_runtime *runtime, rt_status expected)
{
    rt_report *report = NULL;
    CHECK_EQ(rt_finalize(runtime, NULL, &report), expected);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
    return report;
}

#endif

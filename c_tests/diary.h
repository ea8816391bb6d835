/*
 * An event callback that keeps a diary of what it was told, and by whom.
 */
#ifndef DIARY_H
#define DIARY_H

#include "host.h"

typedef struct told {
    rt_event event; /* its strings are the ones below */
    pid_t on;       /* the thread it was told on */
    char runtime[32], name[64], text[512], thread_name[64], whereabouts[256];
} told;

typedef struct diary {
    pthread_mutex_t mutex;
    int in_call; /* never two at once */
    int answer;  /* to overruns */
    size_t count;
    told all[200];
} diary;

#define DIARY_INIT {PTHREAD_MUTEX_INITIALIZER, 0, 0, 0, {{{0}, 0, "", "", "", "", ""}}}

static inline int32_t diary_hear(const rt_event *event, void *arg)
{
    diary *d = (diary *)arg;
    told *t;
    pthread_mutex_lock(&d->mutex);
    CHECK_EQ(d->in_call++, 0);
    pthread_mutex_unlock(&d->mutex);
    NEED(d->count < sizeof d->all / sizeof *d->all);
    CHECK_EQ(event->struct_size, sizeof *event);
    t = &d->all[d->count];
    t->event = *event;
    t->on = my_tid();
    snprintf(t->runtime, sizeof t->runtime, "%s", event->runtime);
    snprintf(t->name, sizeof t->name, "%s", event->name);
    snprintf(t->text, sizeof t->text, "%s", event->text);
    snprintf(t->thread_name, sizeof t->thread_name, "%s", event->thread_name);
    snprintf(t->whereabouts, sizeof t->whereabouts, "%s", event->whereabouts);
    pthread_mutex_lock(&d->mutex);
    d->count++;
    d->in_call--;
    pthread_mutex_unlock(&d->mutex);
    return event->kind == RT_EVENT_OVERRUN ? d->answer : 0;
}

static inline rt_finalize_options options_telling(diary *d)
{
    rt_finalize_options options = options_none();
    options.on_event = diary_hear;
    options.event_arg = d;
    return options;
}

/* The `nth` (from 0) event of a kind; one of zeroes and a failure if there is none. */
static inline const told *diary_find(diary *d, uint32_t kind, size_t nth)
{
    static const told none;
    size_t i, seen = 0;
    for (i = 0; i < d->count; i++) {
        if (d->all[i].event.kind == kind && seen++ == nth) {
            return &d->all[i];
        }
    }
    CHECK(!"such an event was told");
    return &none;
}

static inline size_t diary_count(diary *d, uint32_t kind)
{
    size_t i, seen = 0;
    pthread_mutex_lock(&d->mutex);
    for (i = 0; i < d->count; i++) {
        seen += d->all[i].event.kind == kind;
    }
    pthread_mutex_unlock(&d->mutex);
    return seen;
}

#endif

/*
 * The proof, from outside: what arrived at a destination against what the host was told was
 * accepted and what the report says.
 *
 * Of each thread the records 0, 1, 2, ... must have arrived, whole, in order, none twice and none
 * left out. Where all was written that must be all the host counted. Where the report says that
 * bytes stayed behind, what arrived must be exactly the beginning of what was accepted, as long as
 * the report says, also if that cuts a record.
 */
#include "demo.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 3)))
static void wrong(struct finding *found, const char *format, ...)
{
    va_list arguments;
    if (found->wrong[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(found->wrong, sizeof found->wrong, format, arguments);
        va_end(arguments);
    }
}

/* Whether `tail` is how the next record of one of the threads begins. */
static int begins_a_record(const char *tail, size_t len, const struct text *text,
                           enum destination to, const struct tally arrived[THREADS])
{
    char record[RECORD_MAX];
    for (unsigned thread = 0; thread < THREADS; thread++) {
        size_t whole = record_make(record, text, to, thread, arrived[thread].records);
        if (len < whole && memcmp(record, tail, len) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Reads all records that arrived; `tail` gets the length of the cut one at the end. */
static void read_records(const struct bytes *bytes, const struct text *text, enum destination to,
                         struct tally arrived[THREADS], size_t *tail, struct finding *found)
{
    size_t at = 0;
    *tail = 0;
    memset(arrived, 0, THREADS * sizeof arrived[0]);
    found->arrived = bytes->len;
    while (at < bytes->len) {
        unsigned thread;
        uint64_t number;
        size_t len;
        int read = record_read(bytes->data + at, bytes->len - at, to, &thread, &number, &len);
        if (read < 0) {
            wrong(found, "no record, or a wrong checksum, at byte %zu", at);
            return;
        }
        if (read == 0) {
            *tail = bytes->len - at;
            if (!begins_a_record(bytes->data + at, *tail, text, to, arrived)) {
                wrong(found, "the last %zu bytes begin no record that is due", *tail);
            }
            return;
        }
        if (number != arrived[thread].records) {
            wrong(found, "at byte %zu record #%" PRIu64 " of thread %u where #%" PRIu64 " is due",
                  at, number, thread, arrived[thread].records);
            return;
        }
        arrived[thread].records++;
        arrived[thread].bytes += len;
        found->arrived_records++;
        at += len;
    }
}

/* What arrived against what the host counted, without asking a report. */
static void survey(const struct observation *seen, const struct text *text, enum destination to,
                   struct tally arrived[THREADS], size_t *tail, struct finding *found)
{
    memset(found, 0, sizeof *found);
    for (unsigned thread = 0; thread < THREADS; thread++) {
        found->records += seen->channel->accepted[to][thread].records;
        found->accepted += seen->channel->accepted[to][thread].bytes;
    }
    read_records(&seen->arrived[to], text, to, arrived, tail, found);
}

void count_arrived(const struct observation *seen, const struct text *text, enum destination to,
                   struct finding *found)
{
    struct tally arrived[THREADS];
    size_t tail;
    survey(seen, text, to, arrived, &tail, found);
}

void prove(const struct observation *seen, const struct text *text, enum destination to,
           struct finding *found)
{
    const struct reported *report = &seen->channel->reported[to];
    struct tally arrived[THREADS];
    size_t tail;
    survey(seen, text, to, arrived, &tail, found);

    if (!report->present) {
        wrong(found, "the report does not know it");
    }
    if (report->accepted != found->accepted) {
        wrong(found, "accepted %" PRIu64 " bytes, the report says %" PRIu64, found->accepted,
              report->accepted);
    }
    if (report->accepted != report->written + report->unwritten + report->in_flight) {
        wrong(found, "the report does not add up");
    }
    if (found->arrived < report->written || found->arrived > report->written + report->in_flight) {
        wrong(found, "%" PRIu64 " bytes arrived, the report says %" PRIu64 " and %" PRIu64
              " in flight", found->arrived, report->written, report->in_flight);
    }
    for (unsigned thread = 0; thread < THREADS; thread++) {
        const struct tally *accepted = &seen->channel->accepted[to][thread];
        if (arrived[thread].records > accepted->records) {
            wrong(found, "thread %u: %" PRIu64 " records arrived, only %" PRIu64 " were accepted",
                  thread, arrived[thread].records, accepted->records);
        }
        if (report->unwritten + report->in_flight == 0 &&
            (arrived[thread].records != accepted->records ||
             arrived[thread].bytes != accepted->bytes || tail != 0)) {
            wrong(found, "thread %u: %" PRIu64 " of %" PRIu64 " records arrived, none is reported",
                  thread, arrived[thread].records, accepted->records);
        }
    }
}

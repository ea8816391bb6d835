/*
 * The demo: a host with many threads is shut down at a bad moment, and its parent process, the
 * observer, proves what became of every byte.
 *
 *   demo.c      the story: runs both hosts, prints what came of it
 *   host.c      the host with the library: the example to read
 *   plain.c     the same host without it, by CPython's rules
 *   observer.c  starts a host as a child, holds the other ends of all it writes to
 *   proof.c     compares what arrived with what was accepted and what was reported
 *   text.c      the text that is logged, and the records it is logged in
 */
#ifndef DEMO_H
#define DEMO_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the host writes. */
enum destination {
    APP_LOG, /* a file */
    STDOUT,  /* a pipe that is read; at exit a stopped thread holds its lock */
    METRICS, /* a socket that is read */
    ALERTS,  /* a pipe nobody reads; a thread waits for room there */
    UPLINK,  /* a pipe nobody reads, behind callbacks that block with the lock held */
    DESTINATIONS
};

/* All loggers take turns among the first three. */
enum { SHARED_DESTINATIONS = 3 };

extern const char *const destination_names[DESTINATIONS];

/* Who writes. The numbers stand in the records. */
enum writer_thread {
    LOGGER = 0,        /* three that finish their share: the exit waits for them */
    DAEMON_LOGGER = 3, /* three that log until they are stopped */
    NATIVE_LOGGER = 6, /* two the runtime knows nothing of */
    REPORTER = 8,      /* a daemon that is stopped while it holds the lock of STDOUT */
    ALERTER,           /* a daemon that waits for room in ALERTS */
    UPLOADER,          /* a daemon that is stuck in write(2) for UPLINK */
    MAIN_THREAD,       /* a callback at exit logs a line */
    THREADS
};

/* How much the three loggers log before they are done. */
enum { SHARE = 4 * 1000 * 1000 / 3 };
/* How much a writer holds back. A pipe holds 64 KiB: the second flush into one that nobody reads
   stops in the middle. */
enum { BUFFER_SIZE = 48 * 1024 };
/* What the reporter writes under one lock. */
enum { GROUP = 40 };

/* How long the exit may wait, in all, for owners that might still come round (by default a second), for
   destinations without room (by default as long as it takes), and for the operations in flight (by default
   half a second). */
enum { GRACE_US = 300 * 1000, ROOM_US = 300 * 1000, OPERATIONS_US = 100 * 1000, GUARDS_US = 100 * 1000 };

#define FORGOTTEN_GUARD "crash reporter"

/* The text that is logged. */
struct line {
    const char *start;
    unsigned len;
};

struct text {
    struct line *lines;
    size_t count;
    size_t bytes;
    size_t files;
    char from[200]; /* whose it is */
};

void text_load(struct text *text);

/* A line is cut after this many bytes; a record is a line with its frame. */
enum { LINE_MAX_BYTES = 1000, RECORD_MAX = LINE_MAX_BYTES + 100 };

size_t record_make(char record[RECORD_MAX], const struct text *text, enum destination to,
                   unsigned thread, uint64_t number);

/* Reads the record at `data`: 1 if it is whole and right, 0 if it is cut short, -1 if wrong. */
int record_read(const char *data, size_t len, enum destination to, unsigned *thread,
                uint64_t *number, size_t *record_len);

/* What the host knows and the observer must hear, in memory both share. A cell is written by one
   thread only, after the write has succeeded. */
struct tally {
    uint64_t records;
    uint64_t bytes;
};

struct reported {
    int present;
    uint64_t accepted, written, unwritten, in_flight, recovered;
};

struct channel {
    struct tally accepted[DESTINATIONS][THREADS];
    struct reported reported[DESTINATIONS];
    int status;              /* what rt_finalize returned */
    int64_t exit_us;         /* how long the exit took; without the library, its wait for locks */
    uint64_t failures;       /* failed callbacks in the report */
    unsigned callbacks_run;  /* of CALLBACKS */
    unsigned kept_for_kernel; /* operations in the report's ledger */
    unsigned guards_told;    /* overruns of the forgotten guard that the host heard of */
    uint64_t runaways;       /* runaways and leaked guards in the report */
    char trouble[256];       /* the first thing that should not have happened */
    int in_trouble;
};

enum { CALLBACKS = 4 };

void channel_trouble(struct channel *channel, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The host's ends of the connections; `idle` never has anything to read. */
struct ends {
    int fd[DESTINATIONS];
    int idle;
};

/* A host: its main function, which runs in a process of its own. */
typedef int (*host_main)(const struct text *text, const struct ends *ends, struct channel *channel);

int host_with_library(const struct text *text, const struct ends *ends, struct channel *channel);
int host_without_library(const struct text *text, const struct ends *ends, struct channel *channel);

/* What the observer saw. */
struct bytes {
    char *data;
    size_t len, size;
};

struct observation {
    struct channel *channel;
    struct bytes arrived[DESTINATIONS];
    int wait_status;
    int64_t took_us;
};

void observe(host_main host, const struct text *text, struct observation *seen);

/* What the proof found for one destination; `wrong` is empty if all is well. */
struct finding {
    uint64_t records, accepted;
    uint64_t arrived_records, arrived;
    char wrong[200];
};

void prove(const struct observation *seen, const struct text *text, enum destination to,
           struct finding *found);

/* What arrived, without asking a report. */
void count_arrived(const struct observation *seen, const struct text *text, enum destination to,
                   struct finding *found);

int64_t now_us(void);

/* Waits until a thread sleeps in the kernel (where /proc tells; else returns at once). */
void wait_until_asleep(pid_t tid);

#endif

/*
 * The demo: what a shutdown at a bad moment comes to, with the library and without.
 *
 *   FILE=path   the text to log; by default this repository's own files
 *
 * Exits 0 if it is proven that every byte the writers accepted arrived exactly once or stands in
 * the report to the byte. demo/demo.h says where to read what; demo/host.c is the example.
 */
#include "demo/demo.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rtfinalize.h"

static const char *bold = "", *good = "", *bad = "", *normal = "";

static void heading(const char *text)
{
    printf("\n%s%s%s\n", bold, text, normal);
}

static const char *how_it_ended(int wait_status, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        const char *name = number == SIGABRT ? "SIGABRT"
            : number == SIGALRM              ? "the demo, for it hung"
                                             : strsignal(number);
        snprintf(text, size, "killed by %s", name);
    } else {
        snprintf(text, size, "exit code %d", WEXITSTATUS(wait_status));
    }
    return text;
}

/* Prints the proof, a line a destination; returns whether it holds. */
static int print_proof(const struct observation *seen, const struct text *text)
{
    int holds = 1;
    printf("  %-9s %8s %10s %10s %10s %10s\n", "", "records", "accepted", "arrived", "unwritten",
           "in flight");
    for (int to = 0; to < DESTINATIONS; to++) {
        const struct reported *report = &seen->channel->reported[to];
        struct finding found;
        const char *verdict = "each byte arrived once";
        char partly[64];
        prove(seen, text, to, &found);
        if (report->in_flight > 0) {
            snprintf(partly, sizeof partly, "reported; %" PRIu64 " of those in flight came",
                     found.arrived - report->written);
            verdict = partly;
        } else if (report->unwritten > 0) {
            verdict = "arrived or reported, to the byte";
        }
        printf("  %-9s %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "  ",
               destination_names[to], found.records, found.accepted, found.arrived,
               report->unwritten, report->in_flight);
        if (found.wrong[0] == '\0') {
            printf("%s%s%s\n", good, verdict, normal);
        } else {
            printf("%sWRONG: %s%s\n", bad, found.wrong, normal);
            holds = 0;
        }
    }
    return holds;
}

/* Who logged how much. */
static void print_activity(const struct channel *channel)
{
    uint64_t bytes[THREADS] = {0};
    for (int to = 0; to < DESTINATIONS; to++) {
        for (unsigned thread = 0; thread < THREADS; thread++) {
            bytes[thread] += channel->accepted[to][thread].bytes;
        }
    }
    printf("   Accepted from 3 threads that finished: %.1f MB; from 3 daemons until stopped: %.1f\n"
           "   MB; from 2 native threads until they were told: %.1f MB.\n\n",
           (double)(bytes[LOGGER] + bytes[LOGGER + 1] + bytes[LOGGER + 2]) / 1e6,
           (double)(bytes[DAEMON_LOGGER] + bytes[DAEMON_LOGGER + 1] + bytes[DAEMON_LOGGER + 2]) /
               1e6,
           (double)(bytes[NATIVE_LOGGER] + bytes[NATIVE_LOGGER + 1]) / 1e6);
}

/* Of the exit itself: what must have happened besides. */
static int print_conduct(const struct observation *seen)
{
    const struct channel *channel = seen->channel;
    char ended[64], problem[400] = "";
    if (!WIFEXITED(seen->wait_status) || WEXITSTATUS(seen->wait_status) != 0) {
        snprintf(problem, sizeof problem, "the host: %s",
                 how_it_ended(seen->wait_status, ended, sizeof ended));
    } else if (channel->status != RT_ERR_INCOMPLETE) {
        snprintf(problem, sizeof problem, "rt_finalize returned %d (%s) with bytes left",
                 channel->status, rt_strerror(channel->status));
    } else if (channel->callbacks_run != CALLBACKS || channel->failures != 1) {
        snprintf(problem, sizeof problem, "%u of %d callbacks ran, %" PRIu64 " failures reported",
                 channel->callbacks_run, CALLBACKS, channel->failures);
    } else if (channel->reported[STDOUT].recovered == 0) {
        snprintf(problem, sizeof problem, "nothing was recovered from the parked owner");
    } else if (channel->guards_told != 1 || channel->runaways != 1) {
        snprintf(problem, sizeof problem, "the forgotten guard was told %u times, %" PRIu64
                 " runaways are reported", channel->guards_told, channel->runaways);
    } else if (channel->kept_for_kernel != 1) {
        snprintf(problem, sizeof problem, "%u operations in the ledger, one is in flight",
                 channel->kept_for_kernel);
    }
    if (channel->trouble[0] != '\0') {
        snprintf(problem, sizeof problem, "%s", channel->trouble);
    }
    if (problem[0] != '\0') {
        printf("  %sWRONG: %s%s\n", bad, problem, normal);
    }
    return problem[0] == '\0';
}

/* A row of the table side by side. */
static void row(const char *what, const char *with, const char *without)
{
    printf("  %-23s %-40s %s\n", what, with, without);
}

static void print_side_by_side(const struct observation *with, const struct observation *without,
                               const struct text *text)
{
    enum { CELL = 80 };
    const struct channel *ours = with->channel, *plain = without->channel;
    int died = WIFSIGNALED(without->wait_status);
    const char *rest = died ? "never reached" : "reached";
    uint64_t missing = 0, of_stdout = 0, reported = 0;
    int64_t in_silence = 0;
    char left[CELL], right[CELL];
    for (int to = 0; to < DESTINATIONS; to++) {
        const struct reported *report = &ours->reported[to];
        struct finding found;
        count_arrived(with, text, to, &found);
        in_silence += (int64_t)(found.accepted - report->written - report->unwritten -
                                report->in_flight);
        reported += report->unwritten + report->in_flight;
        count_arrived(without, text, to, &found);
        missing += found.accepted - found.arrived;
        of_stdout += to == STDOUT ? found.accepted - found.arrived : 0;
    }
    printf("%s", bold);
    row("", "with rtfinalize", "without, by CPython's rules");
    printf("%s", normal);
    snprintf(left, CELL, "%" PRId64 " bytes", in_silence);
    snprintf(right, CELL, "%" PRIu64 " bytes, %" PRIu64 " of them stdout's", missing, of_stdout);
    row("lost in silence", left, right);
    snprintf(left, CELL, "%" PRIu64 " bytes, by destination", reported);
    row("not written, reported", left, "there is no report");
    snprintf(left, CELL, "lock taken over, %" PRIu64 " bytes recovered",
             ours->reported[STDOUT].recovered);
    snprintf(right, CELL, "waited for %.2f s%s", (double)plain->exit_us / 1e6,
             died ? ", then fatal error" : "");
    row("parked lock owner", left, right);
    snprintf(left, CELL, "passed by, %" PRIu64 " bytes reported", ours->reported[ALERTS].unwritten);
    row("thread waiting to write", left, rest);
    snprintf(left, CELL, "given the grace, %" PRIu64 " bytes reported",
             ours->reported[UPLINK].in_flight);
    row("thread in write(2)", left, rest);
    row("guard never released", ours->guards_told ? "named, with its holder and age" : "not named",
        rest);
    row("AIO read in flight",
        ours->kept_for_kernel ? "kept for the kernel, in the ledger" : "not in the ledger", rest);
    snprintf(left, CELL, "reported, %u of %d ran", ours->callbacks_run, CALLBACKS);
    snprintf(right, CELL, "a line on stderr, %u of %d ran", plain->callbacks_run, CALLBACKS);
    row("failing callback", left, right);
    how_it_ended(with->wait_status, left, CELL);
    how_it_ended(without->wait_status, right, CELL);
    row("the process", left, right);
    snprintf(left, CELL, "%.2f s, of it exit %.2f s", (double)with->took_us / 1e6,
             (double)ours->exit_us / 1e6);
    snprintf(right, CELL, "%.2f s", (double)without->took_us / 1e6);
    row("time, start to end", left, right);
}

int main(void)
{
    static struct text text;
    static struct observation with, without;
    int holds;
    if (isatty(STDOUT_FILENO)) {
        bold = "\033[1m";
        good = "\033[32m";
        bad = "\033[1;31m";
        normal = "\033[0m";
    }
    text_load(&text);
    printf("A host logs real text over and over (%zu lines, %zu bytes of %s)\n"
           "from eight threads to a file, a pipe and a socket, and is shut down at a bad moment:\n"
           "  - daemon 'reporter' is in the middle of a group of lines, holding stdout's lock;\n"
           "  - daemon 'alerter' waits for room in a pipe nobody reads;\n"
           "  - daemon 'uploader' sits in write(2) on another such pipe, holding a lock;\n"
           "  - a library in the process has forgotten to release a guard;\n"
           "  - an AIO read on an idle pipe is in flight; one of %d callbacks fails.\n",
           text.count, text.bytes, text.from, CALLBACKS);

    heading("1. With rtfinalize: the host's own report");
    printf("   (%d ms for threads that are stuck, %d ms a flush for pipes that are full,\n"
           "   %d ms for operations and guards)\n\n",
           GRACE_US / 1000, ROOM_US / 1000, OPERATIONS_US / 1000);
    observe(host_with_library, &text, &with);

    heading("2. What another process found at the other ends (order, counts and checksums)");
    print_activity(with.channel);
    holds = print_proof(&with, &text);
    holds &= print_conduct(&with);

    heading("3. The same host without the library");
    observe(host_without_library, &text, &without);

    heading("4. Side by side");
    print_side_by_side(&with, &without, &text);

    printf("\n%s%s%s\n", holds ? good : bad,
           holds ? "Proven: every accepted byte arrived once or stands in the report, to the byte."
                 : "NOT PROVEN: see WRONG above.",
           normal);
    return holds ? 0 : 1;
}

/*
 * Names that nobody should choose, and somebody will: with newlines, escapes, changes of direction and characters of no
 * width, and with markup. Whatever the library says of them is one line, and nothing in it acts on a terminal or in a
 * browser.
 */
#include "destination.h"
#include "overrun.h"

#include <sys/stat.h>

/* Newline, escape, C1, a mark and an override of direction, isolates, a separator, no width, byte order mark. */
#define HOSTILE \
    "a\nb\x1b[31mc\xc2\x9b" "0m\xe2\x80\x8f\xe2\x80\xae" "d\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\xa8" "e\xe2\x80\x8b\xd8\x9c\xef\xbb\xbf\x7f\r\t" \
    "<script>\"'&"
#define SHOWN "a?b?[31mc?0m??d???e???" "???" "<script>\"'&"

/* Nothing in `text` acts; a newline only where there may be several lines. */
static void check_harmless(const char *file, int line, const char *text, int lines)
{
    static const char *const acts[] = {
        "\xd8\x9c", "\xe2\x80\x8b", "\xe2\x80\x8c", "\xe2\x80\x8d", "\xe2\x80\x8e", "\xe2\x80\x8f", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xab", "\xe2\x80\xac", "\xe2\x80\xad", "\xe2\x80\xae",
        "\xe2\x81\xa0", "\xe2\x81\xa6", "\xe2\x81\xa7", "\xe2\x81\xa8", "\xe2\x81\xa9", "\xef\xbb\xbf", "\xc2\x85", "\xc2\x9b",
    };
    int harmless = 1;
    size_t i;
    for (i = 0; i < sizeof acts / sizeof *acts; i++) {
        harmless &= strstr(text, acts[i]) == NULL;
    }
    for (i = 0; text[i] != '\0'; i++) {
        harmless &= (text[i] == '\n' && lines) || ((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
    }
    if (!harmless) {
        fprintf(stderr, "what acts is in: %s\n", text);
        check_fail(file, line, "a name acts where it is shown");
    }
}
#define HARMLESS(text) check_harmless(__FILE__, __LINE__, (text), 0)
#define HARMLESS_LINES(text) check_harmless(__FILE__, __LINE__, (text), 1)

typedef struct ear {
    int heard[8], shown, named;
} ear;

static int32_t hear(const rt_event *event, void *arg)
{
    ear *e = (ear *)arg;
    HARMLESS(event->text);
    HARMLESS(event->whereabouts);
    e->heard[event->kind]++;
    e->shown += strstr(event->text, SHOWN) != NULL;
    e->named += strcmp(event->name, HOSTILE) == 0;
    return 0;
}

typedef struct blocked_thread {
    rt_runtime *runtime;
    event attached, may_end;
    pid_t tid;
    int fd;
} blocked_thread;

/* A thread of that name that reads a pipe of that name. */
static void *block(void *arg)
{
    blocked_thread *b = (blocked_thread *)arg;
    rt_thread *thread = attach(b->runtime, HOSTILE, 0, RT_POLICY_ERROR);
    char byte;
    b->tid = my_tid();
    event_set(&b->attached);
    NEED(read(b->fd, &byte, 1) == 1);
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return NULL;
}

static int fails(void *arg)
{
    (void)arg;
    return -1;
}

static int sleeps(void *arg)
{
    (void)arg;
    usleep(60000);
    return -1;
}

static char *rendered(const rt_report *report, uint32_t form)
{
    size_t needed = 0;
    char *text;
    rt_report_format(report, form, NULL, 0, &needed);
    text = (char *)malloc(needed);
    NEED(text != NULL);
    CHECK_EQ(rt_report_format(report, form, text, needed, NULL), RT_OK);
    return text;
}

/* The names are there, and not as they would act. */
static int is_without_markup_of_names(const char *page)
{
    return strstr(page, "&lt;script&gt;&quot;&#39;&amp;") != NULL && strstr(page, "<script") == NULL;
}

/* Everything has that name, and everything about it goes wrong; stderr is a pipe meanwhile. */
static void what_is_said_of_a_hostile_name_acts_nowhere(void)
{
    rt_finalize_options options = options_none();
    char folder[] = "/tmp/rtfinalize-names-XXXXXX", said[16384] = "", wish[200];
    blocked_thread b = {NULL, EVENT_INIT, EVENT_INIT, 0, -1};
    ear e;
    pthread_t thread;
    rt_runtime *child;
    rt_runtime_options of_child;
    rt_view *view;
    rt_guard *guard;
    rt_writer *full;
    rt_report *report = NULL;
    rt_report_destination destination;
    rt_report_leak leak;
    const char *why = NULL;
    int stderr_before = dup(STDERR_FILENO), lines[2], ends[2];
    size_t i;
    ssize_t got;
    uint32_t form;
    memset(&e, 0, sizeof e);
    memset(&of_child, 0, sizeof of_child);
    memset(&destination, 0, sizeof destination);
    memset(&leak, 0, sizeof leak);
    destination.struct_size = sizeof destination;
    leak.struct_size = sizeof leak;
    NEED(mkdtemp(folder) != NULL && chdir(folder) == 0 && mkfifo(HOSTILE, 0600) == 0);
    pipe_open(lines);
    b.fd = open(HOSTILE, O_RDWR);
    NEED(stderr_before >= 0 && b.fd >= 0);
    b.runtime = runtime_new(HOSTILE);
    thread = thread_start(block, &b);
    event_wait(&b.attached);
    wait_until_asleep(b.tid);
    of_child.struct_size = sizeof of_child;
    of_child.name = HOSTILE;
    CHECK_EQ(rt_runtime_new_child(b.runtime, &of_child, &child), RT_OK);
    CHECK_EQ(rt_atexit(child, HOSTILE, fails, NULL, NULL), RT_OK);
    CHECK_EQ(rt_atexit(b.runtime, HOSTILE, sleeps, NULL, NULL), RT_OK);
    CHECK_EQ(rt_view_from(b.runtime, &view), RT_OK);
    CHECK_EQ(rt_guard_acquire_shared(view, HOSTILE, &guard), RT_OK);
    leak.kind = RT_LEAK_HOST;
    leak.name = leak.reason = HOSTILE;
    CHECK_EQ(rt_note_leak(b.runtime, &leak), RT_OK);
    pipe_open(ends);
    pipe_set_nonblocking(ends[1], 1);
    while (write(ends[1], "filled", 6) > 0) {
    }
    full = writer_open(b.runtime, ends[1], HOSTILE, 100, 0);
    CHECK_EQ(rt_writer_write(full, "stuck", 5), RT_OK);
    CHECK_EQ(rt_writer_flush(full, 0), RT_ERR_TIMEOUT);
    snprintf(wish, sizeof wish, "json:no such folder/%s", HOSTILE);
    CHECK_EQ(rt_runtime_set_text(b.runtime, "RTFINALIZE_REPORT", wish), RT_OK);
    CHECK_EQ(rt_runtime_set_text(b.runtime, "RTFINALIZE_GRACE", HOSTILE), RT_ERR_INVALID);
    HARMLESS(rt_last_error());
    CHECK(strstr(rt_last_error(), "'" SHOWN "'") != NULL);
    options.on_event = hear;
    options.event_arg = &e;
    options.notice_us = 10000;
    options.grace_us = 10000;
    options.deadline_us = under_valgrind() ? 5000000 : 500000; /* the full pipe is waited for until then */
    CHECK_EQ(rt_runtime_set_budget(b.runtime, RT_PHASE_GUARDS, 30000), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(b.runtime, RT_PHASE_THREADS, 30000), RT_OK);
    CHECK_EQ(rt_runtime_set_budget(b.runtime, RT_PHASE_ATEXIT, 20000), RT_OK);
    NEED(dup2(lines[1], STDERR_FILENO) == STDERR_FILENO);
    i = (size_t)rt_finalize(b.runtime, &options, &report);
    NEED(dup2(stderr_before, STDERR_FILENO) == STDERR_FILENO);
    CHECK_EQ((rt_status)i, RT_ERR_INCOMPLETE);
    HARMLESS(rt_last_error());
    CHECK(strstr(rt_last_error(), SHOWN) != NULL);
    CHECK(e.heard[RT_EVENT_OVERRUN] >= 3 && e.heard[RT_EVENT_LEAK] >= 1);
    CHECK_EQ(e.shown >= 3 ? 3 : e.shown, 3);
    CHECK(e.named >= 2); /* names stay as they were given */

    close(lines[1]);
    got = read(lines[0], said, sizeof said - 1);
    CHECK(got > 0);
    HARMLESS_LINES(said);
    for (char *rest = said, *one; (one = strsep(&rest, "\n")) != NULL;) {
        CHECK(*one == '\0' || strncmp(one, "rtfinalize: ", 12) == 0);
    }

    for (form = RT_REPORT_TEXT; form <= RT_REPORT_HTML; form++) {
        char *text = rendered(report, form);
        HARMLESS_LINES(text);
        CHECK(form == RT_REPORT_TEXT || form == RT_REPORT_HTML || strchr(text, '\n') == NULL);
        CHECK(form != RT_REPORT_HTML || is_without_markup_of_names(text));
        free(text);
    }
    CHECK_EQ(rt_report_unreported(report, &why), RT_OK);
    HARMLESS(why);
    CHECK(strstr(why, SHOWN) != NULL);
    CHECK_EQ(rt_report_get_destination(report, 0, &destination), RT_OK);
    HARMLESS(destination.reason);
    CHECK_EQ(strcmp(destination.name, HOSTILE), 0);
    for (i = 0; rt_report_get_leak(report, i, &leak) == RT_OK; i++) {
        HARMLESS(leak.reason);
    }
    CHECK(i > 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    NEED(write(b.fd, "x", 1) == 1);
    pthread_join(thread, NULL);
    close(b.fd);
    unlink(HOSTILE);
    NEED(chdir("/") == 0 && rmdir(folder) == 0);
}

static int never_returns(void *arg)
{
    for (;;) {
        pause();
    }
    return arg != NULL;
}

static void end_by_the_last_word(void)
{
    rt_finalize_options options = options_exiting(under_valgrind() ? 5000000 : 200000);
    rt_runtime *runtime = runtime_new(HOSTILE);
    options.exit_code = 75;
    CHECK_EQ(rt_atexit(runtime, HOSTILE, never_returns, NULL, NULL), RT_OK);
    rt_finalize(runtime, &options, NULL);
}

static void the_last_line_of_a_process_is_one_line(void)
{
    char said[4096];
    CHECK_EQ(exit_code_of(end_by_the_last_word, said, sizeof said), 75);
    HARMLESS_LINES(said);
    CHECK(strchr(said, '\n') == said + strlen(said) - 1);
    CHECK(strstr(said, "rtfinalize: '" SHOWN "' overran") != NULL);
    CHECK(strstr(said, "callback '" SHOWN) != NULL);
}

int main(void)
{
    RUN(what_is_said_of_a_hostile_name_acts_nowhere);
    RUN(the_last_line_of_a_process_is_one_line);
    return check_done();
}

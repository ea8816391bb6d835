/*
 * The report: what finalization did, in numbers for a program and in four forms to be read, and the
 * environment variable that asks for it.
 */
#include "destination.h"

#ifdef _WIN32
#define popen _popen
#define pclose _pclose
#else
#include <sys/auxv.h>
#include <sys/stat.h>
#endif

static int fail(void *arg)
{
    (void)arg;
    return -7;
}

static int pause_a_little(void *arg)
{
    (void)arg;
    usleep(20000);
    return 0;
}

/* A finalization with a little of everything: bytes flushed, bytes left over, a failure, a late call. */
static rt_report *eventful(rt_writer **fine, rt_writer **stuck)
{
    static const char name[] = "quote \" backslash \\ newline \n bell \a \xc3\xa4\xe2\x82\xac";
    int fine_ends[2], stuck_ends[2];
    rt_report *report = NULL;
    rt_finalize_options options = options_with_deadline(200000);
    pipe_open(fine_ends);
    pipe_open(stuck_ends);
    *fine = writer_open(NULL, fine_ends[1], name, 1000, 0);
    *stuck = writer_open(NULL, stuck_ends[1], "stuck", 1000, 0);
    CHECK_EQ(rt_writer_write(*fine, stream(0, 700), 700), RT_OK);
    CHECK_EQ(rt_writer_write(*stuck, stream(0, PIPE_SIZE + 900), PIPE_SIZE + 900), RT_OK);
    CHECK_EQ(rt_atexit(NULL, "the failing one", fail, NULL, NULL), RT_OK);
    CHECK_EQ(rt_phase_add_handler(NULL, RT_PHASE_FINALIZE, 0, "pausing", pause_a_little, NULL, NULL),
             RT_OK);
    CHECK_EQ(rt_finalize(NULL, &options, &report), RT_ERR_INCOMPLETE);
    CHECK(strlen(rt_last_error()) > 0);
    NEED(report != NULL);
    return report;
}

static void the_summary_has_the_numbers(void)
{
    rt_writer *fine, *stuck;
    rt_report *report = eventful(&fine, &stuck), *again = NULL;
    rt_report_summary summary = summary_of(report);
    rt_report_destination left;
    rt_report_leak leak;
    uint32_t phase;
    int64_t sum = 0;
    CHECK_EQ(summary.status, RT_ERR_INCOMPLETE);
    CHECK(summary.passes >= 1);
    CHECK_EQ(summary.unwritten, 900);
    CHECK_EQ(summary.in_flight, 0);
    CHECK_EQ(summary.recovered, 0);
    CHECK_EQ(summary.destinations, 2);
    CHECK_EQ(summary.leaks, 0);
    CHECK_EQ(summary.failures, 1);
    CHECK_EQ(summary.runaways, 0);
    CHECK_EQ(summary.undetached, 0);
    CHECK_EQ(summary.late_calls, 0);
    CHECK_EQ(summary.restartable, 1);
    left = destination_of(report, "stuck");
    CHECK_EQ(left.accepted, PIPE_SIZE + 900);
    CHECK_EQ(left.written, PIPE_SIZE);
    CHECK_EQ(left.unwritten, 900);
    CHECK(strlen(left.reason) > 0);
    left.struct_size = sizeof left;
    CHECK_EQ(rt_report_get_destination(report, 2, &left), RT_ERR_NOT_FOUND);
    CHECK_EQ(rt_report_get_destination(report, SIZE_MAX, &left), RT_ERR_NOT_FOUND);
    leak.struct_size = sizeof leak;
    CHECK_EQ(rt_report_get_leak(report, 0, &leak), RT_ERR_NOT_FOUND);
    /* Every phase ran and took its time; the phases are within the whole. */
    for (phase = RT_PHASE_GUARDS; phase <= RT_PHASE_EXIT_FUNCTIONS; phase++) {
        int64_t us = rt_report_phase_us(report, phase);
        CHECK(us >= 0);
        sum += us;
    }
    CHECK(rt_report_phase_us(report, RT_PHASE_FINALIZE) >= 20000);
    CHECK(sum <= (int64_t)summary.total_us);
    CHECK_EQ(rt_report_phase_us(report, 0), -1);
    CHECK_EQ(rt_report_phase_us(report, 99), -1);
    /* Asked for again, it is the same account under a handle of its own. */
    CHECK_EQ(rt_finalize(NULL, NULL, &again), RT_OK);
    CHECK(again != report);
    CHECK_EQ(summary_of(again).total_us, summary.total_us);
    CHECK_EQ(rt_report_free(report), RT_OK);
    CHECK_EQ(rt_report_free(report), RT_ERR_HANDLE);
    CHECK_EQ(summary_of(again).unwritten, 900);
    CHECK_EQ(rt_report_free(again), RT_OK);
    CHECK_EQ(rt_report_free(NULL), RT_OK);
}

static void a_form_fits_into_any_buffer_or_is_cut_as_a_c_string(void)
{
    rt_writer *fine, *stuck;
    rt_report *report = eventful(&fine, &stuck);
    uint32_t form;
    for (form = RT_REPORT_TEXT; form <= RT_REPORT_HTML; form++) {
        size_t needed = 0, size;
        char *whole, *part;
        CHECK_EQ(rt_report_format(report, form, NULL, 0, &needed), RT_OK);
        CHECK(needed > 1);
        whole = (char *)malloc(needed);
        part = (char *)malloc(needed + 2);
        NEED(whole != NULL && part != NULL);
        CHECK_EQ(rt_report_format(report, form, whole, needed, NULL), RT_OK);
        CHECK_EQ(strlen(whole), needed - 1);
        for (size = 1; size < needed; size += size < 200 ? 1 : needed / 7) {
            size_t again = 0;
            memset(part, '#', needed + 2);
            CHECK_EQ(rt_report_format(report, form, part, size, &again), RT_ERR_SIZE);
            CHECK_EQ(again, needed);
            CHECK(strlen(part) < size && strlen(part) + 4 >= size); /* between characters */
            CHECK(memcmp(part, whole, strlen(part)) == 0);
            CHECK_EQ(part[size], '#');
        }
        memset(part, '#', needed + 2);
        CHECK_EQ(rt_report_format(report, form, part, SIZE_MAX, NULL), RT_OK); /* it promises */
        CHECK_EQ(strlen(part), needed - 1);
        CHECK_EQ(part[needed], '#');
        CHECK_EQ(rt_report_format(report, form, NULL, 10, NULL), RT_ERR_NULL);
        free(whole);
        free(part);
    }
    CHECK_EQ(rt_report_format(report, 0, NULL, 0, NULL), RT_ERR_INVALID);
    CHECK_EQ(rt_report_format(report, 5, NULL, 0, NULL), RT_ERR_INVALID);
    CHECK(report_says(report, "stuck"));
    CHECK(report_says(report, "the failing one"));
    CHECK(report_says(report, rt_phase_name(RT_PHASE_FLUSH_FROZEN)));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void every_form_goes_through_a_pipe_larger_than_its_room(void)
{
    rt_writer *fine, *stuck;
    rt_report *report = eventful(&fine, &stuck);
    uint32_t form;
    int nonblocking;
    for (form = RT_REPORT_TEXT; form <= RT_REPORT_HTML; form++) {
        for (nonblocking = 0; nonblocking < 2; nonblocking++) {
            int ends[2];
            size_t needed = 0;
            reader r;
            char *text;
            pipe_open(ends);
            NEED(write(ends[1], stream(0, 4000), 4000) == 4000);
            pipe_set_nonblocking(ends[1], nonblocking);
            reader_start(&r, ends[0], SIZE_MAX, 0);
            CHECK_EQ(rt_report_write(report, form, ends[1]), RT_OK);
            close(ends[1]);
            reader_join(&r);
            CHECK_EQ(rt_report_format(report, form, NULL, 0, &needed), RT_OK);
            text = (char *)malloc(needed);
            NEED(text != NULL);
            CHECK_EQ(rt_report_format(report, form, text, needed, NULL), RT_OK);
            CHECK(r.got.len >= 4000 + needed - 1);
            CHECK(r.got.len >= 4000 + needed - 1 && memcmp(r.got.data + 4000, text, needed - 1) == 0);
            CHECK_EQ(r.got.data[r.got.len - 1], '\n');
            bytes_free(&r.got);
            free(text);
            close(ends[0]);
        }
    }
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void a_report_nobody_reads_is_an_error_and_not_the_end_of_the_process(void)
{
    int ends[2], file = open(NULL_DEVICE, O_RDONLY);
    rt_writer *fine, *stuck;
    rt_report *report = eventful(&fine, &stuck);
#ifndef _WIN32
    int full = open("/dev/full", O_WRONLY);
    NEED(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK_EQ(rt_report_write(report, RT_REPORT_TEXT, full), RT_ERR_IO);
#endif
    pipe_open(ends);
    close(ends[0]);
    CHECK_EQ(rt_report_write(report, RT_REPORT_TEXT, ends[1]), RT_ERR_IO);
    CHECK_EQ(rt_report_write(report, RT_REPORT_TEXT, file), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_report_write(report, RT_REPORT_TEXT, -1), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_report_write(report, RT_REPORT_TEXT, 12345), RT_ERR_BAD_DESCRIPTOR);
    CHECK_EQ(rt_report_write(report, 77, 1), RT_ERR_INVALID);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

/* Runs Python; its exit code. What it says is shown. */
static int python(const char *arguments)
{
    const char *program = getenv("TEST_PYTHON");
    char command[1024], said[256];
    FILE *output;
    int status;
    snprintf(command, sizeof command, "%s %s 2>&1", program == NULL ? "python3" : program, arguments);
    fflush(NULL);
    output = popen(command, "r");
    NEED(output != NULL);
    while (fgets(said, sizeof said, output) != NULL) {
        fputs(said, stderr);
    }
    status = pclose(output);
#ifdef _WIN32
    return status;
#else
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
#endif
}

/* Runs a script on a file; its exit code. */
static int python_on(const char *path, const char *script)
{
    char name[FILE_NAME_SIZE], arguments[2 * FILE_NAME_SIZE + 10];
    int fd = file_create(name), code;
    NEED(write(fd, script, strlen(script)) == (ssize_t)strlen(script));
    close(fd);
    snprintf(arguments, sizeof arguments, "\"%s\" \"%s\"", name, path);
    code = python(arguments);
    unlink(name);
    return code;
}

static int has_python(void)
{
    if (python("-c pass") != 0) {
        printf("skipped parsing the forms: there is no Python\n");
        return 0;
    }
    return 1;
}

static void write_form(const rt_report *report, uint32_t form, char path[FILE_NAME_SIZE])
{
    int fd = file_create(path);
    CHECK_EQ(rt_report_write(report, form, fd), RT_OK);
    close(fd);
}

static void the_json_forms_are_json_with_the_same_numbers(void)
{
    static const char check_json[] =
        "import json, sys; r = json.load(open(sys.argv[1], encoding=\"utf-8\")); "
        "d = {d[\"name\"]: d for d in r[\"destinations\"]}; "
        "assert r[\"rtfinalize_report\"] == 1 and r[\"status\"][\"code\"] == -61; "
        "assert d[\"stuck\"][\"unwritten\"] == 900 == r[\"missing_bytes\"]; "
        "assert \"quote \\\" backslash \\\\ newline \\n bell \\a \\u00e4\\u20ac\" in d; "
        "assert all(x[\"accepted\"] == x[\"written\"] + x[\"unwritten\"] + x[\"in_flight\"] "
        "for x in d.values()); "
        "assert r[\"failures\"][0][\"name\"] == \"the failing one\"; "
        "assert len(r[\"phases\"]) == 14 and r[\"restartable\"] is True";
    static const char check_trace[] =
        "import json, sys; t = json.load(open(sys.argv[1], encoding=\"utf-8\")); "
        "e = t[\"traceEvents\"]; names = {x.get(\"name\") for x in e}; "
        "assert {\"freeze\", \"pausing\"} <= names, names; "
        "assert all(x[\"dur\"] >= 0 and x[\"ts\"] >= 0 for x in e if x[\"ph\"] == \"X\")";
    char json[FILE_NAME_SIZE], trace[FILE_NAME_SIZE];
    rt_writer *fine, *stuck;
    rt_report *report;
    if (!has_python()) {
        return;
    }
    report = eventful(&fine, &stuck);
    write_form(report, RT_REPORT_JSON, json);
    write_form(report, RT_REPORT_TRACE, trace);
    CHECK_EQ(python_on(json, check_json), 0);
    CHECK_EQ(python_on(trace, check_trace), 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    unlink(json);
    unlink(trace);
}

/* The parser of another language, which forgives nothing. */
static void the_page_is_well_formed_with_the_same_numbers(void)
{
    static const char check_page[] =
        "import sys, xml.etree.ElementTree as tree\n"
        "root = tree.parse(sys.argv[1]).getroot()\n"
        "x = \"{http://www.w3.org/1999/xhtml}\"\n"
        "number = lambda cell: int(cell.text.replace(\"\\u202f\", \"\"))\n"
        "rows = {row.find(x + \"td/\" + x + \"bdi\").text: "
        "[number(cell) for cell in row.findall(x + \"td\")[2:]] "
        "for row in root.iter(x + \"tr\") if row.find(x + \"td/\" + x + \"span\") is not None "
        "and row.find(x + \"td/\" + x + \"bdi\") is not None}\n"
        "assert rows[\"stuck\"][3] == 900, rows\n"
        "assert \"quote \\\" backslash \\\\ newline \\\\n bell \\\\u{7} \\u00e4\\u20ac\" in rows, rows\n"
        "assert all(row[0] == row[1] + row[2] + row[3] for row in rows.values()), rows\n"
        "total = [number(cell) for cell in root.find(\".//\" + x + \"tfoot/\" + x + \"tr\")[2:]]\n"
        "assert total == [sum(column) for column in zip(*rows.values())], total\n"
        "lanes = {\"\".join(e.itertext()) for e in root.iter(x + \"span\") if e.get(\"class\") == \"what\"}\n"
        "assert {\"freeze\", \"pausing\"} <= lanes, lanes\n"
        "assert not list(root.iter(x + \"script\"))\n";
    char page[FILE_NAME_SIZE];
    rt_writer *fine, *stuck;
    rt_report *report;
    if (!has_python()) {
        return;
    }
    report = eventful(&fine, &stuck);
    write_form(report, RT_REPORT_HTML, page);
    CHECK_EQ(python_on(page, check_page), 0);
    CHECK_EQ(rt_report_free(report), RT_OK);
    unlink(page);
}

static void finalize_with_the_wish(const given *g)
{
    NEED(setenv("RTFINALIZE_REPORT", g->text, 1) == 0);
    _exit(rt_finalize_ex() == 0 ? 0 : 1);
}

/* Finalizes in a process of its own with the wish in the environment; what went to stderr. */
static const char *finalize_wishing(const char *wish)
{
    static char said[1 << 16];
    const given g = {wish, {-1, -1}};
    CHECK_EQ(exit_code_given(finalize_with_the_wish, &g, said, sizeof said), 0);
    return said;
}

static void is_a_whole_json(const char *text, size_t len)
{
    CHECK(len > 2 && text[0] == '{' && text[len - 1] == '\n');
}

static void the_environment_asks_for_the_report(void)
{
    char path[FILE_NAME_SIZE], wish[FILE_NAME_SIZE + 10];
    int fd = file_create(path), written;
    bytes file = {0};
    const char *said;
    CHECK(strstr(finalize_wishing("text"), "freeze") != NULL);
    said = finalize_wishing("json");
    is_a_whole_json(said, strlen(said));
    snprintf(wish, sizeof wish, "json:%s", path);
    CHECK(strcmp(finalize_wishing(wish), "") == 0);
#ifdef _WIN32
    written = dup(fd); /* there a file that is open is written in place */
#else
    written = open(path, O_RDONLY); /* another file has the name by now */
#endif
    NEED(written >= 0);
    read_most(written, &file, SIZE_MAX);
    close(written);
    is_a_whole_json((char *)file.data, file.len);
    bytes_free(&file);
    snprintf(wish, sizeof wish, "trace:%s", path);
    CHECK(strcmp(finalize_wishing(wish), "") == 0);
    if (has_python()) {
        CHECK_EQ(python_on(path, "import json, sys; json.load(open(sys.argv[1]))[\"traceEvents\"]"), 0);
    }
    close(fd);
    snprintf(wish, sizeof wish, "html:%s", path);
    CHECK(strcmp(finalize_wishing(wish), "") == 0);
    if (has_python()) {
        CHECK_EQ(python_on(path, "import sys, xml.etree.ElementTree as t; t.parse(sys.argv[1])"), 0);
    }
    unlink(path);
}

static void a_wish_that_makes_no_sense_costs_a_line_and_nothing_else(void)
{
    static const char *const wishes[] = {"nonsense", "TEXT", "html5", ":", "json:", "text:/no/such/dir/x",
                                         "json:/", "\xff\xfe", "\xff:/tmp/x"};
    size_t i;
    CHECK(strcmp(finalize_wishing(""), "") == 0);
    for (i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        const char *said = finalize_wishing(wishes[i]);
        CHECK(strncmp(said, "rtfinalize: ", 12) == 0);
        CHECK(strlen(said) > 0 && strchr(said, '\n') == said + strlen(said) - 1);
    }
}

/* Finalizes with this as stderr, -1: none at all. */
static void finalize_telling(int fd)
{
    int saved = dup(STDERR_FILENO), status;
#ifndef _WIN32
    NEED(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
#endif
    NEED(saved >= 0);
    if (fd < 0) {
        close(STDERR_FILENO);
    } else {
        NEED(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    }
    NEED(setenv("RTFINALIZE_REPORT", "text", 1) == 0);
    status = rt_finalize_ex();
    NEED(dup2(saved, STDERR_FILENO) == STDERR_FILENO);
    CHECK_EQ(status, 0);
    _exit(check_failed_here);
}

static void finalize_with_stderr_that_nobody_reads(void)
{
    int ends[2];
    pipe_open(ends);
    close(ends[0]);
    finalize_telling(ends[1]);
}

static void finalize_with_stderr_full(void)
{
    int ends[2];
    pipe_open(ends);
    NEED(write(ends[1], stream(0, PIPE_SIZE), PIPE_SIZE) == PIPE_SIZE);
    finalize_telling(ends[1]);
}

static void finalize_without_stderr(void)
{
    finalize_telling(-1);
}

static void a_stderr_nobody_reads_neither_kills_nor_hangs_the_exit(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_with_stderr_that_nobody_reads, said, sizeof said), 0);
    CHECK_EQ(exit_code_of(finalize_with_stderr_full, said, sizeof said), 0);
    CHECK_EQ(exit_code_of(finalize_without_stderr, said, sizeof said), 0);
}

#ifndef _WIN32

/* What this program is when it runs with another user's rights: 42 if the wish was left alone. */
static int finalize_with_rights(void)
{
    if (getauxval(AT_SECURE) == 0) {
        return 77; /* the system gave it none */
    }
    return rt_finalize_ex() == 0 ? 42 : 1;
}

/* Makes a copy of this program that runs with the rights of `nobody`; 0 if that cannot be done. */
static int privileged_copy(char *path)
{
    static const uid_t nobody = 65534;
    char part[65536];
    ssize_t got;
    int from = open("/proc/self/exe", O_RDONLY), to = mkstemp(path), made = 1;
    NEED(from >= 0 && to >= 0);
    while ((got = read(from, part, sizeof part)) > 0) {
        NEED(write(to, part, (size_t)got) == got);
    }
    made = fchown(to, nobody, (gid_t)-1) == 0 && fchmod(to, 04755) == 0;
    close(from);
    close(to);
    return made;
}

static void the_environment_of_a_program_with_foreign_rights_asks_for_nothing(void)
{
    char program[] = "/tmp/rtfinalize-rights-XXXXXX", wish[] = "text:/tmp/rtfinalize-wish-XXXXXX";
    char *path = wish + strlen("text:");
    int status = 0, file = mkstemp(path), done = 0;
    pid_t child;
    struct stat after;
    NEED(file >= 0 && fchmod(file, 0666) == 0);
    if (privileged_copy(program)) {
        fflush(NULL);
        child = fork();
        NEED(child >= 0);
        if (child == 0) {
            setenv("RTFINALIZE_REPORT", wish, 1);
            execl(program, program, "finalize", (char *)NULL);
            _exit(77);
        }
        NEED(waitpid(child, &status, 0) == child);
        done = !(WIFEXITED(status) && (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127));
    }
    if (done) {
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
        NEED(fstat(file, &after) == 0);
        CHECK_EQ(after.st_size, 0);
    } else {
        printf("skipped the program with foreign rights: only root can make one that runs here\n");
    }
    close(file);
    unlink(path);
    unlink(program);
}

#endif

int main(int count, char **arguments)
{
#ifdef _WIN32
    (void)count;
    (void)arguments;
#else
    if (count > 1 && strcmp(arguments[1], "finalize") == 0) {
        return finalize_with_rights();
    }
#endif
    NEED(unsetenv("RTFINALIZE_REPORT") == 0);
    RUN(the_summary_has_the_numbers);
    RUN(a_form_fits_into_any_buffer_or_is_cut_as_a_c_string);
    RUN(every_form_goes_through_a_pipe_larger_than_its_room);
    RUN(a_report_nobody_reads_is_an_error_and_not_the_end_of_the_process);
    RUN(the_json_forms_are_json_with_the_same_numbers);
    RUN(the_page_is_well_formed_with_the_same_numbers);
    RUN(the_environment_asks_for_the_report);
    RUN_POSIX(the_environment_of_a_program_with_foreign_rights_asks_for_nothing,
              "programs that run with the rights of their file's owner");
    RUN(a_wish_that_makes_no_sense_costs_a_line_and_nothing_else);
    RUN(a_stderr_nobody_reads_neither_kills_nor_hangs_the_exit);
    return check_done();
}

/*
 * Where a report goes that is wished for by a path: whoever reads it finds a whole one, and no place can
 * keep the process from its end or be lost by it. What could not be written is in the result.
 */
#include "destination.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* Far longer than the library waits, but still finite. */
enum { BOUND_US = 20 * 1000000 };

/* A folder of the test's own, in which the test then is. */
static void enter_new_folder(void)
{
    char folder[] = "/tmp/rtfinalize-report-XXXXXX";
    NEED(mkdtemp(folder) != NULL && chdir(folder) == 0);
}

/* Removes the folder with what is in it, and counts what is no file of the test's. */
static int leave_folder(void)
{
    char folder[300];
    struct dirent *entry;
    DIR *all = opendir(".");
    int left_over = 0;
    NEED(all != NULL && getcwd(folder, sizeof folder) != NULL);
    while ((entry = readdir(all)) != NULL) {
        left_over += strncmp(entry->d_name, ".rtfinalize", 11) == 0;
        unlinkat(AT_FDCWD, entry->d_name, 0);
        unlinkat(AT_FDCWD, entry->d_name, AT_REMOVEDIR);
    }
    closedir(all);
    NEED(chdir("/") == 0 && rmdir(folder) == 0);
    return left_over;
}

static int fails(void *arg)
{
    (void)arg;
    return -1;
}

/* A report that no pipe takes at once. */
static void make_the_report_long(void)
{
    int i;
    for (i = 0; i < 3000; i++) {
        CHECK_EQ(rt_atexit(NULL, "a callback that fails and makes the report longer", fails, NULL, NULL), RT_OK);
    }
}

/* Finalizes the default runtime, which has nothing to do; why its report is not written. */
static const char *why_unreported(const char *wish, const rt_finalize_options *options, rt_status expected)
{
    rt_report *report = NULL;
    const char *why = NULL;
    int64_t began = now_us();
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", wish), RT_OK);
    CHECK_EQ(rt_finalize(NULL, options, &report), expected);
    CHECK(now_us() - began < BOUND_US);
    CHECK_EQ(rt_report_unreported(report, &why), RT_OK);
    CHECK(why != NULL);
    return why;
}

/* --- pipes --- */

static void finalize_by_the_deadline_into_a_pipe_without_a_reader(void)
{
    rt_finalize_options options = options_exiting(under_valgrind() ? 5000000 : 500000);
    const char *why = why_unreported("json:pipe", &options, RT_UNREPORTED);
    CHECK(strstr(why, "could not be written to pipe: it is a pipe, and nobody has opened it") != NULL);
}

static void a_pipe_that_nobody_opens_costs_the_report_and_not_the_process(void)
{
    char said[2000];
    enter_new_folder();
    NEED(mkfifo("pipe", 0600) == 0);
    CHECK_EQ(exit_code_of(finalize_by_the_deadline_into_a_pipe_without_a_reader, said, sizeof said), 97);
    CHECK(strstr(said, "rtfinalize: the report could not be written to pipe: ") != NULL);
    CHECK_EQ(leave_folder(), 0);
}

static void without_a_deadline_a_pipe_that_nobody_opens_is_not_waited_for_either(void)
{
    enter_new_folder();
    NEED(mkfifo("pipe", 0600) == 0);
    CHECK(*why_unreported("text:pipe", NULL, RT_UNREPORTED) != '\0');
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_OK); /* again: nothing was done */
    CHECK_EQ(leave_folder(), 0);
}

static void a_reader_that_stops_is_not_waited_for_beyond_its_time(void)
{
    int reader;
    enter_new_folder();
    NEED(mkfifo("pipe", 0600) == 0);
    reader = open("pipe", O_RDONLY | O_NONBLOCK);
    NEED(reader >= 0);
    make_the_report_long();
    CHECK(strstr(why_unreported("json:pipe", NULL, RT_ERR_INCOMPLETE), "did not take the whole of it") != NULL);
    CHECK(strstr(rt_last_error(), "written nowhere") != NULL);
    close(reader);
    CHECK_EQ(leave_folder(), 0);
}

static void *read_ten_bytes(void *arg)
{
    char ten[10];
    int fd = open("pipe", O_RDONLY);
    (void)arg;
    NEED(fd >= 0 && read(fd, ten, sizeof ten) > 0 && close(fd) == 0);
    return NULL;
}

static void a_reader_that_leaves_is_no_signal(void)
{
    pthread_t thread;
    enter_new_folder();
    NEED(signal(SIGPIPE, SIG_DFL) != SIG_ERR && mkfifo("pipe", 0600) == 0);
    make_the_report_long();
    thread = thread_start(read_ten_bytes, NULL);
    CHECK(*why_unreported("json:pipe", NULL, RT_ERR_INCOMPLETE) != '\0');
    pthread_join(thread, NULL);
    CHECK_EQ(leave_folder(), 0);
}

static void *read_the_whole(void *arg)
{
    int fd = open("pipe", O_RDONLY);
    NEED(fd >= 0);
    read_most(fd, (bytes *)arg, SIZE_MAX);
    close(fd);
    return NULL;
}

static void a_reader_gets_the_whole_report_through_a_pipe(void)
{
    bytes got = {NULL, 0, 0};
    pthread_t thread;
    enter_new_folder();
    NEED(mkfifo("pipe", 0600) == 0);
    make_the_report_long();
    thread = thread_start(read_the_whole, &got);
    CHECK_EQ(*why_unreported("json:pipe", NULL, RT_ERR_INCOMPLETE), '\0');
    pthread_join(thread, NULL);
    CHECK(got.len > 65536 && got.data[0] == '{' && memcmp(got.data + got.len - 2, "}\n", 2) == 0);
    bytes_free(&got);
    CHECK_EQ(leave_folder(), 0);
}

static void a_report_written_by_the_host_is_given_up_where_the_reader_stops(void)
{
    int ends[2];
    rt_report *report = NULL;
    make_the_report_long();
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_ERR_INCOMPLETE);
    pipe_open(ends);
    REFUSED(rt_report_write(report, RT_REPORT_JSON, ends[1]), RT_ERR_TIMEOUT);
}

/* --- files --- */

static void check_whole_report(const char *path)
{
    bytes got = {NULL, 0, 0};
    int fd = open(path, O_RDONLY);
    NEED(fd >= 0);
    read_most(fd, &got, SIZE_MAX);
    CHECK(got.len > 2 && got.data[0] == '{' && memcmp(got.data + got.len - 2, "}\n", 2) == 0);
    bytes_add(&got, "", 1);
    CHECK(strchr((char *)got.data, '\n') == (char *)got.data + got.len - 2); /* one report */
    bytes_free(&got);
    close(fd);
}

static void finalize_into(const char *wish)
{
    rt_runtime *runtime = runtime_new("of many");
    CHECK_EQ(rt_runtime_set_text(runtime, "RTFINALIZE_REPORT", wish), RT_OK);
    CHECK_EQ(rt_finalize(runtime, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(runtime), RT_OK);
}

static void processes_that_share_a_path_leave_a_whole_report_at_any_time(void)
{
    enum { PROCESSES = 4, TIMES = 50 };
    int i, n, status;
    enter_new_folder();
    finalize_into("json:report");
    for (i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        NEED(child >= 0);
        if (child == 0) {
            for (n = 0; n < TIMES; n++) {
                finalize_into("json:report");
            }
            _exit(check_failed_here);
        }
    }
    for (i = 0; i < PROCESSES;) {
        check_whole_report("report");
        if (waitpid(-1, &status, WNOHANG) > 0) {
            CHECK_EQ(status, 0);
            i++;
        }
    }
    check_whole_report("report");
    CHECK_EQ(leave_folder(), 0);
}

static void a_report_goes_through_a_link_to_its_file_which_stays_as_it_was_but_for_the_text(void)
{
    struct stat file, link;
    int fd;
    enter_new_folder();
    NEED(mkdir("far", 0700) == 0);
    fd = open("far/report", O_WRONLY | O_CREAT, 0600);
    NEED(fd >= 0 && fchmod(fd, 0640) == 0 && close(fd) == 0);
    NEED(symlink("far/report", "near") == 0 && symlink("far/new", "to be made") == 0);
    finalize_into("json:near");
    finalize_into("json:to be made");
    check_whole_report("far/report");
    check_whole_report("far/new");
    NEED(lstat("near", &link) == 0 && S_ISLNK(link.st_mode));
    NEED(lstat("to be made", &link) == 0 && S_ISLNK(link.st_mode));
    NEED(stat("far/report", &file) == 0);
    CHECK_EQ(file.st_mode & 07777, 0640);
    NEED(unlink("far/report") == 0 && unlink("far/new") == 0);
    CHECK_EQ(leave_folder(), 0);
}

static void a_file_with_two_names_has_the_report_under_both(void)
{
    int fd;
    enter_new_folder();
    fd = open("one", O_WRONLY | O_CREAT, 0600);
    NEED(fd >= 0 && write(fd, stream(0, 30000), 30000) == 30000 && close(fd) == 0 && link("one", "two") == 0);
    finalize_into("json:one");
    check_whole_report("one");
    check_whole_report("two");
    CHECK_EQ(leave_folder(), 0);
}

static void where_the_folder_takes_no_new_file_the_report_is_written_in_place(void)
{
    enum { NOBODY = 65534 };
    int fd;
    enter_new_folder();
    fd = open("report", O_WRONLY | O_CREAT, 0600);
    NEED(fd >= 0 && fchmod(fd, 0666) == 0 && close(fd) == 0 && chmod(".", 0555) == 0);
    NEED(geteuid() != 0 || seteuid(NOBODY) == 0);
    finalize_into("json:report");
    check_whole_report("report");
    NEED(getuid() == geteuid() || seteuid(0) == 0);
    NEED(chmod(".", 0700) == 0);
    CHECK_EQ(leave_folder(), 0);
}

static void a_file_that_must_not_be_written_stays_as_it_is(void)
{
    enum { NOBODY = 65534 };
    int fd;
    struct stat before, after;
    enter_new_folder();
    fd = open("report", O_WRONLY | O_CREAT, 0600);
    NEED(fd >= 0 && fchmod(fd, 0444) == 0 && close(fd) == 0 && stat("report", &before) == 0);
    if (geteuid() == 0) {
        NEED(chown("report", NOBODY, NOBODY) == 0 && chown(".", NOBODY, NOBODY) == 0 && seteuid(NOBODY) == 0);
    }
    CHECK(strstr(why_unreported("json:report", NULL, RT_UNREPORTED), "report") != NULL);
    NEED(stat("report", &after) == 0);
    CHECK(after.st_size == 0 && after.st_ino == before.st_ino);
    NEED(getuid() == geteuid() || seteuid(0) == 0);
    CHECK_EQ(leave_folder(), 0);
}

static void a_full_disk_leaves_the_former_report(void)
{
    struct rlimit small = {1000, RLIM_INFINITY};
    enter_new_folder();
    finalize_into("json:report");
    make_the_report_long();
    NEED(signal(SIGXFSZ, SIG_DFL) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK(*why_unreported("json:report", NULL, RT_ERR_INCOMPLETE) != '\0');
    small.rlim_cur = RLIM_INFINITY;
    NEED(setrlimit(RLIMIT_FSIZE, &small) == 0);
    check_whole_report("report");
    CHECK_EQ(leave_folder(), 0);
}

/* What a writer wrote to stdout, and then the report, whole. */
static void check_stdout_then_report(const char *wish)
{
    rt_writer *out;
    bytes got = {NULL, 0, 0};
    int fd;
    enter_new_folder();
    fd = open("out", O_RDWR | O_CREAT, 0600);
    NEED(fd >= 0 && dup2(fd, STDOUT_FILENO) == STDOUT_FILENO);
    out = writer_open(NULL, STDOUT_FILENO, "stdout", 100, 0);
    CHECK_EQ(rt_writer_write(out, "said\n", 5), RT_OK);
    CHECK_EQ(*why_unreported(wish, NULL, RT_OK), '\0');
    NEED(lseek(fd, 0, SEEK_SET) == 0);
    read_most(fd, &got, SIZE_MAX);
    CHECK(got.len > 7 && memcmp(got.data, "said\n{", 6) == 0 && memcmp(got.data + got.len - 2, "}\n", 2) == 0);
    bytes_free(&got);
    CHECK_EQ(leave_folder(), 0);
}

static void a_report_to_stdout_follows_what_was_written_there(void)
{
    check_stdout_then_report("json:/dev/stdout");
}

static void a_report_to_the_file_that_stdout_is_follows_what_was_written_there(void)
{
    check_stdout_then_report("json:out");
}

static void the_path_has_the_number_of_the_process(void)
{
    char path[64];
    enter_new_folder();
    finalize_into("json:%%p-%p.json");
    snprintf(path, sizeof path, "%%p-%d.json", (int)getpid());
    check_whole_report(path);
    REFUSED(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", "json:%d"), RT_ERR_INVALID);
    CHECK(strstr(rt_last_error(), "%p is the process number") != NULL);
    REFUSED(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", "json:"), RT_ERR_INVALID);
    CHECK_EQ(leave_folder(), 0);
}

static void reports_of_several_processes_do_not_overwrite_one_another(void)
{
    char path[64];
    enter_new_folder();
    rt_number_reports();
    finalize_into("json:end.json");
    snprintf(path, sizeof path, "end-%d.json", (int)getpid());
    check_whole_report(path);
    CHECK_EQ(access("end.json", F_OK), -1);
    CHECK_EQ(leave_folder(), 0);
}

static void a_path_that_has_the_number_gets_it_once(void)
{
    char path[64];
    enter_new_folder();
    rt_number_reports();
    finalize_into("json:%p");
    snprintf(path, sizeof path, "%d", (int)getpid());
    check_whole_report(path);
    CHECK_EQ(leave_folder(), 0);
}

static void a_folder_in_the_place_of_the_report_is_told_in_the_result(void)
{
    rt_report *report = NULL;
    enter_new_folder();
    NEED(mkdir("folder", 0700) == 0);
    CHECK(strstr(why_unreported("json:folder", NULL, RT_UNREPORTED), "folder") != NULL);
    CHECK(strcmp(rt_strerror(RT_UNREPORTED), "not a status of rtfinalize") != 0);
    CHECK_EQ(rt_finalize(NULL, NULL, &report), RT_OK);
    CHECK(report_says(report, "the report could not be written to folder"));
    CHECK_EQ(leave_folder(), 0);
}

/* --- a file system that hangs --- */

static int hangs;

/* In the place of libc's. */
int rename(const char *from, const char *to)
{
    while (hangs) {
        pause();
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static void finalize_where_the_disk_hangs(void)
{
    rt_finalize_options options = options_exiting(under_valgrind() ? 5000000 : 300000);
    options.exit_code = 75;
    hangs = 1;
    CHECK_EQ(rt_runtime_set_text(NULL, "RTFINALIZE_REPORT", "json:report"), RT_OK);
    rt_finalize(NULL, &options, NULL);
}

static void a_disk_that_hangs_does_not_keep_the_process_beyond_its_deadline(void)
{
    char said[2000];
    enter_new_folder();
    CHECK_EQ(exit_code_of(finalize_where_the_disk_hangs, said, sizeof said), 75);
    CHECK(strstr(said, "in writing the report to report: ") != NULL);
    leave_folder(); /* what was written aside is there still */
}

int main(void)
{
    RUN(a_pipe_that_nobody_opens_costs_the_report_and_not_the_process);
    RUN(without_a_deadline_a_pipe_that_nobody_opens_is_not_waited_for_either);
    RUN(a_reader_that_stops_is_not_waited_for_beyond_its_time);
    RUN(a_reader_that_leaves_is_no_signal);
    RUN(a_reader_gets_the_whole_report_through_a_pipe);
    RUN(a_report_written_by_the_host_is_given_up_where_the_reader_stops);
    RUN(processes_that_share_a_path_leave_a_whole_report_at_any_time);
    RUN(a_report_goes_through_a_link_to_its_file_which_stays_as_it_was_but_for_the_text);
    RUN(a_file_with_two_names_has_the_report_under_both);
    RUN(where_the_folder_takes_no_new_file_the_report_is_written_in_place);
    RUN(a_file_that_must_not_be_written_stays_as_it_is);
    RUN(a_full_disk_leaves_the_former_report);
    RUN(a_report_to_stdout_follows_what_was_written_there);
    RUN(a_report_to_the_file_that_stdout_is_follows_what_was_written_there);
    RUN(the_path_has_the_number_of_the_process);
    RUN(reports_of_several_processes_do_not_overwrite_one_another);
    RUN(a_path_that_has_the_number_gets_it_once);
    RUN(a_folder_in_the_place_of_the_report_is_told_in_the_result);
    RUN(a_disk_that_hangs_does_not_keep_the_process_beyond_its_deadline);
    return check_done();
}

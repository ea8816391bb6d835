/*
 * Handlers that a shutdown starts and does not wait for: what they may do, what is said of them, and
 * that neither the end of the runtime nor that of the process has to mind them.
 */
#include "host.h"
#include "scarce.h"

typedef struct work {
    event begun, go_on, over;
    rt_callback what;
    rt_runtime *runtime;
    pid_t tid;
    int started;
    rt_status status;
    rt_thread *thread;
    int detached;
} work;

static work w = {EVENT_INIT, EVENT_INIT, EVENT_INIT, NULL, NULL, 0, 0, 1, NULL, 0};

static void add(rt_runtime *runtime, const char *name, uint32_t phase, int32_t order, uint32_t policy,
                rt_callback callback)
{
    rt_handler_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.order = order;
    options.work = policy;
    CHECK_EQ(rt_phase_add_handler_ex(runtime, phase, name, &options, callback, &w, NULL), RT_OK);
}

/* What the tests' handlers begin with. */
static void begin(void)
{
    w.started++;
    w.tid = my_tid();
    event_set(&w.begun);
}

/* Runs until the test lets it go on, and does something then. */
static int until_told(void *arg)
{
    int answer = 0;
    (void)arg;
    begin();
    event_wait(&w.go_on);
    if (w.what != NULL) {
        answer = w.what(&w);
    }
    event_set(&w.over);
    return answer;
}

/* Ordered after such a handler: waits until that has begun. */
static int see_it_begin(void *arg)
{
    (void)arg;
    event_wait(&w.begun);
    return 0;
}

/* Waits until the thread of such a handler is gone. */
static int see_it_end(void *arg)
{
    see_it_begin(arg);
    wait_until_gone(w.tid);
    return 0;
}

static int succeed(void *arg)
{
    (void)arg;
    begin();
    return 0;
}

static int fail(void *arg)
{
    succeed(arg);
    return -7;
}

static int end_the_thread(void *arg)
{
    succeed(arg);
    pthread_exit(NULL);
}

static rt_report *finalized(rt_status expected)
{
    rt_report *report = NULL;
    CHECK_EQ(rt_finalize(NULL, NULL, &report), expected);
    return report;
}

/* The only entry of the report's list of such handlers. */
static rt_report_left left_in(const rt_report *report)
{
    rt_report_left left;
    memset(&left, 0, sizeof left);
    left.struct_size = sizeof left;
    CHECK_EQ(rt_report_get_left(report, 0, &left), RT_OK);
    CHECK_EQ(left.phase, RT_PHASE_FINALIZE);
    CHECK(strcmp(left.name, "upload") == 0);
    REFUSED(rt_report_get_left(report, 1, &left), RT_ERR_NOT_FOUND);
    return left;
}

static void one_that_still_runs_is_not_waited_for_and_told(void)
{
    rt_report *report;
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, until_told);
    add(NULL, "next", RT_PHASE_FINALIZE, 1, RT_WORK_BLOCK, see_it_begin);
    report = finalized(RT_OK);
    CHECK(!event_is_set(&w.over));
    CHECK(report_says(report, "not waited for\n    finalize  upload  "));
    CHECK(report_says(report, "still running"));
    CHECK_EQ(left_in(report).state, RT_LEFT_RUNNING);
    CHECK(report_says(report, "restartable: no, because of 1 handler still running (listed"));
    CHECK_EQ(rt_report_free(report), RT_OK);
    event_set(&w.go_on);
    event_wait(&w.over);
    see_it_end(NULL);
}

static void one_that_has_ended_is_told_too_and_hinders_no_restart(void)
{
    rt_report *report;
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, succeed);
    add(NULL, "next", RT_PHASE_RECLAIM, 0, RT_WORK_BLOCK, see_it_end);
    report = finalized(RT_OK);
    CHECK_EQ(w.started, 1);
    CHECK(report_says(report, "\nnot waited for:  "));
    CHECK(report_says(report, "  by upload\n"));
    CHECK_EQ(left_in(report).state, RT_LEFT_ENDED);
    CHECK(report_says(report, "restartable: yes"));
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void tells_how_it_failed_without_failing(rt_callback callback, const char *how)
{
    rt_report *report;
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, callback);
    add(NULL, "next", RT_PHASE_FINALIZE, 1, RT_WORK_BLOCK, see_it_end);
    report = finalized(RT_OK);
    CHECK(report_says(report, how));
    CHECK_EQ(left_in(report).state, RT_LEFT_FAILED);
    CHECK(strstr(how, left_in(report).how) != NULL);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

static void one_that_failed_fails_no_finalization(void)
{
    tells_how_it_failed_without_failing(fail, "failed: returned -7");
}

static void one_that_ended_its_thread_fails_no_finalization(void)
{
    tells_how_it_failed_without_failing(end_the_thread, "failed: ended its thread");
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void it_is_started_once_however_often_the_passes_go_round(void)
{
    rt_report *report;
    add(NULL, "upload", RT_PHASE_ATEXIT, -1, RT_WORK_CONTINUE, succeed);
    add(NULL, "next", RT_PHASE_FINALIZE, 0, RT_WORK_BLOCK, see_it_end);
    CHECK_EQ(rt_atexit(NULL, NULL, nothing, NULL, NULL), RT_OK);
    report = finalized(RT_OK);
    CHECK(summary_of(report).passes > 1);
    CHECK_EQ(w.started, 1);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

#ifdef _WIN32

/* MinGW declares it for no version of Windows that we ask for. */
typedef HRESULT(WINAPI *get_description)(HANDLE thread, wchar_t **name);

static void look_around_here(void)
{
    wchar_t *name = NULL;
    get_description get = (get_description)(void (*)(void))GetProcAddress(
        GetModuleHandleA("kernel32.dll"), "GetThreadDescription");
    NEED(get != NULL && get(GetCurrentThread(), &name) >= 0);
    CHECK(wcscmp(name, L"rtfinalize-work") == 0);
    LocalFree(name);
}

#else

static void look_around_here(void)
{
    sigset_t blocked;
    char name[16] = "";
    CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &blocked), 0);
    CHECK(sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGTERM));
    CHECK(!sigismember(&blocked, SIGSEGV) && !sigismember(&blocked, SIGTRAP));
    CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
    CHECK(strcmp(name, "rtfinalize-work") == 0);
}

#endif

static int look_around(void *arg)
{
    succeed(arg);
    look_around_here();
    return 0;
}

static void its_thread_is_named_another_and_gets_no_signals(void)
{
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, look_around);
    add(NULL, "next", RT_PHASE_FINALIZE, 1, RT_WORK_BLOCK, see_it_end);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK(w.tid != my_tid());
}

static int attach_for_a_while(void *arg)
{
    rt_thread *thread = attach(NULL, "stranger", 0, RT_POLICY_ERROR);
    (void)arg;
    begin();
    event_wait(&w.go_on);
    w.detached = 1;
    CHECK_EQ(rt_thread_detach(thread), RT_OK);
    return 0;
}

static int let_it_go_on(void *arg)
{
    (void)arg;
    event_set(&w.go_on);
    return 0;
}

static void one_that_attaches_is_waited_for_as_any_thread(void)
{
    add(NULL, "upload", RT_PHASE_GUARDS, -2, RT_WORK_CONTINUE, attach_for_a_while);
    add(NULL, "next", RT_PHASE_GUARDS, -1, RT_WORK_BLOCK, see_it_begin);
    add(NULL, "go on", RT_PHASE_THREADS, -1, RT_WORK_BLOCK, let_it_go_on);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(w.detached, 1);
}

static int attach_late(void *arg)
{
    rt_thread *thread = NULL;
    w.status = rt_thread_attach(NULL, NULL, &thread);
    return succeed(arg);
}

static void one_that_attaches_after_the_freeze_is_refused(void)
{
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, attach_late);
    add(NULL, "next", RT_PHASE_FINALIZE, 1, RT_WORK_BLOCK, see_it_end);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(w.status, RT_ERR_FINALIZING);
}

static int finalize_from_it(void *arg)
{
    rt_runtime *other = runtime_new("other");
    (void)arg;
    CHECK_EQ(rt_finalize(NULL, NULL, NULL), RT_ERR_IN_CALLBACK);
    CHECK_EQ(rt_finalize(other, NULL, NULL), RT_ERR_IN_CALLBACK);
    return 0;
}

static void one_finalizes_nothing(void)
{
    w.what = finalize_from_it;
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, until_told);
    CHECK_EQ(rt_finalize_ex(), 0);
    event_set(&w.go_on);
    event_wait(&w.over);
}

static int use_the_runtime(void *arg)
{
    (void)arg;
    w.status = rt_atexit(w.runtime, "late", nothing, NULL, NULL);
    return 0;
}

static void a_runtime_may_be_freed_while_it_runs(void)
{
    w.what = use_the_runtime;
    w.runtime = runtime_new("short-lived");
    add(w.runtime, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, until_told);
    add(w.runtime, "next", RT_PHASE_FINALIZE, 1, RT_WORK_BLOCK, see_it_begin);
    CHECK_EQ(rt_finalize(w.runtime, NULL, NULL), RT_OK);
    CHECK_EQ(rt_runtime_free(w.runtime), RT_OK);
    event_set(&w.go_on);
    event_wait(&w.over);
    CHECK_EQ(w.status, RT_ERR_HANDLE);
    see_it_end(NULL);
}

static void a_new_life_may_begin_and_end_while_it_runs(void)
{
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, until_told);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(rt_initialize(NULL), RT_OK);
    CHECK_EQ(rt_finalize_ex(), 0);
    event_set(&w.go_on);
    event_wait(&w.over);
}

static void finalize_and_exit(void)
{
    add(NULL, "upload", RT_PHASE_FINALIZE, 0, RT_WORK_CONTINUE, until_told);
    exit(rt_finalize_ex() == 0 ? 42 : 1);
}

static void the_process_may_exit_while_it_runs(void)
{
    char said[2048];
    CHECK_EQ(exit_code_of(finalize_and_exit, said, sizeof said), 42);
}

static void it_may_be_unregistered_while_it_runs_and_before(void)
{
    uint64_t id = 0;
    rt_handler_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.work = RT_WORK_CONTINUE;
    CHECK_EQ(rt_phase_add_handler_ex(NULL, RT_PHASE_GUARDS, "never", &options, fail, &w, &id), RT_OK);
    CHECK_EQ(rt_unregister(NULL, id), RT_OK);
    CHECK_EQ(rt_phase_add_handler_ex(NULL, RT_PHASE_GUARDS, "upload", &options, until_told, &w, &id),
             RT_OK);
    add(NULL, "next", RT_PHASE_GUARDS, 1, RT_WORK_BLOCK, see_it_begin);
    CHECK_EQ(rt_finalize_ex(), 0);
    rt_unregister(NULL, id);
    event_set(&w.go_on);
    event_wait(&w.over);
    CHECK_EQ(w.started, 1);
}

static void a_runtime_without_daemons_takes_none(void)
{
    rt_runtime *child = NULL;
    rt_runtime_options born_with;
    rt_handler_options options;
    memset(&born_with, 0, sizeof born_with);
    born_with.struct_size = sizeof born_with;
    born_with.flags = RT_RUNTIME_NO_DAEMONS;
    CHECK_EQ(rt_runtime_new_child(NULL, &born_with, &child), RT_OK);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.work = RT_WORK_CONTINUE;
    REFUSED(rt_phase_add_handler_ex(child, RT_PHASE_FINALIZE, "upload", &options, fail, &w, NULL),
            RT_ERR_INVALID);
    CHECK_EQ(rt_finalize_ex(), 0);
    CHECK_EQ(w.started, 0);
    CHECK_EQ(rt_runtime_free(child), RT_OK);
}

static int leave_no_room(void *arg)
{
    (void)arg;
    threads_refuse();
    return 0;
}

static int leave_room_again(void *arg)
{
    (void)arg;
    threads_allow();
    return 0;
}

static void one_without_a_thread_to_run_on_is_left_out_and_named(void)
{
    rt_report *report;
    add(NULL, "no room", RT_PHASE_FINALIZE, 0, RT_WORK_BLOCK, leave_no_room);
    add(NULL, "upload", RT_PHASE_FINALIZE, 1, RT_WORK_CONTINUE, fail);
    add(NULL, "room", RT_PHASE_FINALIZE, 2, RT_WORK_BLOCK, leave_room_again);
    report = finalized(RT_OK);
    CHECK_EQ(w.started, 0);
    CHECK(report_says(report, "not waited for\n    finalize  upload  "));
    CHECK(report_says(report, "not started: no thread for it"));
    CHECK_EQ(left_in(report).state, RT_LEFT_NOT_STARTED);
    CHECK_EQ(rt_report_free(report), RT_OK);
}

int main(void)
{
    RUN(one_that_still_runs_is_not_waited_for_and_told);
    RUN(one_that_has_ended_is_told_too_and_hinders_no_restart);
    RUN(one_that_failed_fails_no_finalization);
    RUN(one_that_ended_its_thread_fails_no_finalization);
    RUN(it_is_started_once_however_often_the_passes_go_round);
    RUN(its_thread_is_named_another_and_gets_no_signals);
    RUN(one_that_attaches_is_waited_for_as_any_thread);
    RUN(one_that_attaches_after_the_freeze_is_refused);
    RUN(one_finalizes_nothing);
    RUN(a_runtime_may_be_freed_while_it_runs);
    RUN(a_new_life_may_begin_and_end_while_it_runs);
    RUN(the_process_may_exit_while_it_runs);
    RUN(it_may_be_unregistered_while_it_runs_and_before);
    RUN(a_runtime_without_daemons_takes_none);
    if (under_valgrind()) {
        printf("skipped one_without_a_thread_to_run_on_is_left_out_and_named: "
               "valgrind shares the limit of its process\n");
    } else {
        RUN(one_without_a_thread_to_run_on_is_left_out_and_named);
    }
    return check_done();
}

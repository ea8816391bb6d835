/*
 * The parts of ../check.h that Windows does otherwise: there is no fork, so a test's process is this
 * program once more, told by its arguments which test it is for.
 */
#ifndef WINDOWS_CHECK_H
#define WINDOWS_CHECK_H

#include <tlhelp32.h>

#define CHECK_ONLY "--only"

/* The test that this process is for; NULL in the first one. */
static inline const char *check_only(void)
{
    return __argc == 3 && strcmp(__argv[1], CHECK_ONLY) == 0 ? __argv[2] : NULL;
}

/* A test's process, and those that it starts. */
static HANDLE check_job;

/* Starts this program again, for the test `name`. */
static inline HANDLE check_start(const char *name)
{
    char program[1024], line[1400];
    STARTUPINFOA start;
    PROCESS_INFORMATION child;
    int attempts = 0;
    fflush(NULL);
    memset(&start, 0, sizeof start);
    start.cb = sizeof start;
    NEED(GetModuleFileNameA(NULL, program, sizeof program) < sizeof program);
    snprintf(line, sizeof line, "\"%s\" " CHECK_ONLY " %s", program, name);
    while (!CreateProcessA(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child)) {
        /* Wine says this, now and then, of a process that it lost before it began. */
        if (GetLastError() != ERROR_INTERNAL_ERROR || ++attempts == 5) {
            fprintf(stderr, "%s cannot be started: error %lu\n", line, GetLastError());
            _exit(99);
        }
        Sleep(100);
    }
    CloseHandle(child.hThread);
    if (check_only() == NULL) {
        check_job = CreateJobObjectA(NULL, NULL);
        AssignProcessToJobObject(check_job, child.hProcess);
    }
    return child.hProcess;
}

/* Waits for the child and returns its exit code. A child that outlives the limit is killed. */
static inline DWORD check_end(HANDLE child, DWORD seconds)
{
    DWORD code = 97;
    if (WaitForSingleObject(child, seconds * 1000) == WAIT_TIMEOUT) {
        fprintf(stderr, "the test hangs\n");
        TerminateJobObject(check_job, 98);
        TerminateProcess(child, 98);
        WaitForSingleObject(child, INFINITE);
    }
    NEED(GetExitCodeProcess(child, &code));
    CloseHandle(child);
    CloseHandle(check_job);
    check_job = NULL;
    return code;
}

/* Which call of exit_code_given a process is for, its stderr, and what it is given. */
static const char *const check_body_variable = "CHECK_BODY";

/* The handle behind a descriptor, for a process that is started next; 0: none. */
static inline unsigned long long check_hand_over(int fd)
{
    HANDLE inherited = NULL, own = GetCurrentProcess();
    if (fd >= 0) {
        NEED(DuplicateHandle(own, (HANDLE)_get_osfhandle(fd), own, &inherited, 0, TRUE,
                             DUPLICATE_SAME_ACCESS));
    }
    return (uintptr_t)inherited;
}

/* A descriptor for a handle that was inherited; -1: none. */
static inline int check_take_over(unsigned long long handle)
{
    int fd = -1;
    if (handle != 0) {
        fd = _open_osfhandle((intptr_t)handle, _O_BINARY | _O_RDWR | _O_NOINHERIT);
        NEED(fd >= 0);
    }
    return fd;
}

static inline void check_body(void (*body)(const given *), int said, const given *g)
{
    NEED(dup2(said, STDERR_FILENO) == STDERR_FILENO);
    NEED(SetStdHandle(STD_ERROR_HANDLE, (HANDLE)_get_osfhandle(STDERR_FILENO)));
    close(said);
    check_failed_here = 0;
    body(g);
    fflush(NULL);
    _exit(97); /* it came to its end */
}

/*
 * Runs `body` in a process of its own; its exit code, and what it said on stderr. That process is the
 * test once more, which leaves out all calls of this function but its own.
 */
static inline int exit_code_given(void (*body)(const given *), const given *g, char *said, size_t size)
{
    static int calls;
    static char text_there[1000]; /* getenv's may move */
    const char *mine = getenv(check_body_variable);
    unsigned long long handles[3] = {0, 0, 0};
    char value[1400];
    HANDLE child;
    size_t len = 0, i;
    int ends[2];
    calls++;
    if (mine != NULL) {
        int call = 0, text = 0;
        NEED(sscanf(mine, "%d %llu %llu %llu %n", &call, &handles[0], &handles[1], &handles[2],
                    &text) == 4);
        if (call == calls) {
            const given there = {text_there, {check_take_over(handles[1]), check_take_over(handles[2])}};
            snprintf(text_there, sizeof text_there, "%s", mine + text);
            check_body(body, check_take_over(handles[0]), &there);
        }
        said[0] = '\0';
        return -1;
    }
    NEED(pipe(ends) == 0);
    handles[0] = check_hand_over(ends[1]);
    handles[1] = check_hand_over(g->fds[0]);
    handles[2] = check_hand_over(g->fds[1]);
    snprintf(value, sizeof value, "%d %llu %llu %llu %s", calls, handles[0], handles[1], handles[2],
             g->text == NULL ? "" : g->text);
    NEED(setenv(check_body_variable, value, 1) == 0);
    child = check_start(check_only());
    NEED(unsetenv(check_body_variable) == 0);
    for (i = 0; i < 3; i++) {
        if (handles[i] != 0) {
            CloseHandle((HANDLE)(uintptr_t)handles[i]);
        }
    }
    close(ends[1]);
    for (;;) {
        const int got = read(ends[0], said + len, (unsigned)(size - 1 - len));
        if (got <= 0) {
            break;
        }
        len += (size_t)got;
    }
    said[len] = '\0';
    close(ends[0]);
    check_what_was_said(said);
    return (int)check_end(child, CHECK_HANG_SECONDS / 2);
}

static inline void check_report(const char *name, DWORD code)
{
    if (code == CHECK_HELD) {
        check_passed++;
        printf("ok %s\n", name);
    } else {
        check_failed++;
        /* A crash ends with the exception's number, which is best known in hexadecimal. */
        printf(code > 255 ? "FAILED %s: exit code 0x%lx\n" : "FAILED %s: exit code %lu\n", name, code);
    }
    fflush(stdout);
}

static inline void check_run(const char *name, void (*test)(void))
{
    const char *only = check_only();
    if (only != NULL) {
        if (strcmp(only, name) != 0) {
            return;
        }
        if (getenv(check_body_variable) != NULL) {
            /* What fails on the way to the body was not done. */
            NEED(freopen("NUL", "w", stderr) != NULL);
            test();
            _exit(96); /* it did not come to its body */
        }
        test();
        fflush(NULL);
        _exit(check_failed_here ? 1 : CHECK_HELD);
    }
    check_report(name, check_end(check_start(name), (DWORD)CHECK_HANG_SECONDS));
}

static inline void check_skip(const char *name, const char *what)
{
    if (check_only() == NULL) {
        printf("skipped %s: Windows has no %s\n", name, what);
    }
}

/* Whether a process ended by abort(). Windows' Universal C Runtime fails fast there; Wine's and the older
   runtime do not. */
static inline int check_aborted(int exit_code)
{
    return exit_code == 3 || (DWORD)exit_code == 0xc0000409; /* STATUS_STACK_BUFFER_OVERRUN */
}

/* The calling thread's number in the system. */
static inline pid_t my_tid(void)
{
    return (pid_t)GetCurrentThreadId();
}

static inline int64_t now_us(void)
{
    LARGE_INTEGER now, per_second;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&per_second);
    return now.QuadPart / per_second.QuadPart * 1000000
           + now.QuadPart % per_second.QuadPart * 1000000 / per_second.QuadPart;
}

/*
 * Waits until a thread may be expected to sleep in the kernel: Windows does not say where it is, but how
 * long it has run, and here that has not changed for a while.
 */
static inline void wait_until_asleep(pid_t tid)
{
    HANDLE thread = OpenThread(THREAD_QUERY_LIMITED_INFORMATION, FALSE, (DWORD)tid);
    FILETIME made, ended, in_kernel, in_user;
    ULONGLONG worked = 0, before;
    int quiet = 0;
    while (thread != NULL && quiet < 5) {
        before = worked;
        Sleep(20);
        NEED(GetThreadTimes(thread, &made, &ended, &in_kernel, &in_user));
        worked = ((ULONGLONG)in_kernel.dwHighDateTime << 32 | in_kernel.dwLowDateTime)
                 + ((ULONGLONG)in_user.dwHighDateTime << 32 | in_user.dwLowDateTime);
        quiet = worked == before ? quiet + 1 : 0;
    }
    if (thread != NULL) {
        CloseHandle(thread);
    }
}

/* Waits until a thread of this process is gone. */
static inline void wait_until_gone(pid_t tid)
{
    HANDLE thread = OpenThread(SYNCHRONIZE, FALSE, (DWORD)tid);
    if (thread != NULL) {
        NEED(WaitForSingleObject(thread, CHECK_HANG_SECONDS * 500) == WAIT_OBJECT_0);
        CloseHandle(thread);
    }
}

/* Calls `look` with the number of each thread that this process has. */
static inline void each_thread(void (*look)(DWORD tid, void *arg), void *arg)
{
    HANDLE all = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);
    THREADENTRY32 thread;
    BOOL more;
    NEED(all != INVALID_HANDLE_VALUE);
    thread.dwSize = sizeof thread;
    for (more = Thread32First(all, &thread); more; more = Thread32Next(all, &thread)) {
        if (thread.th32OwnerProcessID == GetCurrentProcessId()) {
            look(thread.th32ThreadID, arg);
        }
    }
    CloseHandle(all);
}

static inline void check_count_thread(DWORD tid, void *count)
{
    (void)tid;
    ++*(int *)count;
}

/* How many threads this process has. */
static inline int threads_now(void)
{
    int count = 0;
    each_thread(check_count_thread, &count);
    return count;
}

/* The library waits for none of its threads that has nothing to do; it is gone in a moment. */
static inline void wait_until_threads_are(int count)
{
    while (threads_now() != count) {
        Sleep(1);
    }
}

#endif

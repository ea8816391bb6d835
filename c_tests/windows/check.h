/*
 * The parts of ../check.h that Windows does otherwise: there is no fork, so a test's process is this
 * program once more, told by its arguments which test it is for.
 */
#ifndef WINDOWS_CHECK_H
#define WINDOWS_CHECK_H

#define CHECK_ONLY "--only"

/* The test that this process is for; NULL in the first one. */
static inline const char *check_only(void)
{
    return __argc == 3 && strcmp(__argv[1], CHECK_ONLY) == 0 ? __argv[2] : NULL;
}

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
    return child.hProcess;
}

/* Its exit code, when it has ended; nothing runs for ever. */
static inline DWORD check_end(HANDLE child, DWORD seconds)
{
    DWORD code = 97;
    if (WaitForSingleObject(child, seconds * 1000) == WAIT_TIMEOUT) {
        fprintf(stderr, "the test hangs\n");
        TerminateProcess(child, 98);
        WaitForSingleObject(child, INFINITE);
    }
    NEED(GetExitCodeProcess(child, &code));
    CloseHandle(child);
    return code;
}

/* Which call of exit_code_of a process is for, and its stderr. */
static const char *const check_body_variable = "CHECK_BODY";

static inline void check_body(void (*body)(void), HANDLE said)
{
    int fd = _open_osfhandle((intptr_t)said, _O_BINARY | _O_WRONLY);
    NEED(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    NEED(SetStdHandle(STD_ERROR_HANDLE, (HANDLE)_get_osfhandle(STDERR_FILENO)));
    close(fd);
    body();
    fflush(NULL);
    _exit(97); /* it came to its end */
}

/*
 * Runs `body` in a process of its own; its exit code, and what it said on stderr. That process is the
 * test once more, which leaves out all calls of this function but its own.
 */
static inline int exit_code_of(void (*body)(void), char *said, size_t size)
{
    static int calls;
    const char *mine = getenv(check_body_variable);
    char value[64];
    HANDLE inherited, child;
    size_t len = 0;
    int ends[2];
    calls++;
    if (mine != NULL) {
        unsigned long long handle = 0;
        int call = 0;
        NEED(sscanf(mine, "%d %llu", &call, &handle) == 2);
        if (call == calls) {
            check_body(body, (HANDLE)(uintptr_t)handle);
        }
        said[0] = '\0';
        return -1;
    }
    NEED(pipe(ends) == 0);
    NEED(DuplicateHandle(GetCurrentProcess(), (HANDLE)_get_osfhandle(ends[1]), GetCurrentProcess(),
                         &inherited, 0, TRUE, DUPLICATE_SAME_ACCESS));
    snprintf(value, sizeof value, "%d %llu", calls, (unsigned long long)(uintptr_t)inherited);
    NEED(setenv(check_body_variable, value, 1) == 0);
    child = check_start(check_only());
    NEED(unsetenv(check_body_variable) == 0);
    CloseHandle(inherited);
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
    return (int)check_end(child, CHECK_HANG_SECONDS / 2);
}

static inline void check_report(const char *name, DWORD code)
{
    if (code == 0) {
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
        }
        test();
        fflush(NULL);
        _exit(check_failed_here ? 1 : 0);
    }
    check_report(name, check_end(check_start(name), (DWORD)CHECK_HANG_SECONDS));
}

static inline void check_skip(const char *name, const char *what)
{
    if (check_only() == NULL) {
        printf("skipped %s: Windows has no %s\n", name, what);
    }
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

#endif

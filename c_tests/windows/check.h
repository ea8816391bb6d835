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
    char program[1024], line[1400];
    STARTUPINFOA start;
    PROCESS_INFORMATION child;
    DWORD code = 97;
    const char *only = check_only();
    if (only != NULL) {
        if (strcmp(only, name) != 0) {
            return;
        }
        test();
        fflush(NULL);
        _exit(check_failed_here ? 1 : 0);
    }
    fflush(NULL);
    memset(&start, 0, sizeof start);
    start.cb = sizeof start;
    NEED(GetModuleFileNameA(NULL, program, sizeof program) < sizeof program);
    snprintf(line, sizeof line, "\"%s\" " CHECK_ONLY " %s", program, name);
    NEED(CreateProcessA(program, line, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child));
    if (WaitForSingleObject(child.hProcess, CHECK_HANG_SECONDS * 1000) == WAIT_TIMEOUT) {
        fprintf(stderr, "the test hangs\n");
        TerminateProcess(child.hProcess, 98);
        WaitForSingleObject(child.hProcess, INFINITE);
    }
    NEED(GetExitCodeProcess(child.hProcess, &code));
    CloseHandle(child.hThread);
    CloseHandle(child.hProcess);
    check_report(name, code);
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

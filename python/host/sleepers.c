/*
 * Threads that wait in a system call.
 *
 * A thread inside a C call is not stopped by a profile function, and most daemon threads are inside one when Python ends:
 * they sleep, or wait for a lock or a socket. Such a thread is stopped in its system call: a signal wakes it, and the
 * handler, which runs on that thread, sees by the registers that it was that call which was interrupted, and does not
 * return. Nowhere else is a thread stopped so, for it might have a lock of the allocator.
 *
 * A thread that waits for a lock is one whose wait nobody ends in an orderly way. So it is stopped only where nobody will
 * miss it: not at a lock in static memory, of which somebody may wait for the waiters to leave (a pthread condition, like
 * that of the interpreter's lock), nor at one on its own stack, which stands in a list of waiters (from 3.13 on Python's
 * own locks; whoever wakes the first of that list would wake the one that is stopped).
 */
#if defined(__x86_64__)
#define STOPS_SLEEPERS 1
#elif defined(__aarch64__)
#define STOPS_SLEEPERS 1
#else
#define STOPS_SLEEPERS 0
#endif

/* How long a thread is given to answer the signal; it may have blocked it. */
#define ANSWER_SECONDS 0.1

/* Written by the finalizing thread before the signal is sent, but for the last two, which are the answer. */
static struct {
    pid_t thread;
    int number;
    atomic_int is_stopped;
    sem_t answer;
} sleeper;

/* A signal that nobody uses; 0 if there is none. Of those without a meaning the last are used least. */
static int unused_signal(void)
{
    int number;
    for (number = SIGRTMAX - 2; number > SIGRTMIN + 8; number--) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_DFL) {
            return number;
        }
    }
    return 0;
}

/* Whether these are the registers of a thread whose system call was just interrupted. */
static int was_in_system_call(const ucontext_t *at)
{
#if defined(__x86_64__)
    const unsigned char *next = (const unsigned char *)at->uc_mcontext.gregs[REG_RIP];
    return at->uc_mcontext.gregs[REG_RAX] == -EINTR && next[-2] == 0x0f && next[-1] == 0x05; /* syscall */
#elif defined(__aarch64__)
    const uint32_t *next = (const uint32_t *)at->uc_mcontext.pc;
    return (int64_t)at->uc_mcontext.regs[0] == -EINTR && next[-1] == 0xd4000001; /* svc #0 */
#else
    (void)at;
    return 0;
#endif
}

static void stop_here(int number, siginfo_t *info, void *context)
{
    int error = errno;
    (void)number;
    (void)info;
    if (syscall(SYS_gettid) == sleeper.thread) {
        int is_asleep = was_in_system_call(context);
        sleeper.is_stopped = is_asleep;
        sem_post(&sleeper.answer);
        while (is_asleep) {
            sigset_t all;
            sigfillset(&all);
            /* Not sigsuspend, at which a thread can be cancelled. The kernel's set has 64 signals. */
            syscall(SYS_rt_sigsuspend, &all, 8);
        }
    }
    errno = error;
}

/* Whether a thread waits in a system call in which it can be stopped. */
static int waits(pid_t thread)
{
    char path[64], text[256];
    unsigned long args[6], stack;
    long call;
    ssize_t length;
    Dl_info object;
    int file;
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)thread);
    file = open(path, O_RDONLY | O_CLOEXEC);
    length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0) {
        close(file);
    }
    if (length <= 0) {
        return 0;
    }
    text[length] = 0;
    if (sscanf(text, "%ld %lx %lx %lx %lx %lx %lx %lx", &call, &args[0], &args[1], &args[2], &args[3], &args[4],
               &args[5], &stack) != 8) {
        return 0;
    }
    switch (call) {
    case SYS_futex:
        return !(args[0] >= stack && args[0] - stack < (8UL << 20)) && dladdr((const void *)args[0], &object) == 0;
#ifdef SYS_poll
    case SYS_poll:
#endif
#ifdef SYS_select
    case SYS_select:
#endif
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
#endif
#ifdef SYS_pause
    case SYS_pause:
#endif
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_ppoll:
    case SYS_pselect6:
    case SYS_epoll_pwait:
    case SYS_read:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_wait4:
    case SYS_waitid:
        return 1;
    default:
        return 0;
    }
}

/* Stops a thread of Python's, by the system's number and by Python's of it, if it waits. */
static PyObject *stop_sleeper(PyObject *module, PyObject *args)
{
    struct sigaction stops = {.sa_sigaction = stop_here, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction ignores = {.sa_handler = SIG_IGN}, before;
    struct timespec until;
    unsigned long ident;
    int thread;
    (void)module;
    if (!PyArg_ParseTuple(args, "ik:stop_sleeper", &thread, &ident)) {
        return NULL;
    }
    sleeper.number = STOPS_SLEEPERS ? unused_signal() : 0;
    if (sleeper.number == 0 || !waits(thread)) {
        Py_RETURN_FALSE;
    }
    sleeper.thread = thread;
    sleeper.is_stopped = 0;
    sem_init(&sleeper.answer, 0, 0);
    sigfillset(&stops.sa_mask);
    sigaction(sleeper.number, &stops, &before);
    if (syscall(SYS_tgkill, getpid(), thread, sleeper.number) == 0) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(ANSWER_SECONDS * 1e9);
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        while (sem_timedwait(&sleeper.answer, &until) < 0 && errno == EINTR) {
        }
    }
    /* One that has not arrived is taken back by this; with its default it would end the process later. */
    sigaction(sleeper.number, &ignores, NULL);
    sigaction(sleeper.number, &before, NULL);
    if (!sleeper.is_stopped) {
        Py_RETURN_FALSE;
    }
    native_note_stopped(ident);
    Py_RETURN_TRUE;
}

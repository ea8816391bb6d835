/*
 * Threads that wait in a system call.
 *
 * A thread inside a C call is not stopped by a profile function, and most daemon threads are inside one when Python ends:
 * they sleep, or wait for a lock or a socket. Such a thread is stopped in its system call: a signal wakes it, and the
 * handler, which runs on that thread, sees by the registers that it was that call which was interrupted, and does not
 * return. Nowhere else is a thread stopped so, for it might have a lock of the allocator.
 *
 * A thread that waits for a lock is one whose wait nobody ends in an orderly way. So it is stopped only where nobody will
 * miss it: at a lock of Python's. Not at what a C function waits for, a condition for instance, which could not be
 * destroyed any more; not at a lock in static memory, of which somebody may wait for the waiters to leave (a pthread
 * condition, like that of the interpreter's lock); nor at one on its own stack, which stands in a list of waiters (from
 * 3.13 on Python's own locks; whoever wakes the first of that list would wake the one that is stopped).
 */
#if defined(__x86_64__) || defined(__aarch64__)
#define STOPS_SLEEPERS 1
#else
#define STOPS_SLEEPERS 0
#endif

/* How long a thread is given to answer the signal. */
#define ANSWER_SECONDS 0.1

/* The thread that is asked to stop. Whoever takes the request takes `thread` to 0: the thread itself, which then answers, or
 * the finalizing thread, which then does not wait any longer. The rest is written before the request. */
static struct {
    atomic_int thread;
    int is_stopped;
    sem_t answer;
    /* Where it waits: what it was seen in is what it must be stopped in. */
    unsigned long argument, stack, code;
    int waits_for_lock;
} sleeper;

/* The code of the function in which Python waits for its locks. */
static uintptr_t lock_begin, lock_end;

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

/* Whether these are the registers of a thread whose system call was just interrupted, and it is the one that was seen. */
static int was_in_system_call(const ucontext_t *at)
{
#if defined(__x86_64__)
    const greg_t *of = at->uc_mcontext.gregs;
    const unsigned char *next = (const unsigned char *)of[REG_RIP];
    return of[REG_RAX] == -EINTR && next[-2] == 0x0f && next[-1] == 0x05 /* syscall */
        && (unsigned long)of[REG_RIP] == sleeper.code && (unsigned long)of[REG_RSP] == sleeper.stack
        && (unsigned long)of[REG_RDI] == sleeper.argument;
#elif defined(__aarch64__)
    const uint32_t *next = (const uint32_t *)at->uc_mcontext.pc;
    return (int64_t)at->uc_mcontext.regs[0] == -EINTR && next[-1] == 0xd4000001 /* svc #0 */
        && at->uc_mcontext.pc == sleeper.code && at->uc_mcontext.sp == sleeper.stack;
#else
    (void)at;
    return 0;
#endif
}

/* So many words of a stack hold what a few functions of libc's have there. */
#define FEW_FRAMES 64

/* Whether the calling thread waits for one of Python's locks: that function is one of the next to return to. */
static int is_at_lock_of_python(void)
{
    const uintptr_t *word = (const uintptr_t *)sleeper.stack, *end = word + FEW_FRAMES;
    while (word < end && !(*word > lock_begin && *word < lock_end)) {
        word++;
    }
    return word < end;
}

/* Takes the request to this thread. */
static int take_request(int thread)
{
    return atomic_compare_exchange_strong(&sleeper.thread, &thread, 0);
}

static void stop_here(int number, siginfo_t *info, void *context)
{
    int error = errno;
    (void)number;
    (void)info;
    if (take_request((int)syscall(SYS_gettid))) {
        int is_asleep = was_in_system_call(context) && (!sleeper.waits_for_lock || is_at_lock_of_python());
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

/* Whether a thread does not get this signal: there is no use in waiting for its answer. */
static int blocks(pid_t thread, int number)
{
    char text[4096];
    unsigned long long blocked;
    const char *line = native_read_of_thread(thread, "status", text, sizeof text) > 0 ? strstr(text, "\nSigBlk:") : NULL;
    return line == NULL || sscanf(line, "\nSigBlk: %llx", &blocked) != 1 || (blocked >> (number - 1) & 1) != 0;
}

/* Where Python waits for its locks. */
static void find_lock_function(void)
{
    /* In a program that is not position-independent the address of a function of a library's is its own, of a jump. */
    void *function = dlsym(RTLD_NEXT, "PyThread_acquire_lock_timed");
    const ElfW(Sym) *symbol = NULL;
    Dl_info object;
    lock_begin = function == NULL ? (uintptr_t)PyThread_acquire_lock_timed : (uintptr_t)function;
    lock_end = lock_begin + 512;
    if (dladdr1((const void *)lock_begin, &object, (void **)&symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL
        && (uintptr_t)object.dli_saddr == lock_begin && symbol->st_size != 0) {
        lock_end = lock_begin + symbol->st_size;
    }
}

/* Whether a thread waits in a system call in which it can be stopped. */
static int waits(pid_t thread)
{
    char text[256];
    unsigned long args[6];
    long call;
    Dl_info object;
    if (native_read_of_thread(thread, "syscall", text, sizeof text) == 0
        || sscanf(text, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &call, &args[0], &args[1], &args[2], &args[3], &args[4],
                  &args[5], &sleeper.stack, &sleeper.code) != 9) {
        return 0;
    }
    sleeper.argument = args[0];
    sleeper.waits_for_lock = call == SYS_futex;
    switch (call) {
    case SYS_futex:
        return !(args[0] >= sleeper.stack && args[0] - sleeper.stack < (8UL << 20))
            && dladdr((const void *)args[0], &object) == 0;
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
    int thread, number, is_sent, is_late = 0;
    (void)module;
    if (!PyArg_ParseTuple(args, "ik:stop_sleeper", &thread, &ident)) {
        return NULL;
    }
    number = STOPS_SLEEPERS ? unused_signal() : 0;
    if (number == 0 || !waits(thread) || blocks(thread, number)) {
        Py_RETURN_FALSE;
    }
    if (lock_begin == 0) {
        find_lock_function();
    }
    sleeper.is_stopped = 0;
    sem_init(&sleeper.answer, 0, 0);
    sigfillset(&stops.sa_mask);
    sigaction(number, &stops, &before);
    atomic_store(&sleeper.thread, thread);
    is_sent = syscall(SYS_tgkill, getpid(), thread, number) == 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until = native_later(until, ANSWER_SECONDS);
    while (is_sent && !is_late && sem_timedwait(&sleeper.answer, &until) < 0) {
        is_late = errno == ETIMEDOUT;
    }
    if (!take_request(thread) && is_late) {
        /* It is about to answer after all. */
        while (sem_wait(&sleeper.answer) < 0) {
        }
    }
    /* One that has not arrived is taken back by this; with its default it would end the process later. */
    sigaction(number, &ignores, NULL);
    sigaction(number, &before, NULL);
    if (!sleeper.is_stopped) {
        Py_RETURN_FALSE;
    }
    native_note_stopped(ident);
    Py_RETURN_TRUE;
}

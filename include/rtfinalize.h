/*
 * rtfinalize: shuts a language runtime down inside a process that still has threads, locks, buffered
 * output and in-flight I/O.
 *
 * Generated from src/capi by cbindgen: change it there, then run `make header`.
 *
 * Conventions. Every function may be called from any thread at any time, during and after
 * finalization, from inside callbacks and static destructors; what does not fit gets an error, not a
 * crash. "Thread" and "Stage" say where a call does its work. "Signal handler" says what it does in
 * one. Safe: it works in every handler, or answers at once where the handler interrupted what it would
 * need (RT_ERR_WOULD_BLOCK; RT_ERR_TIMEOUT if it has no time). Limited: in a handler that interrupted
 * this library on its thread it does nothing and answers at once, RT_ERR_WOULD_BLOCK, or
 * RT_ERR_IN_CALLBACK over a finalization; it may take memory from the heap, so a handler that may have
 * interrupted malloc must not call it. While a call waits for a lock, another thread or a destination,
 * a handler interrupts nothing. Times are microseconds; negative means no limit. A NULL rt_runtime is
 * the process's default runtime. Names are copied. Handles are opaque numbers: a stale one is rejected.
 * Memory of the host's may be freed only after every call on it has returned. Structs that start with
 * struct_size grow: set it to sizeof the struct. On Windows every call leaves what GetLastError says as
 * it was; what exists only there has an #if.
 */
#ifndef RTFINALIZE_H
#define RTFINALIZE_H

#include <stddef.h>
#include <stdint.h>

/* The version this header belongs to; rt_version() tells the library's. */
#define RT_VERSION_MAJOR 0
#define RT_VERSION_MINOR 1
#define RT_VERSION_PATCH 0
#define RT_VERSION_NUMBER ((RT_VERSION_MAJOR << 16) | (RT_VERSION_MINOR << 8) | RT_VERSION_PATCH)
#define RT_VERSION_STRING "0.1.0"
#ifndef RT_NO_PTHREAD
#ifdef _WIN32
#include <process.h>
#else
#include <pthread.h>
#endif
#endif


/**
 * Done.
 */
#define RT_OK 0

/**
 * A lock was taken over from an owner that will never run again: check what it protects.
 */
#define RT_RECOVERED 1

/**
 * Memory the kernel may still write to was kept open and allocated, on purpose.
 */
#define RT_LEAKED 2

/**
 * Returned by a handler: it did some work, so the passes before `children` go round again.
 */
#define RT_AGAIN 3

/**
 * Returned by a tracked object's finalize: something refers to the object still, it is not to be
 * deallocated. And what `rt_object_dispose` returns then.
 */
#define RT_RESURRECTED 4

/**
 * What `rt_overlapped_start` returns for an operation that has ended already, and of which no packet
 * arrives at a completion port.
 */
#define RT_ENDED 5

/**
 * What `rt_finalize` returns when everything was done, but the report could not be written to where
 * `RTFINALIZE_REPORT` has it. `rt_report_unreported` says why.
 */
#define RT_UNREPORTED 6

/**
 * An argument has a value the call cannot use.
 */
#define RT_ERR_INVALID (-1)

/**
 * A pointer that must be given is NULL.
 */
#define RT_ERR_NULL (-2)

/**
 * The handle was never issued, or is closed already.
 */
#define RT_ERR_HANDLE (-3)

/**
 * `struct_size` fits no version of the struct, or a newer one with fields set that this library
 * does not know.
 */
#define RT_ERR_STRUCT_SIZE (-4)

/**
 * A name is not UTF-8.
 */
#define RT_ERR_UTF8 (-5)

/**
 * A size is zero where it must not be, or larger than an object can be.
 */
#define RT_ERR_SIZE (-6)

/**
 * Out of memory; nothing was changed.
 */
#define RT_ERR_NO_MEMORY (-7)

/**
 * Nothing of that identity is registered: it ran, or was removed, already.
 */
#define RT_ERR_NOT_FOUND (-8)

/**
 * This platform does not have the operation.
 */
#define RT_ERR_UNSUPPORTED (-9)

/**
 * The dependency would close a cycle; the last error's text prints it.
 */
#define RT_ERR_CYCLE (-10)

/**
 * The time given ran out.
 */
#define RT_ERR_TIMEOUT (-20)

/**
 * This thread holds the lock already, or is inside an operation on the writer: a signal handler, or
 * a callback of that same writer.
 */
#define RT_ERR_REENTRANT (-21)

/**
 * Finalizing, and the lock's owner is alive but did not let go within the grace: stuck in a system
 * call, say. Do not touch or free what the lock protects.
 */
#define RT_ERR_OWNER_BLOCKED (-22)

/**
 * This thread does not hold the lock.
 */
#define RT_ERR_NOT_OWNER (-23)

/**
 * The runtime is finalizing or finalized.
 */
#define RT_ERR_FINALIZING (-30)

/**
 * Finalize was called from inside a callback of the runtime or of a descendant of it.
 */
#define RT_ERR_IN_CALLBACK (-31)

/**
 * The thread is not attached to the runtime.
 */
#define RT_ERR_NOT_ATTACHED (-32)

/**
 * The thread is attached to the runtime already.
 */
#define RT_ERR_ALREADY_ATTACHED (-33)

/**
 * The handle belongs to another thread.
 */
#define RT_ERR_WRONG_THREAD (-34)

/**
 * The call does not fit the object's present state.
 */
#define RT_ERR_STATE (-35)

/**
 * The thread shall end, for its policy is `RT_POLICY_EXIT`. The header's inline forms do it.
 */
#define RT_ERR_EXIT_THREAD (-36)

/**
 * The thread is past its own end: its last exit hooks have run.
 */
#define RT_ERR_THREAD_EXITING (-37)

/**
 * The system refused the operation; the last error's text has its reason.
 */
#define RT_ERR_IO (-50)

/**
 * The descriptor is closed, or not open for this.
 */
#define RT_ERR_BAD_DESCRIPTOR (-51)

/**
 * The kernel still works on the operation.
 */
#define RT_ERR_IN_FLIGHT (-52)

/**
 * It cannot be done now without waiting.
 */
#define RT_ERR_WOULD_BLOCK (-53)

/**
 * A callback failed.
 */
#define RT_ERR_CALLBACK (-60)

/**
 * Finalized, but data could not be flushed, a phase failed or a deadline passed.
 */
#define RT_ERR_INCOMPLETE (-61)

/**
 * Called from inside `dealloc`, where only C data may be touched. Nothing was done and no argument was
 * looked at; the report counts the call, with the object's name. Any function may return this but
 * those on a `rt_buffered_lock` (16 bytes of C data), except `rt_buffered_lock_init_for`, and those on a
 * `rt_report`. Functions that return no status and touch no runtime work as ever: `rt_strerror`,
 * `rt_last_error`, `rt_version`, `rt_version_string`, `rt_phase_name`, `rt_is_finalizing`.
 */
#define RT_ERR_IN_DEALLOC (-62)

/**
 * A defect inside the library, contained. Please report it with the last error's text.
 */
#define RT_ERR_INTERNAL (-99)

/**
 * A phase begins. `count` is the pass, from 1; only the phases that repeat have more than one. The
 * phases of a child come between begin and end of its parent's `RT_PHASE_CHILDREN`.
 */
#define RT_EVENT_PHASE_BEGIN 1

/**
 * A phase ends. `lasted_us` is what this pass of it took.
 */
#define RT_EVENT_PHASE_END 2

/**
 * Something has used up its time: the budget of its phase, the deadline, or of a lock the grace.
 * `subject` and `name` say what, `thread`, `thread_name` and `whereabouts` who keeps it, `lasted_us`
 * for how long it has been waited for, `count` how often it has been told. One event for each thing
 * that is waited for. A callback that goes on is told again when it has taken twice as long, and when
 * the deadline passes; one that begins when the time is up has 100 ms. The answer counts.
 */
#define RT_EVENT_OVERRUN 3

/**
 * A lock was taken over from an owner that will never run again: `thread` and `thread_name` (0 and ""
 * if it has ended). For a writer's lock `name` is the writer and `bytes` what was left in its buffer.
 * `count` is 1, or how many more there were than could be told one by one (then `name` is "").
 */
#define RT_EVENT_RECOVERY 4

/**
 * Something was entered in the ledger of deliberate leaks: `subject` and `name` say what, `bytes` how
 * much memory of the library's it keeps (0 where only the host knows), `text` why.
 */
#define RT_EVENT_LEAK 5

/**
 * Calls were refused for coming too late; `count` of them since it was told last.
 */
#define RT_EVENT_LATE_CALL 6

/**
 * The finalization itself.
 */
#define RT_SUBJECT_RUNTIME 0

/**
 * A callback of the host's: at-exit, handler, pending call, exit function, a thread state's deleter, a
 * tracked object's callback, or an event callback.
 */
#define RT_SUBJECT_CALLBACK 1

/**
 * A thread that has not detached or, in the freeze, not stopped.
 */
#define RT_SUBJECT_THREAD 2

/**
 * A guard that is open; the thread is its holder, `lasted_us` its age.
 */
#define RT_SUBJECT_GUARD 3

/**
 * A child runtime.
 */
#define RT_SUBJECT_CHILD 4

/**
 * An `rt_buffered_lock`.
 */
#define RT_SUBJECT_LOCK 5

/**
 * The lock of a writer; the thread holds it.
 */
#define RT_SUBJECT_WRITER_LOCK 6

/**
 * A writer: its destination has no room, or its buffer was leaked.
 */
#define RT_SUBJECT_WRITER 7

/**
 * An in-flight operation.
 */
#define RT_SUBJECT_OPERATION 8

/**
 * A thread's host state.
 */
#define RT_SUBJECT_THREAD_STATE 9

/**
 * Tracked objects of one name.
 */
#define RT_SUBJECT_OBJECT 10

/**
 * Something of the host's own (`rt_note_leak`).
 */
#define RT_SUBJECT_HOST 11

/**
 * The library's own wait ends, and the report names what it was for. The default. A callback of the
 * host's is never interrupted: the finalization goes on when it returns.
 */
#define RT_OVERRUN_SKIP 1

/**
 * Before the freeze, and until the total deadline has passed, it is waited for as long again as the
 * phase's budget says, and told again at each expiry. From the freeze on as `RT_OVERRUN_SKIP`: waits
 * there are always bounded.
 */
#define RT_OVERRUN_CONTINUE 2

/**
 * The process ends at once, without locks and without returning to the host: what the writers hold
 * is written as far as that is safe, one line on stderr says what overran, and `_exit` gets
 * `exit_code`.
 *
 * As an option it also makes the deadline the end of the process, whatever the finalizing thread is
 * doing then: inside a callback, a destination's or an event's too, in a wait, stuck in malloc. Waits
 * that end earlier (by their phase's budget, and those before the freeze a quarter before the
 * deadline) have it done by the finalizing thread. With an event callback its answer is waited for at
 * the deadline, for one second; `RT_OVERRUN_SKIP` or `RT_OVERRUN_CONTINUE` there keeps the process for
 * good. A child that its parent finalizes goes by its own option, for the time that it is given.
 */
#define RT_OVERRUN_EXIT 3

/**
 * The runtime runs: everything is allowed.
 */
#define RT_STATE_RUNNING 0

/**
 * Finalization has begun; threads still run, attach and register.
 */
#define RT_STATE_PRE_FINALIZING 1

/**
 * The point of no return is passed: only the finalizing thread gets in.
 */
#define RT_STATE_FINALIZING 2

/**
 * Finalized.
 */
#define RT_STATE_FINALIZED 3

/**
 * No daemon threads: `rt_thread_attach` refuses them.
 */
#define RT_RUNTIME_NO_DAEMONS 1

/**
 * Wait for open guards. Repeats.
 */
#define RT_PHASE_GUARDS 1

/**
 * Wait for non-daemon threads to detach. Repeats.
 */
#define RT_PHASE_THREADS 2

/**
 * Drain pending calls. Repeats.
 */
#define RT_PHASE_PENDING 3

/**
 * Run at-exit callbacks, last in first out. Repeats.
 */
#define RT_PHASE_ATEXIT 4

/**
 * Finalize child runtimes.
 */
#define RT_PHASE_CHILDREN 5

/**
 * Flush writers while everything still works.
 */
#define RT_PHASE_FLUSH_EARLY 6

/**
 * The point of no return: stop the other threads.
 */
#define RT_PHASE_FREEZE 7

/**
 * Flush again, now that nobody can add a byte, with lock recovery.
 */
#define RT_PHASE_FLUSH_FROZEN 8

/**
 * The host clears its state (modules, the collector); tracked objects are finalized.
 */
#define RT_PHASE_FINALIZE 9

/**
 * Flush what the finalizers wrote.
 */
#define RT_PHASE_FLUSH_LATE 10

/**
 * Deallocate tracked objects: C data only.
 */
#define RT_PHASE_DEALLOC 11

/**
 * Cancel in-flight operations, or leak them.
 */
#define RT_PHASE_OVERLAPPED 12

/**
 * Reclaim the states of threads that have exited or can never run.
 */
#define RT_PHASE_RECLAIM 13

/**
 * Low-level exit functions, last in first out.
 */
#define RT_PHASE_EXIT_FUNCTIONS 14

/**
 * Work that holds the shutdown up until it is done. The default.
 */
#define RT_WORK_BLOCK 1

/**
 * Work of which nothing begins any more: what has begun is finished, the rest is left out.
 */
#define RT_WORK_SKIP 2

/**
 * Work that is not waited for: a daemon thread; a handler on a thread of the library's.
 *
 * Such a handler is started in its turn (one on a phase that repeats in the first pass only), and
 * finalization goes on at once: what is ordered after it comes after its start, not after its end.
 * Its thread has all signals blocked but those of its own faults, and is a stranger to the runtime: it may attach while other
 * threads may, and meets what they meet. Everything of the host's that the finalization tears down may
 * be gone under it, and so may be the process. It may finalize no runtime. The report says what became
 * of it by the end of the finalization: ended, failed, or still running; then the runtime is not
 * restartable. Failing, and finding no thread to run on, do not change the finalization's status.
 */
#define RT_WORK_CONTINUE 3

/**
 * A handler's work that never waits for anything. It is run as by `RT_WORK_BLOCK`, but nothing watches it:
 * where all handlers are like this, and nobody asked for a deadline's end, a finalization begins no thread.
 */
#define RT_WORK_BRIEF 4

/**
 * A thread that comes too late is parked for good, for all runtimes it is attached to; its stack
 * stays, nothing is unwound. One that is finalizing another runtime at that moment gets
 * `RT_ERR_FINALIZING` instead. The default.
 */
#define RT_POLICY_HANG 1

/**
 * A thread that comes too late gets `RT_ERR_FINALIZING`. Best for native code.
 */
#define RT_POLICY_ERROR 2

/**
 * A thread that comes too late ends: the calls return `RT_ERR_EXIT_THREAD`, and their inline forms
 * (`rt_thread_enter_or_exit`, `rt_thread_checkpoint_or_exit`) call `pthread_exit` in the host's frame.
 */
#define RT_POLICY_EXIT 3

/**
 * Flush after each record that contains a newline, as far as the destination has room.
 */
#define RT_WRITER_LINE_BUFFERED 1

/**
 * Close the descriptor with the writer.
 */
#define RT_WRITER_OWNS_FD 2

/**
 * The child of a `fork` keeps what the buffer holds then, and writes it: for a host that goes on in the
 * child, while the parent ends without finalizing (`_exit`). Bytes in a raw write at that moment stay
 * the parent's.
 */
#define RT_WRITER_FORK_KEEP 4

/**
 * Given to the warning callback: the operation is in flight and cannot be cancelled, so it will not be
 * freed unless it ends within the second attempt.
 */
#define RT_WARN_IN_FLIGHT 1

/**
 * `ReadFile`. The end of a file or of a pipe ends it well, with 0 bytes; so does a message that is longer
 * than the buffer (`rt_overlapped_error` says `ERROR_MORE_DATA`), whose rest the next read gets.
 */
#define RT_OVERLAPPED_READ 1

/**
 * `WriteFile`.
 */
#define RT_OVERLAPPED_WRITE 2

/**
 * `WSARecv`; the handle is the socket. A datagram that is longer than the buffer ends it well
 * (`ERROR_MORE_DATA`); its rest is lost, as always.
 */
#define RT_OVERLAPPED_RECEIVE 3

/**
 * `WSASend`; the handle is the socket.
 */
#define RT_OVERLAPPED_SEND 4

/**
 * `ConnectNamedPipe`.
 */
#define RT_OVERLAPPED_CONNECT 5

/**
 * Whatever `begin` begins: `AcceptEx`, `DeviceIoControl`, `ReadDirectoryChangesW`.
 */
#define RT_OVERLAPPED_OTHER 6

/**
 * The library closes the handle once the operation has ended, and leaks it with the operation. Without
 * this it stays the host's, and must stay open until the operation's handle is gone with `RT_OK`, or,
 * once the operation is leaked, until the process ends.
 */
#define RT_OVERLAPPED_OWNS_HANDLE 1

/**
 * Nothing arrives at the completion port that the handle belongs to.
 */
#define RT_OVERLAPPED_NO_PACKET 2

/**
 * The operation must not be cancelled: only its own end frees it.
 */
#define RT_OVERLAPPED_NO_CANCEL 4

/**
 * For a person: a table with a bar per phase, then what needs attention.
 */
#define RT_REPORT_TEXT 1

/**
 * For a program: one JSON object.
 */
#define RT_REPORT_JSON 2

/**
 * A Chrome trace, for Perfetto or speedscope.
 */
#define RT_REPORT_TRACE 3

/**
 * For a person with a browser: one page that needs no file beside it, no network and no script.
 */
#define RT_REPORT_HTML 4

/**
 * An in-flight operation with its buffers.
 */
#define RT_LEAK_OVERLAPPED 1

/**
 * A writer's buffer; on Windows also its handle, of no bytes, that could not be closed in time.
 */
#define RT_LEAK_WRITER 2

/**
 * A thread's host state.
 */
#define RT_LEAK_THREAD_STATE 3

/**
 * A child runtime that was not finalized with its parent.
 */
#define RT_LEAK_CHILD 4

/**
 * Tracked objects of one name, which a thread may still touch.
 */
#define RT_LEAK_OBJECT 5

/**
 * Something of the host's own (`rt_note_leak`).
 */
#define RT_LEAK_HOST 6

/**
 * It was left out: the time of its phase was out (`RT_WORK_SKIP`).
 */
#define RT_LEFT_SKIPPED 1

/**
 * It was not waited for (`RT_WORK_CONTINUE`), and has ended.
 */
#define RT_LEFT_ENDED 2

/**
 * It was not waited for, and has failed.
 */
#define RT_LEFT_FAILED 3

/**
 * It was not waited for, and still ran when the finalization ended.
 */
#define RT_LEFT_RUNNING 4

/**
 * It was not to be waited for, but there was no thread for it.
 */
#define RT_LEFT_NOT_STARTED 5

/**
 * The thread runs.
 */
#define RT_SEEN_RUNNING 1

/**
 * The thread waits for something.
 */
#define RT_SEEN_WAITING 2

/**
 * The thread is stopped for good.
 */
#define RT_SEEN_STOPPED 3

/**
 * The thread has ended.
 */
#define RT_SEEN_ENDED 4

/**
 * An open guard: while there is one, finalization of its runtime waits before the freeze.
 */
typedef struct rt_guard rt_guard;

/**
 * An operation the kernel works on, with the memory it works in.
 */
typedef struct rt_overlapped rt_overlapped;

/**
 * The account of one finalization.
 */
typedef struct rt_report rt_report;

/**
 * A runtime. NULL stands for the process's default runtime wherever one is taken.
 */
typedef struct rt_runtime rt_runtime;

/**
 * A thread's attachment to a runtime. It belongs to the thread that attached: only that thread may
 * use it.
 */
typedef struct rt_thread rt_thread;

/**
 * A reference to one life of a runtime. It keeps nothing alive, and outlives the runtime and its
 * handle: a view of a life that is over, or of a runtime that was freed, is good, and grants nothing.
 */
typedef struct rt_view rt_view;

/**
 * A buffered writer over a descriptor or callbacks.
 */
typedef struct rt_writer rt_writer;

/**
 * The answer of a call: 0 is success, positive a success worth knowing, negative an error.
 */
typedef int32_t rt_status;

/**
 * One event. All of it, the strings included, is valid during the call only. A string is never NULL,
 * but empty where there is nothing to say.
 */
typedef struct rt_event {
    /**
     * The size of the struct as the library knows it: a field that ends beyond it is not there.
     */
    size_t struct_size;
    /**
     * One of `RT_EVENT_*`.
     */
    uint32_t kind;
    /**
     * The phase that runs, or ran last: one of `RT_PHASE_*`.
     */
    uint32_t phase;
    /**
     * What it is about: one of `RT_SUBJECT_*`.
     */
    uint32_t subject;
    /**
     * The number of the runtime that finalizes, as `rt_runtime_id`.
     */
    uint32_t runtime_id;
    /**
     * The name of the runtime that finalizes.
     */
    const char *runtime;
    /**
     * The name of what it is about, as the host gave it. So are the other names: whoever prints one looks at it first.
     */
    const char *name;
    /**
     * The whole of it in words for a person, one line. A character of a name that would act on a terminal (a
     * newline, an escape, a change of direction) or take no room is a `?` here.
     */
    const char *text;
    /**
     * The name of the thread that has to do with it.
     */
    const char *thread_name;
    /**
     * What that thread is doing, on Linux: `running`, `asleep in futex`, `in read of descriptor 0
     * (pipe:[4711])`. Empty where it is not known. Fit to be printed, as `text`.
     */
    const char *whereabouts;
    /**
     * The system's number for that thread; 0 if there is none, or it has ended.
     */
    uint64_t thread;
    /**
     * When it began, in microseconds since the finalization did.
     */
    uint64_t since_us;
    /**
     * How long it has lasted, in microseconds.
     */
    uint64_t lasted_us;
    /**
     * How many; see the kinds.
     */
    uint64_t count;
    /**
     * Bytes concerned; see the kinds.
     */
    uint64_t bytes;
} rt_event;

/**
 * Hears of events; set in `rt_finalize_options`, with `arg` as its `event_arg`.
 *
 * Called only between the begin of a finalization and its return, with no lock of the library held.
 * On the thread that finalizes, except for overruns of callbacks: those are told on a thread of the
 * library's, since the finalizing thread is inside the callback; all signals but those of its own
 * faults are blocked on it. What happens on other threads (a late call, a lock taken over) is told by
 * the finalizing thread at its next step.
 *
 * The answer counts for `RT_EVENT_OVERRUN` only: an `RT_OVERRUN_*` is done in place of the option,
 * anything else is by the option.
 *
 * It is host code like any callback (`rt_callback`): it may call the library but not finalize the
 * runtime or an ancestor of it; it may end its thread, which then ends when the library is done with
 * it. Its failure hurts no finalization. It should return soon: the finalization waits for it. One whose
 * code was unloaded is not called any more, and nothing says so.
 */
typedef int32_t (*rt_event_callback)(const struct rt_event *event, void *arg);

/**
 * Settings of a finalization: for one (`rt_finalize`), or for a life of a runtime
 * (`rt_runtime_set_options`). The environment's `RTFINALIZE_DEADLINE` and `RTFINALIZE_GRACE` (`5s`,
 * `500ms`) win over them. Zero in a field takes the default; so `{ .struct_size = sizeof options }`
 * is a good start.
 */
typedef struct rt_finalize_options {
    /**
     * `sizeof(rt_finalize_options)`.
     */
    size_t struct_size;
    /**
     * The time all phases together may take, in microseconds. Negative, and the default:
     * no limit for the phases before the freeze and for destinations without room. The library's own
     * waits end by then, those before the freeze a quarter earlier (500 ms at most), so that there is
     * time to stop threads and to flush; `overrun` says what happens about what they waited for. A
     * host's callback is never interrupted; it is reported as an overrun when its phase's budget is
     * spent, when the time of the phases before the freeze is over, and when the deadline passes. With
     * `RT_OVERRUN_EXIT` the process ends at the deadline, whatever the finalizing thread is doing then.
     */
    int64_t deadline_us;
    /**
     * The time the finalizing thread gives, in all, to threads that hold a lock and might still let go
     * of it, in microseconds. Default 1 s. Must not be negative. A destination without room, whose
     * writer no other thread holds, does not use it up: it is waited for until the deadline, or until the
     * budget of the phase (`rt_runtime_set_budget`) is spent; with neither as long as it takes.
     */
    int64_t grace_us;
    /**
     * How long a wait for threads, locks or destinations, or a callback, may take before a line on stderr
     * names what is waited for, in microseconds; further lines come at growing intervals. Negative: never.
     * The default is 5 s if stderr is a terminal or there is a deadline, and never if neither is so.
     */
    int64_t notice_us;
    /**
     * How long a second thread that calls finalize waits for the first, in microseconds. Default
     * 10 s. Must not be negative.
     */
    int64_t join_us;
    /**
     * How often the passes before `children` may go round. Default 1000.
     */
    uint32_t max_passes;
    /**
     * What is done about what runs past its time: one of `RT_OVERRUN_*`. Default `RT_OVERRUN_SKIP`.
     */
    uint32_t overrun;
    /**
     * What the process ends with by `RT_OVERRUN_EXIT`. Default 120, CPython's for output that was
     * lost; so it cannot be 0, which stands for success.
     */
    int32_t exit_code;
    /**
     * Must be 0.
     */
    uint32_t reserved;
    /**
     * Hears what happens (`rt_event_callback`), or NULL. A child that its parent finalizes and that
     * has none of its own tells its parent's.
     */
    rt_event_callback on_event;
    /**
     * What `on_event` is called with. The host's; it must stay valid until the finalization returned.
     */
    void *event_arg;
} rt_finalize_options;

/**
 * What a child runtime is made with; it keeps that in every life. Zero in a field is the default.
 */
typedef struct rt_runtime_options {
    /**
     * `sizeof(rt_runtime_options)`.
     */
    size_t struct_size;
    /**
     * The name reports use, copied; NULL is a name of its own.
     */
    const char *name;
    /**
     * 0, or `RT_RUNTIME_NO_DAEMONS`.
     */
    uint32_t flags;
    /**
     * Must be 0.
     */
    uint32_t reserved;
} rt_runtime_options;

/**
 * What a host registers to be called: `arg` is what it registered with it. A negative answer counts
 * as a failure, which is reported; any other is success.
 *
 * It is called with no lock of the library held. It may call any function of the library, but not
 * finalize its own runtime or an ancestor of that (see `rt_finalize`); the `dealloc` of a tracked object
 * may call less (`RT_ERR_IN_DEALLOC`). It may end its thread: the library finishes its work and then
 * the thread ends (on Windows it ends at once). It must not throw a C++ exception, nor on Windows any
 * other (the process ends with a message), nor `longjmp` out; and it returns on the thread it was called on,
 * whatever fibers do.
 *
 * A plug-in unregisters its callbacks before it is unloaded, in its destructor at the latest
 * (`rt_unregister`, `rt_atexit_unregister`, `rt_object_untrack`, `rt_writer_close`). One that it
 * left behind is not called, on Linux with glibc 2.35 or later and on Windows: before each call the
 * library asks whether its code is still there, and one whose code is gone counts as a failure,
 * `not called: its code was unloaded (dlclose)`, or `(FreeLibrary)`. Of a tracked object then neither
 * callback is called; an operation is leaked; a writer keeps its bytes. Code that was made at run time is
 * looked up in `/proc/self/maps`, and is not called where that cannot be read. Another library that was
 * loaded at the same address cannot be distinguished from the plug-in, and code that is unloaded during
 * the call is not safe.
 */
typedef int (*rt_callback)(void *arg);

/**
 * Where in its phase a handler runs. Zero in a field is the default.
 */
typedef struct rt_handler_options {
    /**
     * `sizeof(rt_handler_options)`.
     */
    size_t struct_size;
    /**
     * As for `rt_phase_add_handler`: negative is before the phase's own work, smaller is first.
     */
    int32_t order;
    /**
     * `RT_WORK_BLOCK`; or `RT_WORK_SKIP`: it is left out, and the report names it, once the phase's
     * budget or the deadline has passed before its turn; that is no failure; or `RT_WORK_CONTINUE`: it
     * is not waited for; or `RT_WORK_BRIEF`: it does not wait itself. 0 is `RT_WORK_BLOCK`.
     */
    uint32_t work;
    /**
     * Names of handlers of the same phase that run before this one: an array that ends with NULL;
     * NULL for none.
     */
    const char *const *after;
    /**
     * Names of handlers of the same phase that run after this one, in the same form.
     */
    const char *const *before;
} rt_handler_options;

/**
 * How a thread attaches. Zero in a field is the default.
 */
typedef struct rt_thread_options {
    /**
     * `sizeof(rt_thread_options)`.
     */
    size_t struct_size;
    /**
     * The name reports use, copied; NULL for none.
     */
    const char *name;
    /**
     * Not 0: a daemon, which finalization does not wait for. A runtime with `RT_RUNTIME_NO_DAEMONS`
     * refuses it.
     */
    uint32_t daemon;
    /**
     * One of `RT_POLICY_*`; 0 is `RT_POLICY_HANG`.
     */
    uint32_t policy;
    /**
     * Frees the host's state for the thread; may be NULL. Called once with `state`: by
     * `rt_thread_detach`, or by the finalizing thread in the `reclaim` phase if the thread has
     * detached late, exited, or can never run again. Otherwise never: the state is leaked on purpose
     * and stands in the report.
     */
    rt_callback delete_state;
    /**
     * Passed to `delete_state`.
     */
    void *state;
    /**
     * One of `RT_WORK_*`; 0 goes by `daemon`. `RT_WORK_SKIP`: finalization waits for the thread
     * only while it is inside, and from its beginning on an enter meets the thread's policy, as after
     * the freeze. `RT_WORK_CONTINUE` is a daemon.
     */
    uint32_t work;
    /**
     * Must be 0.
     */
    uint32_t reserved;
} rt_thread_options;

/**
 * The lock of a buffered reader or writer: 16 bytes of the host's, wherever the host wants them.
 *
 * All zeroes is a free lock that follows the default runtime; `RT_BUFFERED_LOCK_INIT` is that. It may
 * be moved or freed while nobody holds it or is inside a call on it; what a thread wrote under it is
 * seen by whoever takes it next. There is nothing to destroy. The fields are the library's.
 *
 * CPython: `lock` and `owner` of `buffered` in `Modules/_io/bufferedio.c`.
 */
typedef struct rt_buffered_lock {
    /**
     * The owner, and whether somebody waits.
     */
    uint64_t rt_word;
    /**
     * The runtime it follows.
     */
    uint32_t rt_runtime;
    /**
     * What the kernel took of the owner's raw write.
     */
    uint32_t rt_progress;
} rt_buffered_lock;

/**
 * How a writer is made. Zero in a field is the default.
 */
typedef struct rt_writer_options {
    /**
     * `sizeof(rt_writer_options)`.
     */
    size_t struct_size;
    /**
     * The name reports use, copied; NULL for `writer`.
     */
    const char *name;
    /**
     * The size of the buffer in bytes; 0 is 128 KiB.
     */
    size_t capacity;
    /**
     * `RT_WRITER_*`, or-ed.
     */
    uint32_t flags;
    /**
     * Must be 0.
     */
    uint32_t reserved;
} rt_writer_options;

/**
 * Takes up to `len` bytes at `data`, which stay the library's: returns how many it took, or a negative
 * `errno` if none; `-EAGAIN` and 0 mean that there is no room now, `-EINTR` that it shall be called
 * again.
 *
 * Called with the writer's lock held. A callback in which the thread can be parked (it leaves and
 * enters the runtime) calls `rt_writer_publish_progress` with what was taken before it enters.
 */
typedef int64_t (*rt_write_callback)(void *arg, const void *data, size_t len);

/**
 * Waits up to `timeout_us` microseconds (negative: indefinitely) until there may be room: returns 0 then,
 * 1 after the time-out, negative if it failed. Called without the writer's lock.
 */
typedef int (*rt_wait_callback)(void *arg, int64_t timeout_us);

/**
 * A host's own destination.
 */
typedef struct rt_writer_callbacks {
    /**
     * `sizeof(rt_writer_callbacks)`.
     */
    size_t struct_size;
    /**
     * Takes bytes. Must be given.
     */
    rt_write_callback write;
    /**
     * Waits for room. Without it a full destination makes `rt_writer_write` return
     * `RT_ERR_WOULD_BLOCK`.
     */
    rt_wait_callback wait;
    /**
     * Called once when the writer is closed or abandoned; may be NULL. Negative is an `errno`.
     */
    rt_callback close;
    /**
     * Passed to all of them; stays the host's.
     */
    void *arg;
} rt_writer_callbacks;

/**
 * What became of a writer's bytes. `accepted == written + unwritten + in_flight`.
 */
typedef struct rt_writer_account {
    /**
     * `sizeof(rt_writer_account)`.
     */
    size_t struct_size;
    /**
     * Bytes of the records whose write succeeded.
     */
    uint64_t accepted;
    /**
     * Bytes the destination took.
     */
    uint64_t written;
    /**
     * Bytes still in the buffer.
     */
    uint64_t unwritten;
    /**
     * Bytes in a raw write that has not returned: they may or may not arrive.
     */
    uint64_t in_flight;
    /**
     * Bytes found in the buffer when the lock was taken over from an owner that will never run.
     */
    uint64_t recovered;
    /**
     * Bytes that were in the buffer when a `fork` made this process: the parent's, and in no other
     * number here.
     */
    uint64_t left_to_parent;
} rt_writer_account;

/**
 * Waits up to `timeout_us` microseconds for the operation to end; 0 only checks, negative waits
 * indefinitely. Returns 0 once it has ended, in whatever way; 1 while it is pending; negative if that
 * cannot be determined, which counts as pending.
 *
 * It may be called again and again, from several threads at once.
 */
typedef int (*rt_overlapped_wait_callback)(void *arg, int64_t timeout_us);

/**
 * An operation of the host's own: how the library gets it to its end.
 */
typedef struct rt_overlapped_callbacks {
    /**
     * `sizeof(rt_overlapped_callbacks)`.
     */
    size_t struct_size;
    /**
     * Asks the kernel to cancel; may be NULL. Whether that worked is for `wait` to say.
     */
    rt_callback cancel;
    /**
     * Waits for the operation. Must be given.
     */
    rt_overlapped_wait_callback wait;
    /**
     * Closes what the operation runs on; may be NULL. Called once, after the operation has ended and
     * with no other callback of it running; never if it is leaked.
     */
    rt_callback close;
    /**
     * Frees the memory the kernel had; may be NULL. Called once, after `close`; never if it is leaked.
     */
    rt_callback free;
    /**
     * Passed to all of them; stays the host's.
     */
    void *arg;
    /**
     * How much memory the kernel has, in bytes, for the ledger; 0 if it is not known.
     */
    size_t bytes;
} rt_overlapped_callbacks;

/**
 * Hears a warning about the operation called `name`, which lives as long as the call. It may do what an
 * `rt_callback` may; a call that frees the same operation gets `RT_ERR_REENTRANT`.
 */
typedef void (*rt_warning_callback)(void *arg, int32_t warning, const char *name);

#if defined(_WIN32)
/**
 * Begins an operation of the kind `RT_OVERLAPPED_OTHER`, on the calling thread: makes the system's call on
 * `handle` with `overlapped` (an `OVERLAPPED *`, its event and offset set) and `buffer`, both of which are
 * the library's. `size` is the buffer's.
 *
 * Returns 0 if the operation has ended well already, else what `GetLastError` or `WSAGetLastError` says:
 * with `ERROR_IO_PENDING` the kernel has it, with any other nothing was started.
 */
typedef int32_t (*rt_overlapped_begin_callback)(void *arg,
                                                void *handle,
                                                void *overlapped,
                                                void *buffer,
                                                size_t size);
#endif

#if defined(_WIN32)
/**
 * An operation that the Windows kernel is to carry out. Zero in a field is none.
 */
typedef struct rt_overlapped_request {
    /**
     * `sizeof(rt_overlapped_request)`.
     */
    size_t struct_size;
    /**
     * One of `RT_OVERLAPPED_*`: what it does.
     */
    uint32_t kind;
    /**
     * `RT_OVERLAPPED_OWNS_HANDLE`, `RT_OVERLAPPED_NO_PACKET`, `RT_OVERLAPPED_NO_CANCEL`.
     */
    uint32_t flags;
    /**
     * A `HANDLE` that was opened with `FILE_FLAG_OVERLAPPED`, or such a `SOCKET`.
     */
    void *handle;
    /**
     * What is written or sent, `size` bytes, which are copied; what another kind's buffer is filled with
     * first, or NULL for zeroes.
     */
    const void *data;
    /**
     * The size of the buffer in bytes, less than 4 GiB.
     */
    size_t size;
    /**
     * Where in a file; 0 for a pipe or a socket.
     */
    uint64_t offset;
    /**
     * Begins an `RT_OVERLAPPED_OTHER`.
     */
    rt_overlapped_begin_callback begin;
    /**
     * Given to `begin`; stays the host's.
     */
    void *arg;
} rt_overlapped_request;
#endif

/**
 * A tracked object, as its runtime knows it. Never 0; one that is no longer tracked is rejected.
 */
typedef uint64_t rt_object;

/**
 * The numbers of a report. They are the runtime's own: what its children have is in their reports.
 */
typedef struct rt_report_summary {
    /**
     * `sizeof(rt_report_summary)`.
     */
    size_t struct_size;
    /**
     * `RT_OK`, or `RT_ERR_INCOMPLETE`, also if a child's is.
     */
    rt_status status;
    /**
     * How often the passes before `children` went round.
     */
    uint32_t passes;
    /**
     * How long it took, in microseconds.
     */
    uint64_t total_us;
    /**
     * Bytes that certainly did not arrive, over all destinations.
     */
    uint64_t unwritten;
    /**
     * Bytes in raw writes that have not returned: they may or may not arrive.
     */
    uint64_t in_flight;
    /**
     * Bytes taken over from owners that will never run again.
     */
    uint64_t recovered;
    /**
     * How many destinations `rt_report_get_destination` knows.
     */
    uint64_t destinations;
    /**
     * How many deliberate leaks `rt_report_get_leak` knows.
     */
    uint64_t leaks;
    /**
     * How many callbacks and handlers failed.
     */
    uint64_t failures;
    /**
     * How many threads still ran inside after the freeze, and guards were still open.
     */
    uint64_t runaways;
    /**
     * How many threads ended without detaching.
     */
    uint64_t undetached;
    /**
     * How many calls were refused for coming too late.
     */
    uint64_t late_calls;
    /**
     * 1 if the runtime can be initialised again without risk, else 0.
     */
    uint32_t restartable;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * How many reports of children `rt_report_child` knows.
     */
    uint64_t children;
    /**
     * How many of them are incomplete.
     */
    uint64_t children_incomplete;
    /**
     * How many tracked objects their finalize brought back to life.
     */
    uint64_t resurrected;
    /**
     * How many calls were refused for coming from inside a dealloc callback;
     * `rt_report_get_violation` tells which.
     */
    uint64_t violations;
    /**
     * How many failures, waits and leaks are in no list, for there was no memory to note them.
     */
    uint64_t unnoted;
} rt_report_summary;

/**
 * What became of one writer's bytes. `accepted == written + unwritten + in_flight`.
 */
typedef struct rt_report_destination {
    /**
     * `sizeof(rt_report_destination)`.
     */
    size_t struct_size;
    /**
     * The writer's name; lives as long as the report.
     */
    const char *name;
    /**
     * Why bytes were not written, or empty; lives as long as the report.
     */
    const char *reason;
    /**
     * Bytes accepted over the writer's life.
     */
    uint64_t accepted;
    /**
     * Bytes the destination took over the writer's life.
     */
    uint64_t written;
    /**
     * Of these, bytes written by finalization.
     */
    uint64_t flushed;
    /**
     * Bytes taken over from an owner that will never run again.
     */
    uint64_t recovered;
    /**
     * Bytes that certainly did not arrive.
     */
    uint64_t unwritten;
    /**
     * Bytes in a raw write that has not returned.
     */
    uint64_t in_flight;
    /**
     * Bytes that were in the buffer when a `fork` made this process: the parent's, and in no other
     * number here.
     */
    uint64_t left_to_parent;
} rt_report_destination;

/**
 * One deliberate leak.
 */
typedef struct rt_report_leak {
    /**
     * `sizeof(rt_report_leak)`.
     */
    size_t struct_size;
    /**
     * One of `RT_LEAK_*`.
     */
    uint32_t kind;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * Whose it is; lives as long as the report.
     */
    const char *name;
    /**
     * Why it was kept; lives as long as the report.
     */
    const char *reason;
    /**
     * How much memory of the library's it keeps; 0 where only the host knows.
     */
    uint64_t bytes;
} rt_report_leak;

/**
 * Calls of one kind that came from inside the dealloc of objects of one name, and were refused.
 */
typedef struct rt_report_violation {
    /**
     * `sizeof(rt_report_violation)`.
     */
    size_t struct_size;
    /**
     * The objects' name; lives as long as the report.
     */
    const char *object;
    /**
     * The function they called, `rt_writer_write`; lives as long as the report.
     */
    const char *call;
    /**
     * How often.
     */
    uint64_t count;
} rt_report_violation;

/**
 * A handler that finalization left out, or did not wait for.
 */
typedef struct rt_report_left {
    /**
     * `sizeof(rt_report_left)`.
     */
    size_t struct_size;
    /**
     * Its phase, one of `RT_PHASE_*`.
     */
    uint32_t phase;
    /**
     * What became of it by the end of the finalization, one of `RT_LEFT_*`.
     */
    uint32_t state;
    /**
     * Its name; lives as long as the report.
     */
    const char *name;
    /**
     * How it ended, `returned -1`, or why it was not started; may be empty. Lives as long as the
     * report.
     */
    const char *how;
    /**
     * How long it took, or has run so far, in microseconds; 0 if it did not begin.
     */
    uint64_t us;
} rt_report_left;

/**
 * What a host sees one of its threads do.
 */
typedef struct rt_seen_thread {
    /**
     * `sizeof(rt_seen_thread)`.
     */
    size_t struct_size;
    /**
     * The host's number for the thread, by which it is known again while it lives.
     */
    uint64_t number;
    /**
     * What the report calls it: `daemon thread 'logger'`. Read the first time.
     */
    const char *name;
    /**
     * Where it is and what it waits for, `in fetch (app.py:12), in read of descriptor 3`; may be NULL.
     */
    const char *what;
    /**
     * One of `RT_SEEN_*`.
     */
    uint32_t state;
    /**
     * Zero.
     */
    uint32_t reserved;
} rt_seen_thread;

/**
 * Writes at most `size` bytes of UTF-8 to `text`, without a zero at their end, and returns how many: where in the
 * host's own code the finalizing thread is (`in Cache.__del__ (cache.py:12)`).
 *
 * It runs on a thread of the library's while the finalizing thread goes on or is stuck, anywhere. So it must
 * neither wait, allocate, nor use thread-locals, and call nothing that does, this library neither.
 */
typedef size_t (*rt_describe_callback)(char *text, size_t size);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What a status means, in a sentence fit for a log.
 *
 * The text is static and never NULL; a number that is no status says so.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * CPython: none.
 */
const char *rt_strerror(rt_status status);

/**
 * The text of the calling thread's last error: what went wrong, and what to do about it.
 *
 * Set by calls that return a negative status, left alone by all others. Never NULL, empty before the
 * first error, at most 511 bytes of UTF-8. It belongs to the library: valid until the thread's next
 * error, and gone with the thread.
 *
 * Thread: any, each has its own. Stage: any. Signal handler: safe.
 *
 * CPython: the job of `PyErr_Occurred`, without objects.
 */
const char *rt_last_error(void);

/**
 * The version of the library that is loaded, as `major << 16 | minor << 8 | patch`.
 *
 * Compare it with `RT_VERSION_NUMBER`, the version of the header the host was built with: while `major` is
 * 0, `major` and `minor` must agree; from 1 on `major` must, and the library's `minor` may be larger.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * CPython: `Py_Version`.
 */
uint32_t rt_version(void);

/**
 * The version of the library that is loaded, as text. Static, never NULL.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * CPython: `Py_GetVersion`.
 */
const char *rt_version_string(void);

/**
 * Sets how long the library's own waits in one phase may last, in microseconds, for this life of
 * the runtime: of a flush phase those for room at a destination too, and of every phase those that
 * callbacks sit in. Negative means no limit before the freeze; from the early flush on it means the default.
 * A callback of the host's in that phase that runs on when the budget is spent is not interrupted but
 * reported as an overrun (`RT_EVENT_OVERRUN`); without a call of this function only the deadline does that.
 *
 * Thread: any. Stage: before finalization of the runtime begins; later it has no effect.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`; `RT_ERR_INVALID` if there is no such phase.
 *
 * CPython: none.
 */
rt_status rt_runtime_set_budget(struct rt_runtime *runtime,
                                uint32_t phase,
                                int64_t budget_us);

/**
 * Sets the options of this life of the runtime: `rt_finalize_ex` goes by them, `rt_finalize` too
 * where its own say nothing, and so does a parent that finalizes this runtime.
 *
 * They replace those set before: zero in a field is the default again. Budgets of phases
 * (`rt_runtime_set_budget`) stay. The struct is copied.
 *
 * Thread: any. Stage: before finalization of the runtime begins; later it has no effect.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_INVALID` (an
 * option).
 *
 * CPython: none.
 */
rt_status rt_runtime_set_options(struct rt_runtime *runtime,
                                 const struct rt_finalize_options *options);

/**
 * Sets one of the options of this life of the runtime by a text, as a command line or a file of settings
 * has it: `name` is `RTFINALIZE_DEADLINE`, `RTFINALIZE_GRACE` or `RTFINALIZE_REPORT`, and `text` what
 * the environment's variable of that name takes: a time (`5s`, `1.5s`, `500ms`), or `text`, `json`,
 * `trace` or `html` with `:PATH` for a file. The environment's own wins.
 *
 * In PATH `%p` is the process number and `%%` a percent sign; no other percent sign may stand there. A
 * regular file, also behind a link, is written aside and renamed into its place, with the permissions it
 * had, so that nobody reads half of a report; where its folder or its owner does not allow that, or it has
 * further names, it is written in place. `/dev/stdout`, `/dev/stderr` and `/dev/fd/N` are the descriptors.
 * What has a reader is waited for until the deadline, for 1 s at most. A report that cannot be written costs
 * a line on stderr, and is told by `RT_UNREPORTED` and `rt_report_unreported`.
 *
 * Thread: any. Stage: before finalization of the runtime begins; later it has no effect.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_UTF8` (the name), `RT_ERR_INVALID` (no
 * such setting, or not what it takes: `rt_last_error` has a text for whoever wrote it),
 * `RT_ERR_NO_MEMORY`.
 *
 * CPython: its `-X NAME=VALUE`.
 */
rt_status rt_runtime_set_text(struct rt_runtime *runtime,
                              const char *name,
                              const char *value);

/**
 * The deadline that a finalization of the runtime would have if it began now, in microseconds: the
 * environment's, or what was set for this life of it. Negative means no limit.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns a time; -1 also for a wrong handle.
 *
 * CPython: none.
 */
int64_t rt_runtime_deadline(struct rt_runtime *runtime);

/**
 * The grace that a finalization of the runtime would have if it began now, in microseconds: the environment's, or
 * what was set for this life of it. A host whose own files have locks gives their owners as long.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns a time; -1 for a wrong handle.
 *
 * CPython: none.
 */
int64_t rt_runtime_grace(struct rt_runtime *runtime);

/**
 * When the lines on stderr would begin that name what a finalization waits for: those of a host's own waits
 * can begin then, too.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns microseconds after the wait's beginning; -1 for never, and for a handle that is none.
 *
 * CPython: none.
 */
int64_t rt_runtime_notice(struct rt_runtime *runtime);

/**
 * Makes a runtime that runs, beside the default one, and stores its handle in `*runtime`.
 *
 * `name` is copied; NULL is a name of its own. The handle is the host's: finalize the runtime, then
 * free it with `rt_runtime_free`.
 *
 * Thread: any. Stage: any; whether other runtimes finalize does not matter. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: `Py_NewInterpreterFromConfig`.
 */
rt_status rt_runtime_new(const char *name,
                         struct rt_runtime **runtime);

/**
 * Makes a runtime that runs, as a child of `parent`, and stores its handle in `*child`. NULL as the
 * parent is the default runtime.
 *
 * A child has threads, callbacks, writers and handlers of its own; a thread may be attached to it and
 * to its parent. Finalizing the parent finalizes its children in the `children` phase, the youngest
 * first, each with all its phases, on the thread that finalizes the parent: by the child's own
 * options, within the time the parent has left and at most half of the grace it has left. If another
 * thread is finalizing the child, that is waited for as long as the child's `join_us` and the
 * parent's time allow; then the child is left to it and entered in the parent's ledger as
 * `RT_LEAK_CHILD`. A child that was incomplete makes its parent incomplete; its report is part of
 * the parent's (`rt_report_child`).
 *
 * A child may be finalized before its parent, alone: from any thread, also inside a callback or
 * handler of the parent. It may have children of its own, down to 32 generations.
 *
 * `options` may be NULL: the defaults. The handle is the host's, also after the parent finalized
 * the child: free it with `rt_runtime_free`, before or after the parent's.
 *
 * Thread: any. Stage: until the parent freezes; one made while the parent runs its passes is
 * finalized with the others. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`,
 * `RT_ERR_INVALID` (a flag, or too many generations), `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING` (the
 * parent).
 *
 * CPython: `Py_NewInterpreterFromConfig`; the flag is its `allow_daemon_threads`.
 */
rt_status rt_runtime_new_child(struct rt_runtime *parent,
                               const struct rt_runtime_options *options,
                               struct rt_runtime **child);

/**
 * Frees a runtime that was finalized, and its handle. Nothing may use the handle any more.
 *
 * Children of it that its finalization left to other threads go on, and are still their hosts' to
 * free; a child cannot be initialised again once its parent is freed.
 *
 * Thread: any. Stage: after `rt_finalize` of it. Threads parked by it stay parked.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_STATE` if it is not finalized, `RT_ERR_INVALID` for NULL
 * (the default runtime cannot be freed).
 *
 * CPython: the rest of `Py_EndInterpreter`.
 */
rt_status rt_runtime_free(struct rt_runtime *runtime);

/**
 * Starts a runtime again after it was finalized: a new life, in which nothing of the former one is
 * registered and no thread attached. Threads and writers of the former life find it finalized.
 *
 * The default runtime needs no first start: it runs as soon as it is used. A child starts again only
 * while its parent admits children; it is one of them again then.
 *
 * Thread: any. Stage: finalized. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`; `RT_ERR_STATE` if the runtime is not finalized, or its parent is
 * finalized or freed.
 *
 * CPython: `Py_Initialize` after `Py_FinalizeEx`.
 */
rt_status rt_initialize(struct rt_runtime *runtime);

/**
 * How far a runtime's life has come: one of `RT_STATE_*`, or a negative status.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns a state; `RT_ERR_HANDLE`.
 *
 * CPython: `Py_IsInitialized` and `Py_IsFinalizing` in one.
 */
int32_t rt_runtime_state(struct rt_runtime *runtime);

/**
 * The number a runtime is known by to locks (`rt_buffered_lock_init_for`): 0 for the default one,
 * the same in every life. A negative status if there is none.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns a number; `RT_ERR_HANDLE`.
 *
 * CPython: `PyInterpreterState_GetID`.
 */
int64_t rt_runtime_id(struct rt_runtime *runtime);

/**
 * 1 from the moment the default runtime starts to finalize until it is initialised again, else 0.
 *
 * One load; never waits. `rt_is_finalizing_inline` is the same without a call.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * CPython: `Py_IsFinalizing`.
 */
int rt_is_finalizing(void);

/**
 * Finalizes the default runtime, from the calling thread: runs all phases in their order.
 *
 * Waits for guards and non-daemon threads as long as they take (`rt_runtime_set_options` sets a
 * deadline), and for a destination without room, as stdio does; from the freeze on every wait for a
 * lock or a thread is bounded. A second thread that calls it meanwhile waits for the first, at
 * most 10 s, and gets its result. With `RTFINALIZE_REPORT=text|json|trace|html[:PATH]` in the environment
 * the report is written to stderr or PATH (`rt_runtime_set_text`); one that cannot be written costs a line
 * on stderr.
 *
 * Thread: any, attached or not; inside a callback as for `rt_finalize`. Stage: any.
 * Signal handler: limited.
 *
 * Returns 0; again, 0 with nothing done; -1 if data could not be flushed, a phase failed, a deadline
 * passed or the call was refused: `rt_last_error` says which.
 *
 * CPython: `Py_FinalizeEx`.
 */
int rt_finalize_ex(void);

/**
 * Finalizes a runtime, from the calling thread, with options and a report.
 *
 * `options` may be NULL; where it, or a field of it, says nothing the runtime's own hold
 * (`rt_runtime_set_options`). `report` may be NULL; else `*report` is set to the account of
 * the finalization whenever there is one, also with `RT_ERR_INCOMPLETE`, and to NULL otherwise: so also
 * where there is no memory for it. The report is the host's: free it with `rt_report_free`.
 *
 * Memory for a finalization is set aside when a runtime begins, and what is registered may need more. If that
 * is not to be had the answer is `RT_ERR_NO_MEMORY`: every writer was written out as far as that goes without
 * memory, until the grace or the deadline, and nothing else was done. The last error's text says whether all bytes
 * are written. Free some memory and call again, or end the process. So it is with `RT_OVERRUN_EXIT` if there is no
 * memory for the thread that would end the process at its deadline. Where memory becomes short later the bytes are
 * written first, and what could not be noted is counted (`unnoted`).
 *
 * Inside a callback it depends on whose that is. The runtime whose callback (or handler, or
 * `delete_state`) it is, and that runtime's ancestors, are refused with `RT_ERR_IN_CALLBACK`: their
 * finalization would enter again what the thread is in the middle of, or wait for it. Any other
 * runtime can be finalized there, so also the children of the callback's own; it then has no more time
 * than the finalization whose callback that is. Inside a callback of a
 * writer or of an in-flight operation every runtime is refused; and in a signal handler over a
 * thread that finalizes, the runtime it finalizes, and that one's ancestors.
 *
 * Thread: any, attached or not. Stage: any. A second thread waits for
 * the first and gets its result (if it is inside the runtime, it is outside afterwards); after
 * finalization the call does nothing and gives the report again. Signal handler: limited.
 *
 * In the child of a `fork`, what a thread that was not copied had begun is over. A runtime it was about to
 * finalize runs again, and this call begins anew; one that was frozen already is finalized, and the
 * first call says so: `RT_ERR_INCOMPLETE`, with a report that names the phase. A callback of this
 * finalization may fork: both processes go on with it, each on its own copy.
 *
 * Returns `RT_OK`; `RT_UNREPORTED` if everything was done, but the report could not be written to where
 * `RTFINALIZE_REPORT` has it; `RT_ERR_INCOMPLETE` if data could not be flushed, a phase failed or a deadline
 * passed (the runtime is finalized, and the report says what happened); `RT_ERR_IN_CALLBACK`; `RT_ERR_TIMEOUT`
 * if the other thread did not end in time; `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_INVALID`
 * (an option), `RT_ERR_NO_MEMORY` (nothing but the bytes was seen to), `RT_ERR_THREAD_EXITING`.
 *
 * CPython: `Py_FinalizeEx`, `Py_EndInterpreter`.
 */
rt_status rt_finalize(struct rt_runtime *runtime,
                      const struct rt_finalize_options *options,
                      struct rt_report **report);

/**
 * The name of a phase, as reports use it. Static; NULL if there is no such phase.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * CPython: none.
 */
const char *rt_phase_name(uint32_t phase);

/**
 * Hangs a handler on a phase of a runtime's finalization.
 *
 * Handlers with a negative `order` run before the phase's own work, the others after it; smaller
 * orders first, equal ones in the order of registration. In a phase before the freeze a handler runs
 * in every pass (there is another one whenever work came in meanwhile); it returns `RT_AGAIN` if it did
 * something, so that another pass looks. `name` (may be
 * NULL) is copied, for the report. `arg` stays the host's. `*id` (`id` may be NULL) is for
 * `rt_unregister`.
 *
 * Thread: any. Stage: until the phase can no longer run; from inside a handler too (one for the phase
 * that runs is called if its turn by `order` is still to come). Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_INVALID` (no such phase), `RT_ERR_HANDLE`,
 * `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING`.
 *
 * CPython: the body of `Py_FinalizeEx`, taken apart.
 */
rt_status rt_phase_add_handler(struct rt_runtime *runtime,
                               uint32_t phase,
                               int32_t order,
                               const char *name,
                               rt_callback callback,
                               void *arg,
                               uint64_t *id);

/**
 * As `rt_phase_add_handler`, with dependencies on other handlers of the phase by their names.
 *
 * A dependency beats `order`, except that a handler stays on its side of the phase's own work. A
 * name may be registered later, or never: then it means nothing; if several handlers have it, it means
 * all of them. A dependency that closes a cycle, also one through the phase's own work, is refused,
 * and `rt_last_error` prints the cycle; nothing is registered then. The names are copied. `options` may
 * be NULL.
 *
 * Thread: any. Stage: as `rt_phase_add_handler`. Signal handler: limited.
 *
 * Returns as `rt_phase_add_handler`, and `RT_ERR_CYCLE`, `RT_ERR_STRUCT_SIZE`,
 * `RT_ERR_INVALID` (a work policy; `RT_WORK_CONTINUE` on a runtime with `RT_RUNTIME_NO_DAEMONS`).
 *
 * CPython: none; the order inside `Py_FinalizeEx` is written down in its code.
 */
rt_status rt_phase_add_handler_ex(struct rt_runtime *runtime,
                                  uint32_t phase,
                                  const char *name,
                                  const struct rt_handler_options *options,
                                  rt_callback callback,
                                  void *arg,
                                  uint64_t *id);

/**
 * How long a handler or callback that waits for others may still do so in the present phase, in
 * microseconds: what is left of the phase's budget, or of the deadline. Negative means no limit, 0 that
 * the time is up: a host's own wait then ends, and says so with `rt_note_blocked`.
 *
 * Thread: any. Stage: any; while the runtime runs there is no limit. Signal handler: limited.
 *
 * Returns a time; -1 also for a wrong handle.
 *
 * CPython: none.
 */
int64_t rt_time_left(struct rt_runtime *runtime);

/**
 * Registers a callback for the `atexit` phase: last in, first out.
 *
 * One that is registered while the callbacks run is run too, next. One that fails is counted, and
 * the rest still run. There is no limit on their number. `name` (may be NULL) is copied, for the
 * report; `arg` stays the host's. `*id` (`id` may be NULL) is for `rt_unregister`.
 *
 * Thread: any. Stage: until the runtime freezes; from inside a callback too. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`,
 * `RT_ERR_FINALIZING`.
 *
 * CPython: `atexit.register`, `PyUnstable_AtExit`.
 */
rt_status rt_atexit(struct rt_runtime *runtime,
                    const char *name,
                    rt_callback callback,
                    void *arg,
                    uint64_t *id);

/**
 * Unregisters every at-exit callback that calls `callback`, and, unless `arg` is NULL, has this
 * `arg`. Stores how many there were in `*removed` (may be NULL).
 *
 * Thread: any. Stage: any; from inside a callback too, which is not stopped by unregistering it.
 * Signal handler: limited.
 *
 * Returns `RT_OK`, also if there was none; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`.
 *
 * CPython: `atexit.unregister`.
 */
rt_status rt_atexit_unregister(struct rt_runtime *runtime,
                               rt_callback callback,
                               void *arg,
                               size_t *removed);

/**
 * Registers a low-level exit function: the last phase runs them, last in first out, when nothing of
 * the runtime works any more. There is no limit on their number.
 *
 * Arguments as for `rt_atexit`.
 *
 * Thread: any. Stage: until the last of them has run; from inside an exit function too.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`,
 * `RT_ERR_FINALIZING`.
 *
 * CPython: `Py_AtExit`, without its limit of 32.
 */
rt_status rt_exit_function(struct rt_runtime *runtime,
                           const char *name,
                           rt_callback callback,
                           void *arg,
                           uint64_t *id);

/**
 * Asks for a call to be made by the thread that runs pending calls, or by the finalizing one.
 *
 * Arguments as for `rt_atexit`. First in, first out.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL` (no callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`,
 * `RT_ERR_FINALIZING`.
 *
 * CPython: `Py_AddPendingCall`.
 */
rt_status rt_pending_add(struct rt_runtime *runtime,
                         const char *name,
                         rt_callback callback,
                         void *arg,
                         uint64_t *id);

/**
 * Makes the pending calls that are there now, on the calling thread, and stores how many in `*made`
 * (may be NULL). A failed one is counted by the next finalization's report.
 *
 * Thread: any. Stage: any; once the runtime is frozen there are none left. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`; `RT_ERR_CALLBACK` if one failed, the rest were made.
 *
 * CPython: `Py_MakePendingCalls`.
 */
rt_status rt_pending_run(struct rt_runtime *runtime, size_t *made);

/**
 * Unregisters what has this `id` in the runtime: an at-exit callback, an exit function, a pending
 * call or a handler. It is not called any more, unless it is being called at this moment.
 *
 * Thread: any. Stage: any; from inside a callback too. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_FOUND` if it ran, or was removed, already; `RT_ERR_HANDLE`.
 *
 * CPython: `atexit.unregister`, for one registration.
 */
rt_status rt_unregister(struct rt_runtime *runtime, uint64_t id);

/**
 * Attaches the calling thread to a runtime and stores its handle in `*thread`. The thread is outside
 * then: it must enter before it touches the runtime.
 *
 * Finalization knows the thread from here on, not from its creation: one that must be waited for
 * attaches before its creator goes on.
 *
 * `options` may be NULL. The handle is gone after `rt_thread_detach`, or with the thread; a thread that
 * exits attached is noticed and named in the report.
 *
 * Thread: any that is not attached to this runtime yet. Stage: until the runtime freezes.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`,
 * `RT_ERR_INVALID` (no such policy, or a daemon where there may be none or with another `work`), `RT_ERR_ALREADY_ATTACHED`, `RT_ERR_FINALIZING`,
 * `RT_ERR_NO_MEMORY`, `RT_ERR_THREAD_EXITING`. After an error `delete_state` is not called.
 *
 * CPython: `PyThreadState_New`.
 */
rt_status rt_thread_attach(struct rt_runtime *runtime,
                           const struct rt_thread_options *options,
                           struct rt_thread **thread);

/**
 * Detaches the calling thread. The handle is gone; the host state is deleted.
 *
 * Late, once the runtime is frozen, the host state is left to the finalizing thread.
 *
 * Thread: the one that attached. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_WRONG_THREAD`.
 *
 * CPython: `PyThreadState_Clear` and `PyThreadState_DeleteCurrent`.
 */
rt_status rt_thread_detach(struct rt_thread *thread);

/**
 * Goes inside the runtime: from here to `rt_thread_leave` the thread may touch it, and the freeze
 * waits for it.
 *
 * Once the runtime finalizes, only the finalizing thread gets in; another one meets its policy. With
 * `RT_POLICY_HANG` the call does not return then: the thread is parked for good, and locks it owns are
 * taken over from it.
 *
 * Thread: the one that attached, outside. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; by policy `RT_ERR_FINALIZING` or `RT_ERR_EXIT_THREAD`, and the thread is outside;
 * `RT_ERR_STATE` if it is inside already; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_WRONG_THREAD`.
 *
 * CPython: `PyEval_RestoreThread`, `Py_END_ALLOW_THREADS`.
 */
rt_status rt_thread_enter(struct rt_thread *thread);

/**
 * Goes outside the runtime, to block or to compute without it. Never waits.
 *
 * Thread: the one that attached, inside. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_STATE` if it is not inside; `RT_ERR_NULL`, `RT_ERR_HANDLE`,
 * `RT_ERR_WRONG_THREAD`.
 *
 * CPython: `PyEval_SaveThread`, `Py_BEGIN_ALLOW_THREADS`.
 */
rt_status rt_thread_leave(struct rt_thread *thread);

/**
 * To be passed often by a thread that runs inside: here it can be stopped.
 *
 * Thread: the one that attached. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; by policy as `rt_thread_enter`, and the thread is outside; `RT_ERR_NULL`,
 * `RT_ERR_HANDLE`, `RT_ERR_WRONG_THREAD`.
 *
 * CPython: the eval breaker, `Py_MakePendingCalls`' check for finalization.
 */
rt_status rt_thread_checkpoint(struct rt_thread *thread);

/**
 * Parks the calling thread for good, as `RT_POLICY_HANG` does with one that comes too late: it does not
 * return, nothing is unwound, no signal handler runs on it any more, and every buffered lock it holds
 * is taken over by whoever wants it next.
 *
 * Whoever joins such a thread, or wants a mutex that it has, waits for good. Where lines about waits are wanted
 * (`rt_finalize_options.notice_us`) one names both threads, after the finalization too (Linux with glibc).
 *
 * For a host that decides by itself who comes too late, as CPython does when a thread wants the GIL.
 *
 * Thread: any, attached or not, but one that finalizes. Stage: any. Signal handler: never.
 *
 * Returns never.
 *
 * CPython: what `PyEval_RestoreThread` does with a daemon thread after finalization (3.14).
 */
void rt_thread_park(void);

/**
 * Says what a thread of this process is doing, in words for a person, into a buffer of `size` bytes as a C string:
 * `running`, `asleep in futex`, `in read of descriptor 0 (pipe:[4711])`. Nothing of it is certain for longer than a
 * moment. On Windows it is what the thread is called.
 *
 * `number` is the system's of the thread: what `gettid` or `GetCurrentThreadId` returns on it. The text is empty if
 * there is no such thread in this process, or nobody knows. `*needed` (may be NULL) gets the size of the whole, its NUL
 * included: call with `buffer` NULL and `size` 0 to learn it. What does not fit is cut, and the buffer is a C string all
 * the same; 256 bytes are enough for most texts.
 *
 * Thread: any, about any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_SIZE` if it was cut; `RT_ERR_NULL`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_thread_whereabouts(uint32_t number,
                                char *buffer,
                                size_t size,
                                size_t *needed);

/**
 * Makes a view of the present life of a runtime and stores it in `*view`.
 *
 * Threads that are to call in later get a view, not the runtime: `rt_guard_acquire` then checks and
 * pins in one step. The view never refers to another life: after `rt_initialize` make another.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: `PyInterpreterView_FromCurrent`, with NULL `PyUnstable_InterpreterView_FromDefault` (PEP 788).
 */
rt_status rt_view_from(struct rt_runtime *runtime,
                       struct rt_view **view);

/**
 * Closes a view. Guards that were acquired from it stay open. NULL does nothing.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`.
 *
 * CPython: `PyInterpreterView_Close` (PEP 788).
 */
rt_status rt_view_close(struct rt_view *view);

/**
 * Checks that the life a view sees runs, and pins it, in one call; stores the guard in `*guard`. Until
 * `rt_guard_release` finalization does not go on to the freeze.
 *
 * `name` is copied, cut to 32 bytes; NULL for none. A wait for guards that overruns names them with
 * their threads and ages.
 *
 * Once finalization has begun a new guard is refused: threads that come back again and again would keep
 * finalization from ever going on. Until the step to the freeze it is still granted to those for whom
 * finalization waits anyway: a thread that holds another guard of this life, any thread while a shared one
 * is open (it may have been handed over to that thread), a thread that is attached and waited for, and the
 * finalizing thread. The call then may wait for that one's decision, some milliseconds.
 *
 * A host with one big lock, which holders of guards need before they let go, must not keep it while
 * finalization waits for them. It lets go of the lock in handlers before the work of `RT_PHASE_GUARDS`,
 * `RT_PHASE_THREADS` and `RT_PHASE_FREEZE` (`rt_phase_add_handler` with a negative order), and takes it
 * again in handlers after that (order 0).
 *
 * A guard that is open when the budget of `RT_PHASE_GUARDS` or the deadline is over does not hold up
 * finalization any longer, and counts as a runaway: nothing its holder may reach is freed. Without
 * either, finalization waits as long as it takes, and says on stderr for whom. Guards of the
 * finalizing thread itself are not waited for, unless they are shared (`rt_guard_acquire_shared`).
 *
 * No atomic read-modify-write, and no cache line that other threads write, attached or not. After
 * `fork` the child has the guards of the thread that forked; those of others are closed.
 *
 * Thread: any, attached or not. Stage: until finalization begins, and as said above.
 * Signal handler: safe.
 *
 * Returns `RT_OK`; `RT_ERR_FINALIZING` if the life is being finalized, or over; `RT_ERR_NULL`,
 * `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`, `RT_ERR_THREAD_EXITING`; `RT_ERR_WOULD_BLOCK` in
 * a signal handler over a call of this library that cannot be entered twice.
 *
 * CPython: `PyInterpreterGuard_FromView` (PEP 788).
 */
rt_status rt_guard_acquire(struct rt_view *view,
                           const char *name,
                           struct rt_guard **guard);

/**
 * As `rt_guard_acquire`, for a guard that is handed over: any thread may close it, so finalization waits
 * for it also if the finalizing thread has opened it. If nobody else closes it that wait lasts until the
 * budget or the deadline is over.
 *
 * Thread: any, attached or not. Stage: as `rt_guard_acquire`. Signal handler: safe.
 *
 * Returns as `rt_guard_acquire`.
 *
 * CPython: `PyInterpreterGuard_FromCurrent`, given to a thread that is started then (PEP 788).
 */
rt_status rt_guard_acquire_shared(struct rt_view *view,
                                  const char *name,
                                  struct rt_guard **guard);

/**
 * As `rt_guard_acquire`, for the runtime the calling thread is attached to by `thread`: no view is
 * needed.
 *
 * Thread: the one that attached. Stage: as `rt_guard_acquire`. Signal handler: safe.
 *
 * Returns as `rt_guard_acquire`; `RT_ERR_WRONG_THREAD`.
 *
 * CPython: `PyInterpreterGuard_FromCurrent` (PEP 788).
 */
rt_status rt_guard_from_current(struct rt_thread *thread,
                                const char *name,
                                struct rt_guard **guard);

/**
 * Closes a guard: what was done under it is whole before finalization goes on. NULL does nothing.
 *
 * It need not be the thread that opened it. A guard of a thread that has ended stays open until
 * another one closes it. Of two threads that release the same guard at the same moment both may get
 * `RT_OK`; it is closed once.
 *
 * Thread: any. Stage: any; late, after finalization gave the guard up, it does
 * nothing more than close. Signal handler: safe.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE` if it was released already, or never was.
 *
 * CPython: `PyInterpreterGuard_Close` (PEP 788).
 */
rt_status rt_guard_release(struct rt_guard *guard);

/**
 * Makes a free lock that follows the default runtime, in memory of any content.
 *
 * `lock` must not be held, waited for, or NULL (then nothing happens).
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * CPython: `_PyIO_..._init` of a buffered object.
 */
void rt_buffered_lock_init(struct rt_buffered_lock *lock);

/**
 * Makes a free lock that follows `runtime`: when that finalizes, waits for the lock are bounded.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL`, `RT_ERR_HANDLE`.
 *
 * CPython: as `rt_buffered_lock_init`, in a subinterpreter.
 */
rt_status rt_buffered_lock_init_for(struct rt_buffered_lock *lock, struct rt_runtime *runtime);

/**
 * Acquires the lock, waiting for its owner.
 *
 * An owner that will never run again, one that was parked or has exited, is not waited for at all. A
 * live one is waited for as long as it takes, until the lock's runtime freezes; from then on only for
 * the grace period (by default 1 s; the finalizing thread has one grace for all its waits). In a callback
 * of a finalization, before the freeze too, the wait ends with the time of that. A wait
 * that began earlier is woken by the freeze, and follows the new rules. Uncontended it costs one
 * atomic read-modify-write.
 *
 * A waiting thread stays where it is: one inside a runtime should leave it before it may wait long.
 *
 * Thread: any, attached or not. Stage: any. Signal handler: safe until the lock's runtime finalizes; from
 * then on it may take memory, to name an owner that does not let go.
 *
 * Returns `RT_OK`; `RT_RECOVERED` if it was taken over from an owner that will never run again: the
 * lock is held, but what it protects may be half changed (`rt_buffered_lock_take_progress`);
 * `RT_ERR_REENTRANT` if this thread holds it already; `RT_ERR_OWNER_BLOCKED` if, finalizing, the owner
 * did not let go within the grace: do not touch or free what the lock protects; `RT_ERR_NULL`,
 * `RT_ERR_THREAD_EXITING`.
 *
 * CPython: `ENTER_BUFFERED`, without its fatal error "could not acquire lock for ... at interpreter
 * shutdown, possibly due to daemon threads".
 */
rt_status rt_buffered_lock_acquire(struct rt_buffered_lock *lock);

/**
 * Acquires the lock, waiting for its owner at most `timeout_us` microseconds: negative waits
 * indefinitely, 0 only tries. It never waits longer than that.
 *
 * Otherwise as `rt_buffered_lock_acquire`.
 *
 * Thread: as there. Stage: any. Signal handler: safe.
 *
 * Returns what `rt_buffered_lock_acquire` does, and `RT_ERR_TIMEOUT`.
 *
 * CPython: `PyThread_acquire_lock_timed`.
 */
rt_status rt_buffered_lock_acquire_timed(struct rt_buffered_lock *lock, int64_t timeout_us);

/**
 * Releases the lock. Uncontended it costs one atomic read-modify-write.
 *
 * Thread: the owner. Stage: any. Signal handler: safe.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_OWNER` if this thread does not hold it, and nothing was changed;
 * `RT_ERR_NULL`.
 *
 * CPython: `LEAVE_BUFFERED`.
 */
rt_status rt_buffered_lock_release(struct rt_buffered_lock *lock);

/**
 * The owner says how many bytes of a raw write in progress the kernel has taken.
 *
 * To be called between the system call's return and the next point at which the thread can be
 * parked (`rt_thread_enter`, `rt_thread_checkpoint`). Whoever takes the lock over reads it with
 * `rt_buffered_lock_take_progress`, and so writes each byte once. The owner that goes on normally takes
 * it back itself, before it accounts for the bytes.
 *
 * Thread: the owner. Stage: any. Signal handler: safe.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_OWNER`, `RT_ERR_NULL`.
 *
 * CPython: none; the count lives in a local variable there, and is lost.
 */
rt_status rt_buffered_lock_publish_progress(struct rt_buffered_lock *lock,
                                            uint32_t bytes);

/**
 * Takes what was published and not taken yet: stores it in `*bytes` and leaves 0.
 *
 * Thread: the owner. Stage: any. Signal handler: safe.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_OWNER`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
rt_status rt_buffered_lock_take_progress(struct rt_buffered_lock *lock, uint32_t *bytes);

/**
 * Makes a buffered writer over a descriptor, registers it for the runtime's flush phases, and stores
 * its handle in `*writer`.
 *
 * The descriptor stays the host's unless `RT_WRITER_OWNS_FD` is given; it must stay open as long as
 * the writer. The handle is the host's: end it with `rt_writer_close` or `rt_writer_abandon`.
 *
 * On Windows it is a descriptor of the C runtime that the library is linked to, which need not be the
 * host's: `rt_writer_open_handle` has no such question. A disk file's is written by that runtime, so at
 * its end if it was opened for appending, and with newlines translated if it was opened as text; a
 * pipe's or a console's gets the bytes as they are.
 *
 * Thread: any. Stage: until the runtime freezes; on the finalizing thread until
 * its writers are sealed, after the exit functions. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_BAD_DESCRIPTOR` (closed, or read-only), `RT_ERR_NULL`, `RT_ERR_HANDLE`,
 * `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`, `RT_ERR_INVALID` (a flag), `RT_ERR_SIZE` and `RT_ERR_NO_MEMORY`
 * (the capacity), `RT_ERR_FINALIZING`.
 *
 * CPython: `BufferedWriter(FileIO(fd))`.
 */
rt_status rt_writer_open_fd(struct rt_runtime *runtime,
                            int fd,
                            const struct rt_writer_options *options,
                            struct rt_writer **writer);

#if defined(_WIN32)
/**
 * Makes a buffered writer over a Windows `HANDLE`: a disk file's, a pipe's or a console's, opened for
 * writing and not for overlapped I/O. Otherwise as `rt_writer_open_fd`; with `RT_WRITER_OWNS_FD` it is
 * closed with the writer. Bytes are written as they are; the messages of a pipe that has such are not the
 * records.
 *
 * A pipe keeps its modes. Only while a write finds it full, or its reader waiting with a large buffer, is
 * its end in the mode `PIPE_NOWAIT`, for the moment of that write: a read of the same end that another
 * thread begins just then may fail with `ERROR_NO_DATA`, and is to be tried again.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns what `rt_writer_open_fd` does.
 *
 * CPython: `_winapi.WriteFile`.
 */
rt_status rt_writer_open_handle(struct rt_runtime *runtime,
                                void *handle,
                                const struct rt_writer_options *options,
                                struct rt_writer **writer);
#endif

/**
 * Makes a buffered writer over callbacks, which are copied. Otherwise as `rt_writer_open_fd`.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns what `rt_writer_open_fd` does; `RT_ERR_NULL` also if there is no `write`.
 *
 * CPython: `BufferedWriter` over a raw stream of Python's.
 */
rt_status rt_writer_open_callbacks(struct rt_runtime *runtime,
                                   const struct rt_writer_callbacks *callbacks,
                                   const struct rt_writer_options *options,
                                   struct rt_writer **writer);

/**
 * Accepts a record of `len` bytes, whole or not at all, waiting for room as long as it takes.
 *
 * What is accepted is written exactly once, or counted in the report. Records of several threads do
 * not mix. A record larger than the buffer is accepted when the buffer is empty. A wait for room holds
 * no lock, and an attached thread is outside the runtime meanwhile (and may be parked when it comes
 * back). In a callback of a finalization a wait for room or for the lock ends with the time of that: the
 * deadline, before the freeze a quarter earlier (500 ms at most), or a budget of the phase that the host
 * has set. `data` may be NULL if `len` is 0.
 *
 * In the child of a `fork` the writer is empty and its account starts at zero: what it held is the
 * parent's, which writes or reports it (`RT_WRITER_FORK_KEEP` says otherwise). Threads of the parent
 * hold no lock there; the forking thread still has what it locked. A call in whose callback the process
 * was forked returns `RT_ERR_STATE` in the child: its record is the parent's.
 *
 * A thread in this call cannot be cancelled.
 *
 * Thread: any, attached or not. Stage: until the runtime freezes; the
 * finalizing thread until the end. Signal handler: limited.
 *
 * Returns `RT_OK`. With any error nothing was accepted (but for a record larger than the buffer of which
 * the destination had taken a part when finalization ended: the report counts that part):
 * `RT_ERR_FINALIZING`; `RT_ERR_EXIT_THREAD` by policy; `RT_ERR_IO` and `RT_ERR_BAD_DESCRIPTOR` if there is no room and the destination fails;
 * `RT_ERR_WOULD_BLOCK` if callbacks cannot wait; `RT_ERR_TIMEOUT` in a callback of a finalization, or if a
 * wait callback says so; `RT_ERR_CALLBACK` if a callback failed to wait or ended its thread;
 * `RT_ERR_REENTRANT` from inside a callback of the same writer; `RT_ERR_OWNER_BLOCKED` as for the lock;
 * `RT_ERR_STATE` if it is closed, or it returns in the child of a `fork`; `RT_ERR_NULL`, `RT_ERR_HANDLE`,
 * `RT_ERR_SIZE`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: `BufferedWriter.write`.
 */
rt_status rt_writer_write(struct rt_writer *writer,
                          const void *data,
                          size_t len);

/**
 * As `rt_writer_write`, waiting at most `timeout_us` microseconds: negative waits indefinitely,
 * 0 does not wait.
 *
 * On Windows a write to a pipe or a device waits without a bound where another thread is in an operation on
 * the same handle, or a console is paused. Given a time it is made by a thread of the library's, and left
 * to it if it has returned neither by then nor within a tenth of a second. Its bytes are in flight until
 * it returns, and nothing is written before them.
 *
 * Thread: as there. Stage: as there. Signal handler: limited.
 *
 * Returns what `rt_writer_write` does, and `RT_ERR_TIMEOUT`.
 *
 * CPython: none.
 */
rt_status rt_writer_write_timed(struct rt_writer *writer,
                                const void *data,
                                size_t len,
                                int64_t timeout_us);

/**
 * Writes everything accepted before the call, waiting at most `timeout_us` microseconds: negative
 * waits indefinitely, 0 does not wait. On Windows see `rt_writer_write_timed`.
 *
 * Thread: as `rt_writer_write`. Stage: as there. Signal handler: limited.
 *
 * Returns `RT_OK`. With any error the rest stays in the buffer: `RT_ERR_TIMEOUT`, `RT_ERR_IO`,
 * `RT_ERR_BAD_DESCRIPTOR`, `RT_ERR_WOULD_BLOCK`, `RT_ERR_FINALIZING`, `RT_ERR_EXIT_THREAD`,
 * `RT_ERR_REENTRANT`, `RT_ERR_OWNER_BLOCKED`, `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: `BufferedWriter.flush`.
 */
rt_status rt_writer_flush(struct rt_writer *writer, int64_t timeout_us);

/**
 * Takes the writer's lock, so that this thread's records up to `rt_writer_unlock` stay together.
 *
 * Should the thread be parked or exit meanwhile, the lock is taken over from it and what it wrote is
 * flushed. A wait for room inside keeps the lock.
 *
 * Thread: as `rt_writer_write`. Stage: as there. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_REENTRANT` if it is locked by this thread already; `RT_ERR_FINALIZING`,
 * `RT_ERR_OWNER_BLOCKED`, `RT_ERR_STATE`, `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
rt_status rt_writer_lock(struct rt_writer *writer);

/**
 * Gives back what `rt_writer_lock` took.
 *
 * Thread: the one that locked. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_OWNER`, `RT_ERR_STATE` from inside a callback of the writer,
 * `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
rt_status rt_writer_unlock(struct rt_writer *writer);

/**
 * A `write` callback says how many bytes its destination has taken, before its thread enters the
 * runtime again and may be parked there.
 *
 * Thread: the one in the callback. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_OWNER` outside the callback; `RT_ERR_SIZE` for more than was offered;
 * `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none; see `rt_buffered_lock_publish_progress`.
 */
rt_status rt_writer_publish_progress(struct rt_writer *writer,
                                     size_t bytes);

/**
 * Says what became of the writer's bytes so far. Set `account->struct_size` before the call.
 *
 * Thread: any. Stage: any while the handle lives; after finalization the numbers are final.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_STRUCT_SIZE`.
 *
 * CPython: none.
 */
rt_status rt_writer_get_account(struct rt_writer *writer, struct rt_writer_account *account);

/**
 * Flushes, waiting at most `timeout_us` microseconds for room, and ends the writer: the handle is gone.
 *
 * After an error in flushing nothing has changed: close again, or `rt_writer_abandon`. Only if the
 * descriptor's own `close` (or the callback) fails, the handle is gone and `RT_ERR_IO` tells of it; the
 * bytes were written. On Windows so does a pipe's or device's handle that another thread is in an
 * operation on, which the system does not close before that ends: given a time, or while finalizing, it
 * is left open or to be closed then, and entered as a leak (`RT_LEAK_WRITER`).
 *
 * Thread: any. Stage: any; after finalization it only ends the handle. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_TIMEOUT`, `RT_ERR_IO`, `RT_ERR_BAD_DESCRIPTOR`, `RT_ERR_WOULD_BLOCK`,
 * `RT_ERR_FINALIZING`, `RT_ERR_EXIT_THREAD`, `RT_ERR_REENTRANT`, `RT_ERR_OWNER_BLOCKED`, `RT_ERR_STATE`,
 * `RT_ERR_CALLBACK`, `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: `BufferedWriter.close`.
 */
rt_status rt_writer_close(struct rt_writer *writer,
                          int64_t timeout_us);

/**
 * Ends the writer whatever is left in it, and stores how many bytes were not written in `*lost` (may be
 * NULL). The handle is gone. If bytes were lost, the runtime's report names them, and its status is
 * `RT_ERR_INCOMPLETE`.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_OWNER_BLOCKED` or `RT_ERR_TIMEOUT` while another thread is at work in it,
 * waited for at most one second, and `RT_ERR_REENTRANT`: the handle stays; `RT_ERR_IO`,
 * `RT_ERR_BAD_DESCRIPTOR` or `RT_ERR_CALLBACK` if only closing the destination failed: the handle is
 * gone; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
rt_status rt_writer_abandon(struct rt_writer *writer,
                            uint64_t *lost);

/**
 * Hands an operation that the host has started to the library, which gets it to its end by callbacks,
 * and stores its handle in `*op`.
 *
 * `callbacks` is copied; `name` is copied, for warnings and the ledger, and may be NULL. `arg` and the
 * memory stay as they are until `free` is called. An error leaves everything with the host: none of
 * the callbacks is called. The handle is the host's: end it with `rt_overlapped_dealloc`. The
 * `overlapped` phase of finalization cancels what is pending, and closes and frees, or leaks.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL` (also if there is no `wait`), `RT_ERR_STRUCT_SIZE`, `RT_ERR_HANDLE`,
 * `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING`, `RT_ERR_THREAD_EXITING`.
 *
 * CPython: the constructor of `_winapi.Overlapped` in Modules/_winapi.c.
 */
rt_status rt_overlapped_new(struct rt_runtime *runtime,
                            const struct rt_overlapped_callbacks *callbacks,
                            const char *name,
                            struct rt_overlapped **op);

/**
 * Starts to read up to `size` bytes at `offset` of a descriptor, by POSIX AIO, and stores the handle of
 * the operation in `*op`.
 *
 * The buffer is the library's (`rt_overlapped_data`), and so is the control block. The descriptor stays
 * the host's and must stay open until the handle is gone with `RT_OK`, or, once the operation is leaked,
 * until the process ends. A pipe or socket has no offset: give 0. `name` is copied, for warnings and the
 * ledger, and may be NULL. The handle is the host's: end it with `rt_overlapped_dealloc`.
 *
 * A read that waits for data on a pipe or socket cannot be cancelled with glibc, whose AIO is a helper
 * thread that sits in `read`; one that is queued behind another on the same descriptor can.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns `RT_OK`. With any error nothing was started: `RT_ERR_BAD_DESCRIPTOR` (closed, or
 * write-only), `RT_ERR_SIZE` (0, or larger than an object can be), `RT_ERR_NO_MEMORY`,
 * `RT_ERR_INVALID` (a negative offset, or one too large for the system), `RT_ERR_NULL`,
 * `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_FINALIZING`, `RT_ERR_WOULD_BLOCK` (the system takes no more
 * requests now), `RT_ERR_IO`, `RT_ERR_THREAD_EXITING`; `RT_ERR_UNSUPPORTED` on Windows.
 *
 * CPython: `_winapi.ReadFile` with `overlapped=True`.
 */
rt_status rt_overlapped_aio_read(struct rt_runtime *runtime,
                                 int fd,
                                 size_t size,
                                 int64_t offset,
                                 const char *name,
                                 struct rt_overlapped **op);

/**
 * Starts to write a copy of `size` bytes at `offset` of a descriptor, by POSIX AIO. Otherwise as
 * `rt_overlapped_aio_read`; `data` may be freed at once.
 *
 * It is not a writer's: nothing flushes it. A pending write that cannot be cancelled at finalization is
 * leaked, and the ledger has it; whether its bytes arrive is the kernel's affair.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns what `rt_overlapped_aio_read` does (`RT_ERR_BAD_DESCRIPTOR`: closed, or read-only).
 *
 * CPython: `_winapi.WriteFile` with `overlapped=True`.
 */
rt_status rt_overlapped_aio_write(struct rt_runtime *runtime,
                                  int fd,
                                  const void *data,
                                  size_t size,
                                  int64_t offset,
                                  const char *name,
                                  struct rt_overlapped **op);

/**
 * Sets the callback that hears when `rt_overlapped_dealloc` finds the operation in flight while the
 * runtime runs; NULL, as at first, for none. It replaces the one before, which may be running still.
 *
 * `arg` stays the host's. The callback is called from the thread that deallocates, between the two
 * attempts, so it can also do something about it.
 *
 * Thread: any. Stage: any; once the runtime is frozen nobody is warned. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: the `RuntimeError` "I/O operations still in flight while destroying Overlapped object".
 */
rt_status rt_overlapped_on_warning(struct rt_overlapped *op,
                                   rt_warning_callback callback,
                                   void *arg);

/**
 * Waits until the operation has ended, at most `timeout_us` microseconds: negative waits
 * indefinitely, 0 only checks.
 *
 * An attached thread is outside the runtime meanwhile, and may be parked when it comes back. An
 * indefinite wait ends with `RT_ERR_FINALIZING` soon after the runtime freezes, and any wait in a callback
 * of a finalization ends with the time of that finalization. A thread that waits on POSIX AIO cannot be
 * cancelled meanwhile.
 *
 * Thread: any, attached or not; from inside the operation's own callbacks only with a bound. Stage:
 * any. Signal handler: limited.
 *
 * Returns `RT_OK` if it ended well; `RT_ERR_IO` if it ended in an error (the last error's text has its
 * `errno`; a cancelled one has `ECANCELED`); `RT_ERR_TIMEOUT` while pending; `RT_ERR_FINALIZING` if it
 * is pending, the runtime is frozen and the wait has no bound, or the callbacks' operation was leaked;
 * `RT_ERR_EXIT_THREAD` by policy; `RT_ERR_CALLBACK` if the wait callback failed; `RT_ERR_STATE` in the
 * child of a `fork`, for the parent's POSIX AIO; `RT_ERR_REENTRANT` from inside its `close`, `free` or
 * warning; `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_THREAD_EXITING`.
 *
 * CPython: `_winapi.Overlapped.GetOverlappedResult(True)`.
 */
rt_status rt_overlapped_wait(struct rt_overlapped *op,
                             int64_t timeout_us);

/**
 * Asks the kernel to cancel the operation. The handle stays.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK` if it has ended now, cancelled or not: `rt_overlapped_result` tells; `RT_ERR_IN_FLIGHT`
 * if it is pending still, and may end at any time; `RT_ERR_FINALIZING` if it was leaked;
 * `RT_ERR_CALLBACK`, `RT_ERR_STATE`, `RT_ERR_REENTRANT`, `RT_ERR_HANDLE`, `RT_ERR_NULL`,
 * `RT_ERR_THREAD_EXITING` as `rt_overlapped_wait`.
 *
 * CPython: `_winapi.Overlapped.cancel`.
 */
rt_status rt_overlapped_cancel(struct rt_overlapped *op);

/**
 * Looks how the operation ended, and stores the number of bytes transferred in `*transferred` (may be
 * NULL): 0 for one of callbacks, whose count the library does not know.
 *
 * Thread: any. Stage: any; also after finalization, as long as the handle lives. Signal handler: limited.
 *
 * Returns `RT_OK` if it ended well; `RT_ERR_IN_FLIGHT` while pending; else what `rt_overlapped_wait`
 * does.
 *
 * CPython: `_winapi.Overlapped.GetOverlappedResult(False)`.
 */
rt_status rt_overlapped_result(struct rt_overlapped *op,
                               size_t *transferred);

/**
 * Looks how the operation ended, and stores the system's number for that in `*error`: an `errno`, on
 * Windows what `GetLastError` says. 0 for one that ended well, but for the remarks Windows makes then
 * (`ERROR_MORE_DATA`, `ERROR_HANDLE_EOF`, `ERROR_BROKEN_PIPE` of a read, `ERROR_PIPE_CONNECTED`).
 *
 * Thread: any. Stage: any; also after finalization, as long as the handle lives. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_IN_FLIGHT` while pending; else what `rt_overlapped_wait` does, but `RT_ERR_IO`.
 *
 * CPython: `_winapi.Overlapped.GetOverlappedResult`, its second result.
 */
rt_status rt_overlapped_error(struct rt_overlapped *op,
                              uint32_t *error);

/**
 * Gives the bytes that `rt_overlapped_aio_read` has read: stores where they are in `*data` and how many
 * in `*size`, 0 at the end of a file.
 *
 * They are the library's, and valid until the handle is deallocated.
 *
 * Thread: any. Stage: any; also after finalization, as long as the handle lives. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_IN_FLIGHT` while pending; `RT_ERR_INVALID` if it is no read of the library's;
 * else what `rt_overlapped_result` does.
 *
 * CPython: `_winapi.Overlapped.getbuffer`.
 */
rt_status rt_overlapped_data(struct rt_overlapped *op,
                             const void **data,
                             size_t *size);

/**
 * Frees an operation: the replacement for a deallocator that frees memory the kernel may still write.
 *
 * One that has ended is freed. One that is pending is cancelled, and waited for, at most 100 ms. If it is
 * pending still:
 *
 * - Once the runtime is frozen (finalizing or finalized) the operation with its descriptor and its memory
 *   is leaked on purpose, and entered in the report's ledger. The handle is gone. What the kernel does
 *   later harms nobody. Do not close the descriptor, or free what the callbacks use.
 * - While the runtime runs the warning callback is called, and a second attempt made, at most another
 *   100 ms. Then the call gives up: the handle stays valid, and finalization will see to the operation
 *   if no later call does.
 *
 * If another thread is in this call on the same operation, it is waited for, at most 200 ms. Of several
 * threads exactly one frees the operation and gets `RT_OK`. No callback's own time is bounded.
 *
 * Thread: any. Stage: any; from inside callbacks too. After finalization it ends the handle: of an
 * operation that finalization has freed with `RT_OK`, of one it has leaked with `RT_LEAKED`.
 * Signal handler: limited.
 *
 * Returns `RT_OK` (freed); `RT_LEAKED`, also in the child of a `fork` for the parent's POSIX AIO; with
 * both the handle is gone. `RT_ERR_IN_FLIGHT`: pending, or in the hands of another thread, and nothing
 * has changed; `RT_ERR_REENTRANT` from inside its `close`, `free` or warning; `RT_ERR_HANDLE` (also for
 * a second call), `RT_ERR_NULL`, `RT_ERR_THREAD_EXITING`.
 *
 * CPython: `overlapped_dealloc` in Modules/_winapi.c (bpo-19565).
 */
rt_status rt_overlapped_dealloc(struct rt_overlapped *op);

#if defined(_WIN32)
/**
 * Starts an operation of the Windows kernel, and stores its handle in `*op`.
 *
 * The `OVERLAPPED`, its event and the buffer are the library's: whatever the host does, they live as long
 * as the kernel may write to them. `name` is copied, for warnings and the ledger, and may be NULL. The
 * handle is the host's: end it with `rt_overlapped_dealloc`. The thread that starts an operation may exit:
 * Windows then cancels what it issued, unless the handle belongs to a completion port.
 *
 * Thread: any. Stage: until the runtime freezes. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ENDED` if it has ended already, and Windows queues no packet of it to a completion
 * port (nor to a thread pool: `CancelThreadpoolIo`): its call said `ERROR_BROKEN_PIPE`, `ERROR_HANDLE_EOF` or
 * `ERROR_PIPE_CONNECTED`, or it succeeded at once on a handle with `FILE_SKIP_COMPLETION_PORT_ON_SUCCESS`.
 * Else the packet comes, also of one that ended at once. With any error nothing was started, and the handle
 * is the host's still: `RT_ERR_BAD_DESCRIPTOR` (none, not for this, not opened for overlapped operations, or
 * a socket of a layered provider whose sockets are not the kernel's), `RT_ERR_SIZE`,
 * `RT_ERR_NO_MEMORY`, `RT_ERR_INVALID` (kind, flags, or no `begin`), `RT_ERR_NULL`, `RT_ERR_STRUCT_SIZE`,
 * `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_FINALIZING`, `RT_ERR_WOULD_BLOCK` (the system takes no more
 * requests now), `RT_ERR_IO`, `RT_ERR_THREAD_EXITING`.
 *
 * CPython: `_winapi.ReadFile` and its like with `overlapped=True`; `_overlapped.Overlapped`.
 */
rt_status rt_overlapped_start(struct rt_runtime *runtime,
                              const struct rt_overlapped_request *request,
                              const char *name,
                              struct rt_overlapped **op);
#endif

#if defined(_WIN32)
/**
 * Stores where the operation's `OVERLAPPED` is in `*overlapped`: what `GetQueuedCompletionStatus` gives
 * for it. It is to compare with, and to read once the operation has ended; valid until the handle is
 * deallocated. NULL for an operation of callbacks.
 *
 * A packet may still be queued when its operation is deallocated, and a later operation have the same
 * address: take the packet first.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: `_overlapped.Overlapped.address`.
 */
rt_status rt_overlapped_address(struct rt_overlapped *op,
                                void **overlapped);
#endif

/**
 * Tracks a native object: the runtime's finalization finalizes it, and later deallocates it.
 *
 * In the phase `finalize`, after the handlers with a negative order, `finalize` is called for every
 * object: everything of the runtime still works there, so this is the place to write, to take locks,
 * to let go of other objects. Only when all have had their turn, in the phase `dealloc`, `dealloc` is
 * called for each: it frees C data, and may not call the library (`RT_ERR_IN_DEALLOC` lists what it may
 * call). Both take `arg`; either may be NULL. A negative answer is a failure that the report names; the
 * object goes its way all the same.
 *
 * The last that was tracked goes first, unless `rt_object_depend` says otherwise. Objects are
 * deallocated in the order in which they were finalized. One that is tracked from inside a `finalize`,
 * or by a handler of that phase, is finalized too (a chain of such ends after a million). If `finalize`
 * returns `RT_RESURRECTED`, something refers to the object still: it is not deallocated, nor is what it
 * depends on; it is not tracked any more, and the report names it. If a thread still runs inside after
 * the freeze, no object is deallocated: all stand in the report's ledger.
 *
 * `name` (NULL for `object`) is copied, once for all objects of that name; give it to a kind of object
 * and not to each. `arg` stays the host's. `*object` (`object` may be NULL) gets the handle. An object
 * costs less than 48 bytes of the library's memory.
 *
 * Thread: any. Stage: until the phase `finalize` ends; from inside a callback too.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NULL` (neither callback), `RT_ERR_HANDLE`, `RT_ERR_UTF8`,
 * `RT_ERR_NO_MEMORY`, `RT_ERR_FINALIZING`.
 *
 * CPython: `tp_finalize` and `tp_dealloc` (PEP 442); Cython's `__del__` and `__dealloc__`.
 */
rt_status rt_object_track(struct rt_runtime *runtime,
                          const char *name,
                          rt_callback finalize,
                          rt_callback dealloc,
                          void *arg,
                          rt_object *object);

/**
 * Says that `object` depends on `on`: `object` is finalized, and deallocated, before `on`, whichever
 * was tracked first. Saying so twice is saying so once.
 *
 * Without it the order is last in, first out; so only an object that depends on a younger one needs
 * this. Several that wait for the same one keep to last in, first out among themselves, as far as their
 * slots in the library's memory tell.
 *
 * Thread: any. Stage: until either is finalized; from inside a callback too. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_CYCLE` if `on` depends on `object` already, itself or over others: nothing
 * was changed, and the last error's text prints the cycle by the objects' names; `RT_ERR_STATE` if one
 * of them is finalized already; `RT_ERR_HANDLE`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none; the order of module teardown, where it is known, is an accident of import.
 */
rt_status rt_object_depend(struct rt_runtime *runtime,
                           rt_object object,
                           rt_object on);

/**
 * Stops tracking an object, which is not called any more and stays the host's, with its
 * dependencies forgotten.
 *
 * An object may be untracked from inside its own `finalize`: it is not deallocated then. A `finalize`
 * that runs at this moment on another thread is not stopped by it.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE` if it is not tracked any more: it was untracked, disposed of or
 * deallocated before, or belongs to another runtime or a former life.
 *
 * CPython: `PyObject_GC_UnTrack`.
 */
rt_status rt_object_untrack(struct rt_runtime *runtime,
                            rt_object object);

/**
 * Finalizes and deallocates an object now, on the calling thread; what was done already is not done
 * again.
 *
 * Thread: any; once the runtime is frozen, only the finalizing one. Stage: any; from inside another
 * object's `finalize` too. Signal handler: limited.
 *
 * Returns `RT_OK`: it is gone; `RT_RESURRECTED` if its `finalize` returned that: it stays tracked, as
 * the youngest, and will be finalized again; `RT_LEAKED` if it was finalized and then kept, for a
 * resurrected object depends on it; `RT_ERR_CALLBACK` if one of its callbacks failed: it is gone all
 * the same; `RT_ERR_STATE` if another object depends on it, or if it is being finalized at this moment;
 * `RT_ERR_HANDLE` as `rt_object_untrack`; `RT_ERR_FINALIZING`.
 *
 * CPython: `Py_DECREF` of the last reference.
 */
rt_status rt_object_dispose(struct rt_runtime *runtime,
                            rt_object object);

/**
 * Says that this process is one of several with the same settings, such as the child of a `fork` or a worker that its
 * parent has started: its reports do not overwrite one another's. The file that `RTFINALIZE_REPORT` or its like names
 * gets the number of the process in its name (`end-4711.json` for `end.json`), unless its path has `%p`; a text begins
 * with the number.
 *
 * Thread: any. Stage: before finalization begins; later it may have no effect. Signal handler: safe.
 *
 * CPython: none.
 */
void rt_number_reports(void);

/**
 * Fills `*summary`. Set `summary->struct_size` before the call.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_STRUCT_SIZE`.
 *
 * CPython: none.
 */
rt_status rt_report_get_summary(const struct rt_report *report, struct rt_report_summary *summary);

/**
 * How long a phase took in all its passes, in microseconds; -1 if it did not run, or a negative status
 * below that.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns a time, or -1; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
int64_t rt_report_phase_us(const struct rt_report *report,
                           uint32_t phase);

/**
 * Fills `*destination` with the account of destination number `index`, from 0. Set
 * `destination->struct_size` before the call.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
 * `RT_ERR_STRUCT_SIZE`.
 *
 * CPython: none.
 */
rt_status rt_report_get_destination(const struct rt_report *report,
                                    size_t index,
                                    struct rt_report_destination *destination);

/**
 * Fills `*leak` with entry number `index` of the ledger, from 0. Set `leak->struct_size` before the
 * call.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
 * `RT_ERR_STRUCT_SIZE`.
 *
 * CPython: none.
 */
rt_status rt_report_get_leak(const struct rt_report *report,
                             size_t index,
                             struct rt_report_leak *leak);

/**
 * Stores in `*child` the report of child number `index`, from 0 in the order in which they ended:
 * of those that were finalized in the course of this runtime's finalization, whichever thread did
 * it. It is the host's, beside the parent's report: free it with `rt_report_free`, in any order.
 * After an error `*child` is NULL.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
 * `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_report_child(const struct rt_report *report, size_t index, struct rt_report **child);

/**
 * Stores in `*name` the name of the runtime the report is about; it lives as long as the report.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
rt_status rt_report_runtime(const struct rt_report *report, const char **name);

/**
 * Stores in `*why` why the report could not be written to where `RTFINALIZE_REPORT` has it, in a
 * sentence that names the place. The text is empty if the report was written, or nobody asked for that;
 * it lives as long as the report.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`, `RT_ERR_NULL`.
 *
 * CPython: none.
 */
rt_status rt_report_unreported(const struct rt_report *report,
                               const char **why);

/**
 * Renders a report into a buffer of `size` bytes, as a C string.
 *
 * `form` is one of `RT_REPORT_*`. `*needed` (may be NULL) gets the size of the whole, its NUL included:
 * call with `buffer` NULL and `size` 0 to learn it. What does not fit is cut, and the buffer is a C
 * string all the same.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_SIZE` if it was cut; `RT_ERR_INVALID` (no such form), `RT_ERR_HANDLE`,
 * `RT_ERR_NULL`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_report_format(const struct rt_report *report,
                           uint32_t form,
                           char *buffer,
                           size_t size,
                           size_t *needed);

/**
 * Writes a report to a descriptor; text with bars and colours if it is a terminal.
 *
 * `form` is one of `RT_REPORT_*`. Whoever reads it may take his time, but not stop: after 5 s in which
 * nothing was taken the call gives up, with a part of the report written (on Windows 5 s after it began).
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_IO`, `RT_ERR_BAD_DESCRIPTOR`, `RT_ERR_TIMEOUT`; `RT_ERR_INVALID` (no such
 * form), `RT_ERR_HANDLE`, `RT_ERR_NULL`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_report_write(const struct rt_report *report,
                          uint32_t form,
                          int fd);

/**
 * Frees a report, its handle and the names it gave out. NULL does nothing.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`.
 *
 * CPython: none.
 */
rt_status rt_report_free(struct rt_report *report);

/**
 * Fills `*violation` with number `index`, from 0, of the kinds of calls that were refused for coming
 * from inside a dealloc callback. Set `violation->struct_size` before the call.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
 * `RT_ERR_STRUCT_SIZE`.
 *
 * CPython: none.
 */
rt_status rt_report_get_violation(const struct rt_report *report,
                                  size_t index,
                                  struct rt_report_violation *violation);

/**
 * Fills `*left` with number `index`, from 0, of the handlers that finalization left out, and then of
 * those it did not wait for. Set `left->struct_size` before the call.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_NOT_FOUND` past the last; `RT_ERR_HANDLE`, `RT_ERR_NULL`,
 * `RT_ERR_STRUCT_SIZE`.
 *
 * CPython: none.
 */
rt_status rt_report_get_left(const struct rt_report *report,
                             size_t index,
                             struct rt_report_left *left);

/**
 * Enters a buffer of the host's own, with what became of its bytes, in the account of the runtime's
 * next, or present, finalization. For a host whose writers are not `rt_writer`s but whose
 * bytes shall be counted all the same: bytes unwritten or in flight make the finalization incomplete.
 *
 * Name and reason are copied; `reason` may be NULL. `accepted` must be the sum of `written`,
 * `unwritten` and `in_flight`.
 *
 * Thread: any. Stage: until the runtime is finalized. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_INVALID` if the bytes do not add up; `RT_ERR_FINALIZING` once it is finalized;
 * `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none; there such bytes are lost in silence.
 */
rt_status rt_note_destination(struct rt_runtime *runtime,
                              const struct rt_report_destination *destination);

/**
 * Enters something the host keeps on purpose, because a live thread or the kernel may touch it, in the
 * ledger of the runtime's next, or present, finalization. `restartable` says no because of it.
 *
 * Name and reason are copied. `kind` is one of `RT_LEAK_*`, `RT_LEAK_HOST` for what is none of the
 * others.
 *
 * Thread: any. Stage: until the runtime is finalized. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_INVALID` if there is no such kind; `RT_ERR_FINALIZING` once it is finalized;
 * `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_note_leak(struct rt_runtime *runtime,
                       const struct rt_report_leak *leak);

/**
 * Says that a wait of the host's own was ended before what it waited for had come: the report lists it
 * with those of the library, and the finalization is incomplete.
 *
 * `what` is what was waited for, `outcome` what came of it (`not waited for any longer`); both are
 * copied. `waited_us` is how long it was waited for.
 *
 * Thread: any. Stage: from the beginning of finalization to its end. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_STATE` while the runtime runs; `RT_ERR_FINALIZING` once it is finalized;
 * `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_note_blocked(struct rt_runtime *runtime,
                          const char *what,
                          uint64_t waited_us,
                          const char *outcome);

/**
 * Notes a wait in the host's code that has ended, or host code that took a long time. The report lists it with the
 * library's own waits, and names the longest ones as where the time went. It does not make the finalization incomplete.
 *
 * `what` is what was waited for, or what took long; `outcome` what came of it (`ended`), NULL if it came in the end.
 * Both are copied. `waited_us` is how long it took, up to now.
 *
 * Thread: any. Stage: from the beginning of finalization to its end. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_STATE` while the runtime runs; `RT_ERR_FINALIZING` once it is finalized;
 * `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: none.
 */
rt_status rt_note_wait(struct rt_runtime *runtime,
                       const char *what,
                       uint64_t waited_us,
                       const char *outcome);

/**
 * Says what one of the host's threads does just now, for the report's lanes: a host that looks at its threads from time
 * to time while it is finalized calls it for each of them. What it said last holds until it says something else of the
 * thread, or until the end.
 *
 * It says nothing about whether a thread is waited for: that is up to `rt_thread_attach` and `rt_note_wait`. Of many
 * threads, or changes of one, the first are kept, and the others counted.
 *
 * Thread: any. Stage: from the beginning of finalization to its end. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_INVALID` if there is no such state; `RT_ERR_STATE` while the runtime runs;
 * `RT_ERR_FINALIZING` once it is finalized; `RT_ERR_NULL`, `RT_ERR_HANDLE`, `RT_ERR_STRUCT_SIZE`, `RT_ERR_UTF8`,
 * `RT_ERR_NO_MEMORY`.
 *
 * CPython: `faulthandler.dump_traceback`, at one moment.
 */
rt_status rt_note_thread(struct rt_runtime *runtime,
                         const struct rt_seen_thread *thread);

/**
 * Writes `text` to stderr as a line of the library's: in one piece, `rtfinalize: ` before it, without control
 * characters, and without waiting for a reader.
 *
 * Nothing is written when descriptor 2 is not stderr: when it was closed as the process started, or is another
 * file by now.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`, also if nothing was written; `RT_ERR_NULL`, `RT_ERR_UTF8`, `RT_ERR_NO_MEMORY`.
 *
 * CPython: `PySys_WriteStderr`.
 */
rt_status rt_tell(const char *text);

/**
 * How many threads of the process are the library's own, which watch finalizations: for a host that counts
 * its threads, or warns of them before a `fork`.
 *
 * Thread: any. Stage: any. Signal handler: safe.
 *
 * Returns a number.
 *
 * CPython: none.
 */
uint32_t rt_watch_threads(void);

/**
 * Sets what adds to lines about a callback or handler of the runtime that takes long where it is, and to the
 * report's entry about it where it was when the line was said or its time was up. NULL: nothing does.
 *
 * There is one such function in the process: it replaces that of another runtime.
 *
 * Thread: any. Stage: any. Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`.
 *
 * CPython: `faulthandler.dump_traceback_later`.
 */
rt_status rt_describe_work(struct rt_runtime *runtime,
                           rt_describe_callback describe);

/**
 * Says that a handler registered as `RT_WORK_BRIEF` is about to wait for something after all, or to run code that
 * may: from now on it is watched, if anybody is to be told.
 *
 * Thread: the finalizing one, inside the handler. Stage: any; without a finalization nothing is done.
 * Signal handler: limited.
 *
 * Returns `RT_OK`; `RT_ERR_HANDLE`.
 *
 * CPython: none.
 */
rt_status rt_may_wait(struct rt_runtime *runtime);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif

/* A free lock that follows the default runtime. */
#define RT_BUFFERED_LOCK_INIT {0, 0, 0}

#ifndef _WIN32
/* What rt_is_finalizing reads. Written by the library only. */
extern const volatile int32_t rt_finalizing_flag;
/* What rt_state_inline reads. Written by the library only. */
extern const volatile int32_t rt_state_flag;
#endif

/*
 * rt_is_finalizing as one load, without a call (on Windows it is the call).
 *
 * Thread: any. Stage: any. Signal handler: safe.
 */
static inline int rt_is_finalizing_inline(void)
{
#ifndef _WIN32
    return rt_finalizing_flag;
#else
    return rt_is_finalizing();
#endif
}

/*
 * The default runtime's state, one of RT_STATE_*, as one load (on Windows it is a call).
 *
 * Thread: any. Stage: any. Signal handler: safe.
 */
static inline int32_t rt_state_inline(void)
{
#ifndef _WIN32
    return rt_state_flag;
#else
    return rt_runtime_state(NULL);
#endif
}

#ifndef RT_NO_PTHREAD
/*
 * rt_thread_enter for RT_POLICY_EXIT: a thread that comes too late ends here, by pthread_exit in
 * this frame, so that what is unwound is the host's own; on Windows by _endthreadex, which unwinds
 * nothing. (Define RT_NO_PTHREAD to do without <pthread.h> and <process.h>.)
 */
static inline rt_status rt_thread_enter_or_exit(rt_thread *thread)
{
    rt_status status = rt_thread_enter(thread);
    if (status == RT_ERR_EXIT_THREAD) {
#ifdef _WIN32
        _endthreadex(0);
#else
        pthread_exit(NULL);
#endif
    }
    return status;
}

/* rt_thread_checkpoint for RT_POLICY_EXIT, as rt_thread_enter_or_exit. */
static inline rt_status rt_thread_checkpoint_or_exit(rt_thread *thread)
{
    rt_status status = rt_thread_checkpoint(thread);
    if (status == RT_ERR_EXIT_THREAD) {
#ifdef _WIN32
        _endthreadex(0);
#else
        pthread_exit(NULL);
#endif
    }
    return status;
}
#endif

#ifdef __cplusplus
}
#endif

#endif /* RTFINALIZE_H */

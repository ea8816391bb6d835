//! What the host hears while a finalization runs.

use crate::runtime::events::{Event, Listener};
use crate::sys::loaded_code;
use libc::{c_char, c_void};

/// A phase begins. `count` is the pass, from 1; only the phases that repeat have more than one. The
/// phases of a child come between begin and end of its parent's `RT_PHASE_CHILDREN`.
pub const RT_EVENT_PHASE_BEGIN: u32 = 1;
/// A phase ends. `lasted_us` is what this pass of it took.
pub const RT_EVENT_PHASE_END: u32 = 2;
/// Something has used up its time: the budget of its phase, the deadline, or of a lock the grace.
/// `subject` and `name` say what, `thread`, `thread_name` and `whereabouts` who keeps it, `lasted_us`
/// for how long it has been waited for, `count` how often it has been told. One event for each thing
/// that is waited for. A callback that goes on is told again when it has taken twice as long, and when
/// the deadline passes; one that begins when the time is up has 100 ms. The answer counts.
pub const RT_EVENT_OVERRUN: u32 = 3;
/// A lock was taken over from an owner that will never run again: `thread` and `thread_name` (0 and ""
/// if it has ended). For a writer's lock `name` is the writer and `bytes` what was left in its buffer.
/// `count` is 1, or how many more there were than could be told one by one (then `name` is "").
pub const RT_EVENT_RECOVERY: u32 = 4;
/// Something was entered in the ledger of deliberate leaks: `subject` and `name` say what, `bytes` how
/// much memory of the library's it keeps (0 where only the host knows), `text` why.
pub const RT_EVENT_LEAK: u32 = 5;
/// Calls were refused for coming too late; `count` of them since it was told last.
pub const RT_EVENT_LATE_CALL: u32 = 6;

/// The finalization itself.
pub const RT_SUBJECT_RUNTIME: u32 = 0;
/// A callback of the host's: at-exit, handler, pending call, exit function, a thread state's deleter, a
/// tracked object's callback, or an event callback.
pub const RT_SUBJECT_CALLBACK: u32 = 1;
/// A thread that has not detached or, in the freeze, not stopped.
pub const RT_SUBJECT_THREAD: u32 = 2;
/// A guard that is open; the thread is its holder, `lasted_us` its age.
pub const RT_SUBJECT_GUARD: u32 = 3;
/// A child runtime.
pub const RT_SUBJECT_CHILD: u32 = 4;
/// An `rt_buffered_lock`.
pub const RT_SUBJECT_LOCK: u32 = 5;
/// The lock of a writer; the thread holds it.
pub const RT_SUBJECT_WRITER_LOCK: u32 = 6;
/// A writer: its destination has no room, or its buffer was leaked.
pub const RT_SUBJECT_WRITER: u32 = 7;
/// An in-flight operation.
pub const RT_SUBJECT_OPERATION: u32 = 8;
/// A thread's host state.
pub const RT_SUBJECT_THREAD_STATE: u32 = 9;
/// Tracked objects of one name.
pub const RT_SUBJECT_OBJECT: u32 = 10;
/// Something of the host's own (`rt_note_leak`).
pub const RT_SUBJECT_HOST: u32 = 11;

/// The library's own wait ends, and the report names what it was for. The default. A callback of the
/// host's is never interrupted: the finalization goes on when it returns.
pub const RT_OVERRUN_SKIP: u32 = 1;
/// Before the freeze, and until the total deadline has passed, it is waited for as long again as the
/// phase's budget says, and told again at each expiry. From the freeze on as `RT_OVERRUN_SKIP`: waits
/// there are always bounded.
pub const RT_OVERRUN_CONTINUE: u32 = 2;
/// The process ends at once, without locks and without returning to the host: what the writers hold
/// is written as far as that is safe, one line on stderr says what overran, and `_exit` gets
/// `exit_code`.
///
/// As an option it also makes the deadline the end of the process, whatever the finalizing thread is
/// doing then: inside a callback, a destination's or an event's too, in a wait, stuck in malloc. Waits
/// that end earlier (by their phase's budget, and those before the freeze a quarter before the
/// deadline) have it done by the finalizing thread. With an event callback its answer is waited for at
/// the deadline, for one second; `RT_OVERRUN_SKIP` or `RT_OVERRUN_CONTINUE` there keeps the process for
/// good. A child that its parent finalizes goes by its own option, for the time that it is given.
pub const RT_OVERRUN_EXIT: u32 = 3;

/// One event. All of it, the strings included, is valid during the call only. A string is never NULL,
/// but empty where there is nothing to say.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct rt_event {
    /// The size of the struct as the library knows it: a field that ends beyond it is not there.
    pub struct_size: usize,
    /// One of `RT_EVENT_*`.
    pub kind: u32,
    /// The phase that runs, or ran last: one of `RT_PHASE_*`.
    pub phase: u32,
    /// What it is about: one of `RT_SUBJECT_*`.
    pub subject: u32,
    /// The number of the runtime that finalizes, as `rt_runtime_id`.
    pub runtime_id: u32,
    /// The name of the runtime that finalizes.
    pub runtime: *const c_char,
    /// The name of what it is about, as the host gave it. So are the other names: whoever prints one looks at it first.
    pub name: *const c_char,
    /// The whole of it in words for a person, one line. A character of a name that would act on a terminal (a
    /// newline, an escape, a change of direction) or take no room is a `?` here.
    pub text: *const c_char,
    /// The name of the thread that has to do with it.
    pub thread_name: *const c_char,
    /// What that thread is doing, on Linux: `running`, `asleep in futex`, `in read of descriptor 0
    /// (pipe:[4711])`. Empty where it is not known. Fit to be printed, as `text`.
    pub whereabouts: *const c_char,
    /// The system's number for that thread; 0 if there is none, or it has ended.
    pub thread: u64,
    /// When it began, in microseconds since the finalization did.
    pub since_us: u64,
    /// How long it has lasted, in microseconds.
    pub lasted_us: u64,
    /// How many; see the kinds.
    pub count: u64,
    /// Bytes concerned; see the kinds.
    pub bytes: u64,
}

/// Hears of events; set in `rt_finalize_options`, with `arg` as its `event_arg`.
///
/// Called only between the begin of a finalization and its return, with no lock of the library held.
/// On the thread that finalizes, except for overruns of callbacks: those are told on a thread of the
/// library's, since the finalizing thread is inside the callback; all signals but those of its own
/// faults are blocked on it. What happens on other threads (a late call, a lock taken over) is told by
/// the finalizing thread at its next step.
///
/// The answer counts for `RT_EVENT_OVERRUN` only: an `RT_OVERRUN_*` is done in place of the option,
/// anything else is by the option.
///
/// It is host code like any callback (`rt_callback`): it may call the library but not finalize the
/// runtime or an ancestor of it; it may end its thread, which then ends when the library is done with
/// it. Its failure hurts no finalization. It should return soon: the finalization waits for it. One whose
/// code was unloaded is not called any more, and nothing says so.
pub type rt_event_callback =
    Option<unsafe extern "C-unwind" fn(event: *const rt_event, arg: *mut c_void) -> i32>;

/// A listener that calls `callback` with `arg`.
pub(super) fn listener_of(callback: rt_event_callback, arg: *mut c_void) -> Option<Listener> {
    struct Arg(*mut c_void);
    // SAFETY: the host promises, by setting the callback, that it may be called with its argument
    // from the finalizing thread and from the watch thread.
    unsafe impl Send for Arg {}
    // SAFETY: as above.
    unsafe impl Sync for Arg {}
    let (callback, arg) = (callback?, Arg(arg));
    Some(Listener::from_c(move |event| {
        let arg = &arg;
        if loaded_code::is_gone(callback as *const ()) {
            return 0;
        }
        let event = as_c(event);
        // SAFETY: by the header; the event and its strings outlive the call.
        unsafe { callback(&event, arg.0) }
    }))
}

fn as_c(event: &Event) -> rt_event {
    rt_event {
        struct_size: size_of::<rt_event>(),
        kind: event.kind as u32,
        phase: event.phase as u32,
        subject: event.subject as u32,
        runtime_id: event.runtime_id,
        runtime: event.runtime.as_ptr(),
        name: event.name.as_ptr(),
        text: event.text.as_ptr(),
        thread_name: event.who.name.as_ptr(),
        whereabouts: event.who.whereabouts.as_ptr(),
        thread: event.who.tid.into(),
        since_us: event.since_us,
        lasted_us: event.lasted_us,
        count: event.count,
        bytes: event.bytes,
    }
}

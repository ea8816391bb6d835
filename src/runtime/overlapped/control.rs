//! Who may do what with an operation, when several threads and the finalizer meet over it.

use super::provider::{Outcome, Progress};
use crate::runtime::lifecycle::Gate;
use crate::sync::{Arc, Deadline, Mutex};
use crate::sys::cell;
use crate::thread::record::OwnerId;

/// Where an operation stands.
///
/// ```text
///   Claimed ──submitted──▶ Open ⇄ Claimed ──done, provider closed──▶ Ended
///      │                             └─────────still pending────────▶ Leaked
///      └──not submitted──▶ Ended
/// ```
///
/// `Open`: any thread may call the provider, and counts as a user while it does. `Claimed`: one thread
/// has the operation to itself (it submits, deallocates or settles it); others wait for it, bounded,
/// and no user comes in any more. Only the claimant takes the step to `Ended`, when no user is left,
/// so the provider is closed once. To `Leaked` goes the claimant, or the finalizer when its time is up,
/// whoever has the claim: that is always safe, and the claimant finds it so before it closes
/// anything. Both are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Claimed(OwnerId),
    Open,
    Ended,
    Leaked,
}

/// The stage and what belongs to it, under a mutex that is never held over a call of the provider's.
pub(super) struct Control {
    state: Mutex<State>,
    /// The runtime's. Who waits for a step here watches its moves.
    gate: Arc<Gate>,
}

struct State {
    stage: Stage,
    /// Threads inside a call of the provider's, the claimant not counted.
    users: u32,
    /// How the operation ended, as soon as anybody saw it.
    outcome: Option<Outcome>,
}

/// A thread inside the provider.
pub(super) struct User<'a>(&'a Control);

/// What a thread that wants to ask the provider finds.
pub(super) enum Entry<'a> {
    /// It may, as long as this lives.
    User(User<'a>),
    /// There is nothing left to ask.
    Known(Outcome),
    /// Another thread has the operation.
    Busy,
    /// This thread has it: it comes from inside a callback of its own.
    Own,
    /// It ended without an outcome.
    Ended,
    /// It was leaked.
    Leaked,
}

/// What a thread that wants the operation to itself finds.
pub(super) enum Claimed {
    /// It has it.
    Mine,
    /// Another thread has it.
    Busy,
    /// This thread has it already.
    Own,
    /// Nothing was left to do.
    Ended,
    /// It stays as it is.
    Leaked,
}

impl Control {
    /// An operation that `me` is about to submit.
    pub fn claimed_by(me: OwnerId, gate: Arc<Gate>) -> Control {
        let state = State { stage: Stage::Claimed(me), users: 0, outcome: None };
        Control { state: Mutex::new(state), gate }
    }

    pub fn stage(&self) -> Stage {
        self.state.lock().stage
    }

    pub fn outcome(&self) -> Option<Outcome> {
        self.state.lock().outcome
    }

    /// Keeps the outcome, of which there is one only.
    pub fn note(&self, progress: Progress) -> Progress {
        match progress {
            Progress::Done(outcome) => {
                Progress::Done(*self.state.lock().outcome.get_or_insert(outcome))
            }
            pending => pending,
        }
    }

    /// Comes in as a user, once no other thread's claim is in the way or `deadline` has passed.
    pub fn enter(&self, me: OwnerId, deadline: Deadline) -> Entry<'_> {
        let mut entry = Entry::Busy;
        self.gate.wait_until(deadline, || {
            let mut state = self.state.lock();
            entry = match (state.outcome, state.stage) {
                (Some(outcome), _) => Entry::Known(outcome),
                (None, Stage::Open) => {
                    state.users += 1;
                    Entry::User(User(self))
                }
                (None, Stage::Claimed(by)) if by == me => Entry::Own,
                (None, Stage::Claimed(_)) => return false,
                (None, Stage::Ended) => Entry::Ended,
                (None, Stage::Leaked) => Entry::Leaked,
            };
            true
        });
        entry
    }

    /// Takes the operation for `me`, once no other thread has it or `deadline` has passed. Users may
    /// still be inside.
    pub fn claim(&self, me: OwnerId, deadline: Deadline) -> Claimed {
        let mut claimed = Claimed::Busy;
        self.gate.wait_until(deadline, || {
            let mut state = self.state.lock();
            claimed = match state.stage {
                Stage::Open => {
                    state.stage = Stage::Claimed(me);
                    Claimed::Mine
                }
                Stage::Claimed(by) if by == me => Claimed::Own,
                Stage::Claimed(_) => return false,
                Stage::Ended => Claimed::Ended,
                Stage::Leaked => Claimed::Leaked,
            };
            true
        });
        claimed
    }

    /// The claimant waits until no user is inside. False if `deadline` passes first.
    pub fn wait_for_users(&self, deadline: Deadline) -> bool {
        self.gate.wait_until(deadline, || self.state.lock().users == 0)
    }

    /// The claimant goes on to `stage`, unless the finalizer leaked the operation over its head.
    /// Returns where it stands then.
    pub fn leave_claim(&self, stage: Stage) -> Stage {
        let now = {
            let mut state = self.state.lock();
            if matches!(state.stage, Stage::Claimed(_)) {
                state.stage = stage;
            }
            state.stage
        };
        self.gate.announce();
        now
    }

    /// Leaks the operation, unless it is over. `enter` is called in the same section: whoever finds
    /// the operation leaked finds it in the ledger.
    pub fn leak(&self, enter: impl FnOnce()) {
        {
            let mut state = self.state.lock();
            if matches!(state.stage, Stage::Ended | Stage::Leaked) {
                return;
            }
            state.stage = Stage::Leaked;
            enter();
        }
        self.gate.announce();
    }
}

impl Control {
    /// In the child of a `fork`: what threads that are `gone` had is open again. The users are not known
    /// by name; while the one thread there is could be one, they stay.
    pub fn forked(&self, gone: impl Fn(OwnerId) -> bool) {
        let mut state = self.state.lock();
        if let Stage::Claimed(by) = state.stage
            && gone(by)
        {
            state.stage = Stage::Open;
        }
        if cell::calls().get() == 0 {
            state.users = 0;
        }
    }
}

impl Drop for User<'_> {
    fn drop(&mut self) {
        let awaited = {
            let mut state = self.0.state.lock();
            // None, if a signal handler forked over the call.
            state.users = state.users.saturating_sub(1);
            state.stage != Stage::Open
        };
        if awaited {
            self.0.gate.announce();
        }
    }
}

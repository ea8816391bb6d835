//! Models of the lock and of the gate: every order of steps loom finds within a bound of
//! preemptions, and every stale value the memory model allows.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_PROFILE_RELEASE_LTO=off cargo test --release --test loom
//! ```
//!
//! with a `CARGO_TARGET_DIR` of its own, for the flags rebuild everything. Each model is checked as
//! the library is, and again with each step left out that it is there to pin (`sync::Mutation`):
//! then loom must find a run that fails, and fails in the way said. Models of two threads have no
//! bound, larger ones are bounded to some seconds each; `LOOM_MAX_PREEMPTIONS` sets another for all.
//! `-- --nocapture` tells how many runs there were.

#[cfg(loom)]
#[macro_use]
mod check;
#[cfg(loom)]
mod finalization;
#[cfg(loom)]
mod gone_owners;
#[cfg(loom)]
mod guards;
#[cfg(loom)]
mod last_word;
#[cfg(loom)]
mod live_owners;
#[cfg(loom)]
mod stage;

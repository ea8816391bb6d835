//! How a model is checked: whole, and with each step it pins left out.

use rtfinalize::sync::{self, Mutation};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a broken model fails when a wake-up is lost.
pub const DEADLOCK: &str = "deadlock";
/// How it fails when two threads are where one may be.
pub const RACE: &str = "Causality violation";

/// `model!(name, preemptions, body, [Mutation => how it fails, …])`
macro_rules! model {
    ($name:ident, $preemptions:expr, $body:expr, [$($step:ident => $sign:expr),+ $(,)?]) => {
        mod $name {
            use super::*;
            use crate::check::*;
            use rtfinalize::sync::Mutation;

            #[test]
            fn holds() {
                explore(concat!(stringify!($name), ", whole"), $preemptions, $body);
            }

            #[test]
            fn notices_a_step_left_out() {
                $( must_fail(stringify!($name), $preemptions, Mutation::$step, $sign, $body); )+
            }
        }
    };
}

pub fn explore(name: &str, preemptions: Option<usize>, body: fn()) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(preemptions);
    builder.max_branches = 10_000;
    let since = std::time::Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        builder.check(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            body();
        });
    }));
    let (runs, took) = (runs.load(Ordering::Relaxed), since.elapsed());
    println!("{name}: {runs} runs in {:.1} s", took.as_secs_f64());
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub fn must_fail(name: &str, preemptions: Option<usize>, step: Mutation, sign: &str, body: fn()) {
    sync::sabotage(Some(step));
    quietly(true);
    let outcome = catch_unwind(|| explore(&format!("{name}, {step:?}"), preemptions, body));
    quietly(false);
    sync::sabotage(None);
    let panic = outcome.expect_err(&format!("with {step:?} the model must fail"));
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default();
    assert!(text.contains(sign), "{step:?} must show as {sign:?}, but: {text}");
}

/// Keeps the panics of this thread off stderr, for those are wanted.
fn quietly(quiet: bool) {
    thread_local!(static QUIET: Cell<bool> = const { Cell::new(false) });
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                loud(panic);
            }
        }));
    });
    QUIET.set(quiet);
}

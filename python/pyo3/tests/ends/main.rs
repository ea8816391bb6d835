//! Programs that embed Python, from their start to their end, each a process of its own.

mod bounds;
mod host;
mod lives;
mod misuse;
mod output;
mod references;
mod threads;

use host::{Case, Outcome};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let cases: Vec<Case> = [
        output::CASES,
        threads::CASES,
        bounds::CASES,
        misuse::CASES,
        lives::CASES,
        references::CASES,
    ]
    .concat();
    if let Some(name) = host::asked_for() {
        let case = cases.iter().find(|case| case.name == name).expect("there is such a case");
        return (case.host)();
    }
    let trials = cases.into_iter().map(|case| {
        Trial::test(case.name, move || {
            (case.check)(Outcome::of(&case));
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

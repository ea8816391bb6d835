//! The header that ships is the one the source makes.

use std::{env, fs};

#[test]
fn the_shipped_header_is_the_generated_one() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/include/rtfinalize.h");
    let generated = fs::read_to_string(concat!(env!("OUT_DIR"), "/rtfinalize.h"))
        .expect("build.rs writes the header while src/capi parses");
    if env::var_os("RTFINALIZE_BLESS").is_some() {
        fs::write(shipped, &generated).expect("include/rtfinalize.h is writable");
    }
    let shipped = fs::read_to_string(shipped).expect("include/rtfinalize.h is checked in");
    let difference = shipped.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        shipped == generated,
        "include/rtfinalize.h is not what src/capi makes (first at line {}): run `make header`",
        difference.unwrap_or(shipped.lines().count().min(generated.lines().count())) + 1
    );
}

/// What a function's doc comment says of signal handlers is what its boundary does.
#[test]
fn each_function_says_what_it_does_in_a_signal_handler() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/capi");
    let mut functions = 0;
    let mut wrong = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for (doc, rest) in documented_functions(&text) {
            let name = rest.split_once("fn ").unwrap().1.split('(').next().unwrap();
            let body = &rest[..rest.find("\n}\n").unwrap_or(rest.len())];
            let works = ["boundary_in_handlers", "acquire(lock", "release_slow(lock"];
            let passes = ["boundary", "register(", "step("];
            let says = |what: &str| doc.contains(&format!("Signal handler: {what}"));
            let right = if works.iter().any(|how| body.contains(how)) {
                says("safe")
            } else if passes.iter().any(|how| body.contains(how)) {
                says("limited")
            } else {
                says("safe") || says("never")
            };
            if !right {
                wrong.push(name.to_owned());
            }
            functions += 1;
        }
    }
    assert!(functions > 80, "the functions were found: {functions}");
    assert_eq!(wrong, Vec::<String>::new());
}

/// The doc comment of each exported function, and the text from its `fn` on.
fn documented_functions(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find("#[unsafe(no_mangle)]\npub ") {
        let at = from + at;
        let rest = &text[at..];
        let doc = text[..at].rfind("\n\n").map_or(0, |start| start);
        if rest.lines().nth(1).is_some_and(|line| line.contains("fn rt_")) {
            found.push((&text[doc..at], rest));
        }
        from = at + 1;
    }
    found
}

//! The libraries as a linker sees them: names, exports, flags.
//!
//! `RTFINALIZE_LIBRARY_DIR` is where to look; without it, at what Cargo built for this test.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

const HEADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include/rtfinalize.h");

fn library(name: &str) -> PathBuf {
    let directory = env::var_os("RTFINALIZE_LIBRARY_DIR").map(PathBuf::from).unwrap_or_else(|| {
        let test = env::current_exe().expect("a running test knows its path");
        test.parent().expect("a file is in a directory").to_owned()
    });
    let path = directory.join(name);
    assert!(path.exists(), "{} is missing; build it with `cargo build`", path.display());
    path
}

fn readelf(option: &str, file: &str) -> String {
    let output = Command::new("readelf")
        .args(["--wide", option])
        .arg(library(file))
        .output()
        .unwrap_or_else(|error| panic!("readelf: {error}; install binutils"));
    assert!(output.status.success(), "readelf: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A global name that an object defines.
struct Symbol {
    /// The object file in a static library; empty in a shared one.
    member: String,
    name: String,
    /// A weak definition gives way to any other.
    weak: bool,
}

fn global_symbols(option: &str, file: &str) -> Vec<Symbol> {
    let (mut symbols, mut member) = (Vec::new(), String::new());
    for line in readelf(option, file).lines() {
        if let Some(name) = line.strip_prefix("File: ").and_then(|line| line.strip_suffix(')')) {
            member = name.rsplit('(').next().unwrap_or("").to_owned();
        }
        // Num: Value Size Type Bind Vis Ndx Name
        let columns: Vec<_> = line.split_whitespace().collect();
        if let [_, _, _, _, bind @ ("GLOBAL" | "WEAK"), _, section, name, ..] = columns[..]
            && section != "UND"
        {
            symbols.push(Symbol {
                member: member.clone(),
                name: name.into(),
                weak: bind == "WEAK",
            });
        }
    }
    symbols
}

fn dynamic_section() -> String {
    readelf("--dynamic", "librtfinalize.so")
}

fn exported() -> BTreeSet<String> {
    let symbols = global_symbols("--dyn-syms", "librtfinalize.so");
    symbols.into_iter().map(|symbol| symbol.name).collect()
}

/// The functions and variables that the header leaves to the library: declarations begin in the first
/// column, inline functions and types excepted.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(HEADER).expect("the header is checked in");
    let (mut names, mut elsewhere) = (BTreeSet::new(), false);
    for line in header.lines() {
        match line {
            "#if defined(_WIN32)" => elsewhere = true,
            "#endif" => elsewhere = false,
            _ => {}
        }
        if elsewhere {
            continue;
        }
        let first = line.split_whitespace().next().unwrap_or("");
        if !line.starts_with(|c: char| c.is_ascii_alphabetic())
            || ["static", "typedef", "struct", "enum", "union"].contains(&first)
        {
            continue;
        }
        let declarator = line.split(['(', ';']).next().unwrap_or("");
        let name = declarator.rsplit([' ', '*']).next().unwrap_or("");
        if name.starts_with("rt_") {
            names.insert(name.to_owned());
        }
    }
    names
}

#[test]
fn the_header_declares_what_the_library_exports_and_nothing_else_is_exported() {
    let (declared, exported) = (declared(), exported());
    assert!(declared.contains("rt_finalize_ex") && declared.contains("rt_finalizing_flag"));
    let undeclared: Vec<_> = exported.difference(&declared).collect();
    let missing: Vec<_> = declared.difference(&exported).collect();
    assert!(undeclared.is_empty(), "exported, but not in the header: {undeclared:?}");
    assert!(missing.is_empty(), "in the header, but not exported: {missing:?}");
    let foreign: Vec<_> = exported.iter().filter(|name| !name.starts_with("rt_")).collect();
    assert!(foreign.is_empty(), "exported without our prefix: {foreign:?}");
}

#[test]
fn the_soname_has_the_major_version() {
    let soname = concat!("[librtfinalize.so.", env!("CARGO_PKG_VERSION_MAJOR"), "]");
    let section = dynamic_section();
    let line = section.lines().find(|line| line.contains("(SONAME)")).expect("it has a soname");
    assert!(line.ends_with(soname), "{line}, expected {soname}");
}

#[test]
fn the_library_cannot_be_unloaded_under_its_hooks() {
    let section = dynamic_section();
    let flags = section.lines().find(|line| line.contains("(FLAGS_1)"));
    assert!(flags.is_some_and(|line| line.contains("NODELETE")), "{section}");
}

#[test]
fn the_library_needs_nothing_but_the_systems_libc() {
    let systems = ["ld", "libc", "libdl", "libgcc_s", "libm", "libpthread", "librt", "libutil"];
    for line in dynamic_section().lines().filter(|line| line.contains("(NEEDED)")) {
        let name = line.rsplit('[').next().expect("readelf puts the name in brackets");
        let stem = name.split(['.', '-']).next().expect("a split has a first part");
        assert!(systems.contains(&stem), "the library needs {name}");
    }
}

#[test]
fn our_part_of_the_static_library_takes_no_names_but_ours() {
    let (mut seen, mut taken) = (BTreeSet::new(), Vec::new());
    for Symbol { member, name, weak } in global_symbols("--symbols", "librtfinalize.a") {
        let ours = member.starts_with("rtfinalize.")
            || member.starts_with("rtfinalize-")
            || member.ends_with("this_thread.o")
            || member.ends_with("host_call.o");
        let mangled = name.starts_with("_R") || name.starts_with("_ZN");
        if !ours || weak || mangled {
            continue;
        }
        if !name.starts_with("rt_") && !name.starts_with("rtfinalize_") {
            taken.push(name);
        } else if name.starts_with("rt_") && !seen.insert(name.clone()) {
            taken.push(format!("{name}, twice"));
        }
    }
    assert_eq!(seen, declared(), "what the static library has for the header");
    assert!(taken.is_empty(), "global in the static library: {taken:?}");
}

//! Compiles the module's C, by the headers of the Python that the wheel is built with.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = "../include/rtfinalize.h";

/// Where the headers are, a line each: `Python.h`, and `pyconfig.h`, which a Python that is not installed has elsewhere.
const WHERE: &str = "import os, sysconfig
print(sysconfig.get_path('include'))
print(os.path.dirname(sysconfig.get_config_h_filename()))";

fn main() {
    let headers = headers();
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("Cargo names a folder"));
    hide_library(&out.join("hidden.h"));
    let sources = fs::read_dir("native").expect("the module's sources are in native/");
    let sources = sources.map(|entry| entry.expect("they can be listed").path());
    cc::Build::new()
        .files(sources.filter(|path| path.extension().is_some_and(|extension| extension == "c")))
        .includes(&headers)
        .include(&out)
        .include("../include")
        .std("gnu11")
        // What these headers do not declare may be missing in that Python.
        .flag("-Werror=implicit-function-declaration")
        .compile("rtfinalize_native");
    println!("cargo::rerun-if-changed=native");
    println!("cargo::rerun-if-changed={HEADER}");
    println!("cargo::rerun-if-env-changed=PYO3_PYTHON");
}

/// Writes assembly for one of the C files by which the library's names stay inside the module.
///
/// Rust exports them, since they have a C name. But the linker makes a name a hidden one that any object file holds for
/// hidden. The reference that it takes stands in a section which is not linked; and it is weak, because not each word of
/// the header is a function.
fn hide_library(file: &Path) {
    let header = fs::read_to_string(HEADER).expect("the header is there");
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let names: BTreeSet<_> = words.filter(|word| word.starts_with("rt_")).collect();
    let mut text = String::from("__asm__(\".pushsection .rtfinalize.hidden,\\\"e\\\"\\n\"\n");
    for name in names {
        writeln!(text, "\".weak {name}\\n.hidden {name}\\n.dc.a {name}\\n\"").expect("a String takes it");
    }
    text.push_str("\".popsection\");\n");
    fs::write(file, text).expect("OUT_DIR is writable");
}

fn headers() -> Vec<PathBuf> {
    let python = std::env::var("PYO3_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let told = Command::new(&python).args(["-c", WHERE]).output();
    let told = told.unwrap_or_else(|error| panic!("{python} could not be run: {error}"));
    assert!(told.status.success(), "{python} does not say where its headers are");
    let text = String::from_utf8(told.stdout).expect("paths in UTF-8");
    let folders: Vec<_> = text.lines().map(PathBuf::from).collect();
    for header in ["Python.h", "pyconfig.h"] {
        assert!(
            folders.iter().any(|folder| folder.join(header).exists()),
            "{python} has no {header} in {folders:?}: install its headers (on Debian: python3-dev)"
        );
    }
    folders
}

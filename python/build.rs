//! Compiles the module's C, by the headers of the Python that the wheel is built with.

use std::path::PathBuf;
use std::process::Command;

/// Where the headers are, a line each: `Python.h`, and `pyconfig.h`, which a Python that is not installed has elsewhere.
const WHERE: &str = "import os, sysconfig
print(sysconfig.get_path('include'))
print(os.path.dirname(sysconfig.get_config_h_filename()))";

fn main() {
    let headers = headers();
    let sources = std::fs::read_dir("native").expect("the module's sources are in native/");
    let sources = sources.map(|entry| entry.expect("they can be listed").path());
    cc::Build::new()
        .files(sources.filter(|path| path.extension().is_some_and(|extension| extension == "c")))
        .includes(&headers)
        .include("../include")
        .std("gnu11")
        // What these headers do not declare may be missing in that Python.
        .flag("-Werror=implicit-function-declaration")
        .compile("rtfinalize_native");
    println!("cargo::rerun-if-changed=native");
    println!("cargo::rerun-if-changed=../include/rtfinalize.h");
    println!("cargo::rerun-if-env-changed=PYO3_PYTHON");
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

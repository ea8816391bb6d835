//! Compiles the C side by the headers of the Python that PyO3 links.

use pyo3_build_config::{InterpreterConfig, PythonAbiKind, PythonImplementation};
use std::path::Path;

/// A line each: the folders of `Python.h` and of `pyconfig.h`, which a Python that is not installed has elsewhere; and
/// what an embedded Python needs for `PYTHONHOME`.
const WHERE: &str = "import os, sys, sysconfig
print(sysconfig.get_path('include'))
print(os.path.dirname(sysconfig.get_config_h_filename()))
print(sys.base_prefix + ':' + sys.base_exec_prefix)";

fn main() {
    let python = pyo3_build_config::get();
    refuse_what_cannot_be_embedded(python);
    let told = python.run_python_script(WHERE);
    let told =
        told.unwrap_or_else(|error| panic!("Python does not say where its headers are: {error}"));
    let lines: Vec<_> = told.lines().collect();
    let [headers @ .., home] = &*lines else { unreachable!("it prints three lines") };
    let include = Path::new("../../include");
    cc::Build::new()
        .file(include.join("rtfinalize_python.c"))
        .file("native/inside.c")
        .includes(checked(headers))
        .include(include)
        .std("gnu11")
        // What these headers do not declare may be missing in that Python.
        .flag("-Werror=implicit-function-declaration")
        .compile("rtfinalize_pyo3_c");
    for file in ["rtfinalize_python.c", "rtfinalize_python.h", "rtfinalize.h"] {
        println!("cargo::rerun-if-changed={}", include.join(file).display());
    }
    println!("cargo::rerun-if-changed=native");
    // For the tests and examples of this crate; a program that depends on it does the same in its own build script.
    pyo3_build_config::add_libpython_rpath_link_args();
    println!("cargo::rustc-env=TESTED_PYTHONHOME={home}");
}

fn refuse_what_cannot_be_embedded(python: &InterpreterConfig) {
    let implementation = python.implementation();
    assert!(
        implementation == PythonImplementation::CPython,
        "rtfinalize-pyo3 is for CPython, and this is {implementation}"
    );
    assert!(
        matches!(python.target_abi().kind(), PythonAbiKind::VersionSpecific(_)),
        "rtfinalize-pyo3 is compiled for one Python: switch PyO3's abi3 features off"
    );
}

fn checked<'a>(folders: &'a [&str]) -> &'a [&'a str] {
    for header in ["Python.h", "pyconfig.h"] {
        assert!(
            folders.iter().any(|folder| Path::new(folder).join(header).exists()),
            "this Python has no {header} in {folders:?}: install its headers (on Debian: python3-dev)"
        );
    }
    folders
}

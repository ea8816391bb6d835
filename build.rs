//! Compiles the C parts, gives the shared library its soname, and writes the C header to `OUT_DIR`.
//!
//! The header that is shipped is `include/rtfinalize.h`; a test fails when it differs from the one
//! made here, and `make header` copies it. This script does not touch the shipped tree.

use std::env;

#[cfg(feature = "header")]
#[path = "build/header.rs"]
mod header;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-changed=src");
    if env::var_os("CARGO_CFG_LOOM").is_some() {
        return;
    }
    compile_c();
    link_shared_library();
    #[cfg(feature = "header")]
    header::write();
}

fn compile_c() {
    let is_msvc = env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("msvc");
    cc::Build::new()
        .file("src/sys/cell.c")
        .file("src/thread/host_call.c")
        .std(if is_msvc { "c11" } else { "gnu11" })
        // A C++ exception that leaves a callback must be seen by the frame in host_call.c.
        .flag_if_supported("-fexceptions")
        .flag_if_supported("-fvisibility=hidden")
        .extra_warnings(true)
        .compile("rtfinalize_c");
}

fn link_shared_library() {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Cargo passes these to the cdylib of a package that depends on this one, too, and that is not this library. Set
        // where this script is compiled, for the package that was asked for.
        if option_env!("CARGO_PRIMARY_PACKAGE").is_some() {
            let major = env::var("CARGO_PKG_VERSION_MAJOR").expect("cargo sets it");
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,librtfinalize.so.{major}");
        }
        // Thread-exit and fork hooks point into the library; it must outlive them.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

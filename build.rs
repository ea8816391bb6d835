//! Compiles the C parts, gives the shared library its soname, and writes the C header to `OUT_DIR`.
//!
//! The header that is shipped is `include/rtfinalize.h`; a test fails when it differs from the one
//! made here, and `make header` copies it. This script does not touch the shipped tree.

use std::env;
use std::path::Path;

/// What the header is made of, in its order.
const HEADER_SOURCES: &[&str] = &[
    "capi/types.rs",
    "capi/error.rs",
    "capi/version.rs",
    "capi/event.rs",
    "capi/options.rs",
    "capi/runtime.rs",
    "capi/phase.rs",
    "capi/callback.rs",
    "capi/thread.rs",
    "capi/guard.rs",
    "capi/buffered_lock.rs",
    "capi/writer.rs",
    "capi/overlapped.rs",
    "capi/overlapped_windows.rs",
    "capi/object.rs",
    "capi/report.rs",
    "capi/report_details.rs",
    "capi/account.rs",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=cbindgen.toml");
    println!("cargo::rerun-if-changed=src");
    if env::var_os("CARGO_CFG_LOOM").is_some() {
        return;
    }
    compile_c();
    link_shared_library();
    write_header();
}

fn compile_c() {
    let is_msvc = env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("msvc");
    cc::Build::new()
        .file("src/this_thread.c")
        .file("src/host_call.c")
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

fn write_header() {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let mut config = cbindgen::Config::from_file("cbindgen.toml").expect("cbindgen.toml is read");
    config.after_includes = Some(preamble() + &config.after_includes.unwrap_or_default());
    let builder = HEADER_SOURCES.iter().fold(cbindgen::Builder::new(), |builder, source| {
        builder.with_src(Path::new("src").join(source))
    });
    match builder.with_config(config).generate() {
        Ok(header) => {
            let mut text = Vec::new();
            header.write(&mut text);
            let text = String::from_utf8(text).expect("the source is UTF-8");
            std::fs::write(Path::new(&out).join("rtfinalize.h"), parenthesise(&text))
                .expect("OUT_DIR is writable");
        }
        // While the source does not parse the compiler's own message is the better one.
        Err(cbindgen::Error::ParseSyntaxError { .. }) => {}
        Err(error) => panic!("the C header could not be made: {error}"),
    }
}

/// The version macros, each component from Cargo.toml.
fn preamble() -> String {
    let get = |name: &str| env::var(format!("CARGO_PKG_VERSION{name}")).expect("cargo sets it");
    let (major, minor, patch) = (get("_MAJOR"), get("_MINOR"), get("_PATCH"));
    format!(
        "\n/* The version this header belongs to; rt_version() tells the library's. */\n\
         #define RT_VERSION_MAJOR {major}\n\
         #define RT_VERSION_MINOR {minor}\n\
         #define RT_VERSION_PATCH {patch}\n\
         #define RT_VERSION_NUMBER ((RT_VERSION_MAJOR << 16) | (RT_VERSION_MINOR << 8) | RT_VERSION_PATCH)\n\
         #define RT_VERSION_STRING \"{}\"\n",
        get("")
    )
}

/// `#define RT_ERR_NULL -2` becomes `(-2)`: a macro must not come apart in an expression.
fn parenthesise(header: &str) -> String {
    let line = |line: &str| match line.split_once(" -") {
        Some((define, number)) if line.starts_with("#define RT_") => {
            format!("{define} (-{number})\n")
        }
        _ => format!("{line}\n"),
    };
    header.lines().map(line).collect()
}

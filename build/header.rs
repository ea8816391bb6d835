//! The C header, generated from `src/capi` by cbindgen into `OUT_DIR`.

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
    "capi/finalize.rs",
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

pub fn write() {
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

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

//! What the Python package says of itself and the library agree.

use std::fs;
use std::path::Path;

fn of_package(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_package_is_of_the_librarys_version() {
    let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let manifest = of_package("Cargo.toml");
    let found = manifest.lines().find(|line| line.starts_with("version = "));
    assert_eq!(found, Some(version.as_str()), "of python/Cargo.toml");
    let lock = of_package("Cargo.lock");
    for name in ["rtfinalize", "rtfinalize-python"] {
        let entry = format!("[[package]]\nname = \"{name}\"\n{version}\n");
        assert!(
            lock.contains(&entry),
            "python/Cargo.lock is not of this version: cd python && cargo update --workspace"
        );
    }
}

#[test]
fn the_package_needs_the_rust_that_the_library_needs() {
    let wanted = format!("rust-version = \"{}\"", env!("CARGO_PKG_RUST_VERSION"));
    assert!(of_package("Cargo.toml").lines().any(|line| line == wanted), "{wanted}");
}

//! What the Python package and the crate for PyO3 say of themselves and the library agree.

use std::fs;
use std::path::Path;

fn of_package(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where each is below `python`, and the crates that its lock file has of ours.
const OURS: [(&str, [&str; 2]); 2] =
    [("", ["rtfinalize", "rtfinalize-python"]), ("pyo3/", ["rtfinalize", "rtfinalize-pyo3"])];

#[test]
fn both_are_of_the_librarys_version() {
    let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    for (folder, names) in OURS {
        let manifest = of_package(&format!("{folder}Cargo.toml"));
        let found = manifest.lines().find(|line| line.starts_with("version = "));
        assert_eq!(found, Some(version.as_str()), "of python/{folder}Cargo.toml");
        let lock = of_package(&format!("{folder}Cargo.lock"));
        for name in names {
            let entry = format!("[[package]]\nname = \"{name}\"\n{version}\n");
            assert!(
                lock.contains(&entry),
                "python/{folder}Cargo.lock is not of this version: cd python/{folder} && cargo update --workspace"
            );
        }
    }
}

#[test]
fn both_need_the_rust_that_the_library_needs() {
    let wanted = format!("rust-version = \"{}\"", env!("CARGO_PKG_RUST_VERSION"));
    for (folder, _) in OURS {
        let manifest = of_package(&format!("{folder}Cargo.toml"));
        assert!(
            manifest.lines().any(|line| line == wanted),
            "{wanted}, in python/{folder}Cargo.toml"
        );
    }
}

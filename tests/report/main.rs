//! The report's three forms, on reports built by hand: what a reader or a script relies on.

mod json;
mod reports;
mod text;
mod trace;

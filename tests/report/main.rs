//! The report's four forms, on reports built by hand: what a reader or a script relies on.

mod html;
mod json;
mod reports;
mod text;
mod trace;

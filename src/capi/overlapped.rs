//! In-flight operations.

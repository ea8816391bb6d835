//! What the environment asks for, in a deployed program whose source nobody changes.
//!
//! | variable | value |
//! |---|---|
//! | `RTFINALIZE_DEADLINE` | the time all phases together may take: `5`, `5s`, `1.5s`, `500ms`, `250us` |
//! | `RTFINALIZE_GRACE` | the time for owners of locks that might still let go, likewise |
//! | `RTFINALIZE_NOTICE` | after which time lines on stderr name what is waited for, likewise; `off` |
//! | `RTFINALIZE_REPORT` | `text`, `json`, `trace` or `html`, and `:PATH` for a file; `%p` is the process number |
//!
//! It wins over what the host sets: whoever runs the program knows best how long it may take to end.

use crate::io::tell;
use crate::report::Wish;
use crate::runtime::options::Options;
use std::ffi::{OsStr, OsString};

/// The value of a variable; nothing if it is unset, empty, or not to be trusted.
pub fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty() && !has_foreign_rights())
}

/// Whether the process has rights its user lacks (a set-user-ID program): then the user's environment is
/// not to be trusted, least of all with the name of a file to write.
fn has_foreign_rights() -> bool {
    #[cfg(target_os = "linux")]
    // SAFETY: it only asks.
    return unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    // Windows starts no program with more rights than its user's by itself.
    #[cfg(windows)]
    return false;
    #[cfg(all(unix, not(target_os = "linux")))]
    // SAFETY: they only ask.
    return unsafe { libc::getuid() != libc::geteuid() || libc::getgid() != libc::getegid() };
}

/// The names, in the environment and for [`set`].
const DEADLINE: &str = "RTFINALIZE_DEADLINE";
const GRACE: &str = "RTFINALIZE_GRACE";
const NOTICE: &str = "RTFINALIZE_NOTICE";
const REPORT: &str = "RTFINALIZE_REPORT";

/// The options with what the environment asks for in their place.
pub fn apply(mut options: Options) -> Options {
    for name in [DEADLINE, GRACE, NOTICE, REPORT] {
        if let Some(text) = value(name)
            && let Err(why) = set(&mut options, name, &text)
        {
            tell(format_args!("rtfinalize: {why}"));
        }
    }
    options
}

/// The deadline of a finalization with these options that begins now.
pub fn deadline_us(options: &Options) -> i64 {
    let asked = value(DEADLINE).and_then(|text| time(&text));
    asked.unwrap_or(options.deadline_us)
}

/// The grace of a finalization with these options that begins now.
pub fn grace_us(options: &Options) -> i64 {
    let asked = value(GRACE).and_then(|text| time(&text));
    asked.unwrap_or(options.grace_us)
}

/// When lines about the waits of a finalization with these options would begin; negative is never.
pub fn notice_us(options: &Options) -> i64 {
    let mut options = options.clone();
    for name in [DEADLINE, NOTICE] {
        if let Some(text) = value(name) {
            let _ = set(&mut options, name, &text);
        }
    }
    options.notice_from_us().max(-1)
}

/// Sets what the variable of this name sets, by the same text.
///
/// # Errors
/// What the setting takes, or that there is no such setting.
pub fn set(options: &mut Options, name: &str, text: &OsStr) -> Result<(), String> {
    let takes = |what| format!("{name} is '{}'; it takes {what}", text.to_string_lossy());
    let a_time = || time(text).ok_or_else(|| takes("a time like 5s, 1.5s or 500ms"));
    match name {
        DEADLINE => options.deadline_us = a_time()?,
        GRACE => options.grace_us = a_time()?,
        NOTICE if text == "off" => options.notice_us = -1,
        NOTICE => options.notice_us = a_time()?,
        REPORT => {
            let wish = Wish::parse(text);
            let what = "text, json, trace or html, and :PATH, in which %p is the process number and \
                        %% a percent sign";
            options.report = Some(wish.ok_or_else(|| takes(what))?);
        }
        _ => {
            return Err(format!(
                "there is no setting {name}; {DEADLINE}, {GRACE}, {NOTICE} and {REPORT} are"
            ));
        }
    }
    Ok(())
}

fn time(text: &OsStr) -> Option<i64> {
    text.to_str().and_then(microseconds)
}

/// A time with its unit; seconds without one.
fn microseconds(text: &str) -> Option<i64> {
    let text = text.trim();
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let scale = match unit.trim_start() {
        "" | "s" => 1e6,
        "ms" => 1e3,
        "us" | "µs" => 1.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    // Saturates: a time too long for any clock means no limit.
    Some((number * scale) as i64)
}

#[cfg(test)]
mod tests {
    use super::microseconds;

    #[test]
    fn a_time_has_a_unit_or_is_in_seconds() {
        let times = [
            ("5", 5_000_000),
            ("5s", 5_000_000),
            (" 1.5 s", 1_500_000),
            ("500ms", 500_000),
            ("250us", 250),
            ("250µs", 250),
            ("0", 0),
            ("99999999999999999999", i64::MAX),
        ];
        for (text, us) in times {
            assert_eq!(microseconds(text), Some(us), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "s", "five", "5 minutes", "-1", "1e3", "1.2.3", "5ss", "nan", "inf", "."] {
            assert_eq!(microseconds(text), None, "{text}");
        }
    }
}

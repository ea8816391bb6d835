//! Hands a report out: to a descriptor, or where the environment or the host wishes it.

use super::{Report, TextStyle, to_json, to_text, to_trace};
use crate::sink::{tell, write_all};
use crate::status::Result;
use crate::sync::Deadline;
use libc::c_int;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// The forms a report is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Form {
    /// For a person.
    Text = 1,
    /// For a program.
    Json = 2,
    /// For Perfetto or speedscope.
    Trace = 3,
}

impl Form {
    /// The form of this number.
    pub fn from_number(number: u32) -> Option<Form> {
        [Form::Text, Form::Json, Form::Trace].into_iter().find(|form| *form as u32 == number)
    }

    fn from_name(name: &str) -> Option<Form> {
        match name {
            "text" => Some(Form::Text),
            "json" => Some(Form::Json),
            "trace" => Some(Form::Trace),
            _ => None,
        }
    }

    /// Renders `report`; text in `style`.
    pub fn render(self, report: &Report, style: TextStyle) -> String {
        match self {
            Form::Text => to_text(report, style),
            Form::Json => to_json(report),
            Form::Trace => to_trace(report),
        }
    }
}

/// Writes the report to a descriptor, waiting for room until `deadline`: text with bars and colours if it
/// is a terminal.
///
/// # Errors
/// As [`write_all`].
pub fn write_to(report: &Report, form: Form, fd: c_int, deadline: Deadline) -> Result<()> {
    let mut text = form.render(report, style_of(fd));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    write_all(fd, text.as_bytes(), deadline)
}

fn style_of(fd: c_int) -> TextStyle {
    // SAFETY: asks about a descriptor; `size` is filled before it is read.
    unsafe {
        if libc::isatty(fd) != 1 {
            return TextStyle::plain();
        }
        let mut size: libc::winsize = std::mem::zeroed();
        let known = libc::ioctl(fd, libc::TIOCGWINSZ, &mut size) == 0 && size.ws_col > 0;
        TextStyle::terminal(if known { size.ws_col.into() } else { 80 })
    }
}

/// How long the end of a finalization waits for whoever reads stderr.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a report is to go, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    form: Form,
    path: Option<OsString>,
}

impl Wish {
    /// `text`, `json` or `trace`, and `:PATH`; stderr without a path, which need not be UTF-8.
    pub fn parse(text: &OsStr) -> Option<Wish> {
        let bytes = text.as_bytes();
        let (name, path) = match bytes.iter().position(|&byte| byte == b':') {
            Some(at) => (&bytes[..at], Some(OsStr::from_bytes(&bytes[at + 1..]).to_owned())),
            None => (bytes, None),
        };
        let form = Form::from_name(std::str::from_utf8(name).ok()?)?;
        Some(Wish { form, path })
    }

    /// Writes the report there. What goes wrong is told in a line on stderr: the exit must not fail for
    /// want of its report.
    pub fn grant(&self, report: &Report) {
        let written = match &self.path {
            None => {
                let deadline = Deadline::after(PATIENCE);
                write_to(report, self.form, libc::STDERR_FILENO, deadline)
                    .map_err(|e| e.to_string())
            }
            Some(path) => std::fs::write(path, self.form.render(report, TextStyle::plain()) + "\n")
                .map_err(|error| error.to_string()),
        };
        if let Err(error) = written {
            let place = self.path.as_deref().unwrap_or("stderr".as_ref()).to_string_lossy();
            tell(&format!("rtfinalize: the report could not be written to {place}: {error}"));
        }
    }
}

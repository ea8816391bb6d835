//! Hands a report out: to a descriptor, or where the environment or the host wishes it.

use super::{Report, TextStyle, to_json, to_text, to_trace};
use crate::sink::{STDERR, tell, write_all};
use crate::status::Result;
use crate::sync::Deadline;
use libc::c_int;
use std::ffi::{OsStr, OsString};
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

#[cfg(unix)]
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

/// Windows' consoles show bars and colours only if told to, and UTF-8 only by its code page.
#[cfg(windows)]
fn style_of(fd: c_int) -> TextStyle {
    use windows_sys::Win32::System::Console::{
        CONSOLE_SCREEN_BUFFER_INFO, ENABLE_VIRTUAL_TERMINAL_PROCESSING, GetConsoleMode,
        GetConsoleOutputCP, GetConsoleScreenBufferInfo,
    };
    const UTF_8: u32 = 65001;
    let Some(handle) = crate::sink::Handle::of_descriptor(fd) else { return TextStyle::plain() };
    let (mut mode, mut screen) = (0, CONSOLE_SCREEN_BUFFER_INFO::default());
    // SAFETY: asks about a handle; what is filled is written before it is read.
    unsafe {
        if GetConsoleMode(handle.0, &mut mode) == 0
            || mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING == 0
            || GetConsoleOutputCP() != UTF_8
        {
            return TextStyle::plain();
        }
        let known = GetConsoleScreenBufferInfo(handle.0, &mut screen) != 0;
        let columns = usize::try_from(screen.dwSize.X).unwrap_or(0);
        TextStyle::terminal(if known && columns > 0 { columns } else { 80 })
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
        let bytes = text.as_encoded_bytes();
        let Some(at) = bytes.iter().position(|&byte| byte == b':') else {
            return Some(Wish { form: Form::from_name(text.to_str()?)?, path: None });
        };
        let form = Form::from_name(std::str::from_utf8(&bytes[..at]).ok()?)?;
        // SAFETY: what follows a whole character of a string is a string.
        let path = unsafe { OsStr::from_encoded_bytes_unchecked(&bytes[at + 1..]) };
        Some(Wish { form, path: Some(path.to_owned()) })
    }

    /// Writes the report there. What goes wrong is told in a line on stderr: the exit must not fail for
    /// want of its report.
    pub fn grant(&self, report: &Report) {
        let written = match &self.path {
            None => {
                let deadline = Deadline::after(PATIENCE);
                write_to(report, self.form, STDERR, deadline).map_err(|e| e.to_string())
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

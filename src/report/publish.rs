//! Hands a report out: to a descriptor, or where the environment or the host wishes it.

use super::output;
use super::{Report, TextStyle, to_html, to_json, to_text, to_trace};
use crate::io::standard_error::is_stderr;
use crate::io::{STDERR, write_all, write_all_unless_stuck};
use crate::status::Result;
use crate::sync::Deadline;
use libc::c_int;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::path::Path;
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
    /// For a person with a browser.
    Html = 4,
}

impl Form {
    /// The form of this number.
    pub fn from_number(number: u32) -> Option<Form> {
        let all = [Form::Text, Form::Json, Form::Trace, Form::Html];
        all.into_iter().find(|form| *form as u32 == number)
    }

    fn from_name(name: &str) -> Option<Form> {
        match name {
            "text" => Some(Form::Text),
            "json" => Some(Form::Json),
            "trace" => Some(Form::Trace),
            "html" => Some(Form::Html),
            _ => None,
        }
    }

    /// As [`render`](Form::render), with a newline at its end.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(super) fn lines(self, report: &Report, style: TextStyle) -> Result<String> {
        let mut text = self.render(report, style)?;
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Ok(text)
    }

    /// Renders `report`; text in `style`.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn render(self, report: &Report, style: TextStyle) -> Result<String> {
        // A text grows by doubling, and beside it there are rows that are laid out. A page is measured first.
        let spare = || crate::sys::memory::spare(report.size().saturating_mul(4));
        Ok(match self {
            Form::Text => spare().map(|()| to_text(report, style))?,
            Form::Json => spare().map(|()| to_json(report))?,
            Form::Trace => spare().map(|()| to_trace(report))?,
            Form::Html => to_html(report)?,
        })
    }
}

/// Writes the report to a descriptor, waiting for room until `deadline`: text with bars and colours if it
/// is a terminal.
///
/// # Errors
/// As [`write_all`].
pub fn write_to(report: &Report, form: Form, fd: c_int, deadline: Deadline) -> Result<()> {
    write_all(fd, form.lines(report, style_of(fd))?.as_bytes(), deadline)
}

/// As [`write_to`], for as long as whoever reads it takes some of it now and then: every 5 s.
///
/// # Errors
/// As [`write_to`].
pub fn write_to_reader(report: &Report, form: Form, fd: c_int) -> Result<()> {
    const STUCK: Duration = Duration::from_secs(5);
    write_all_unless_stuck(fd, form.lines(report, style_of(fd))?.as_bytes(), STUCK)
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
    let Some(handle) = crate::io::Handle::of_descriptor(fd) else { return TextStyle::plain() };
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

/// Where a report is to go, and in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    form: Form,
    path: Option<OsString>,
}

impl Wish {
    /// `text`, `json`, `trace` or `html`, and `:PATH`; stderr without a path, which need not be UTF-8. In the path `%p` is
    /// the process number and `%%` a percent sign; `None` for any other percent sign.
    pub fn parse(text: &OsStr) -> Option<Wish> {
        let bytes = text.as_encoded_bytes();
        let Some(at) = bytes.iter().position(|&byte| byte == b':') else {
            return Some(Wish { form: Form::from_name(text.to_str()?)?, path: None });
        };
        let form = Form::from_name(std::str::from_utf8(&bytes[..at]).ok()?)?;
        // SAFETY: what follows a whole character of a string is a string.
        let path = unsafe { OsStr::from_encoded_bytes_unchecked(&bytes[at + 1..]) };
        let usable = !path.is_empty() && output::is_expandable(path);
        usable.then(|| Wish { form, path: Some(path.to_owned()) })
    }

    /// The place where the report goes, in this process.
    pub(crate) fn place(&self) -> OsString {
        self.path.as_deref().map_or_else(|| "stderr".into(), output::place)
    }

    /// Writes the report to `place`, which is [`place`](Wish::place), and waits until `deadline` for whoever reads
    /// it.
    ///
    /// # Errors
    /// Why it was not written, in a sentence that names the place.
    pub(crate) fn grant(
        &self,
        report: &Report,
        place: &OsStr,
        deadline: Deadline,
    ) -> std::result::Result<(), String> {
        let written = match &self.path {
            None if !is_stderr() => Err("descriptor 2 is not stderr".into()),
            None => output::write_to_reader(report, self.form, STDERR, deadline),
            Some(_) => output::write(report, self.form, Path::new(place), deadline),
        };
        written.map_err(|why| {
            let place: Cow<'_, str> = place.to_string_lossy();
            format!("the report could not be written to {place}: {why}")
        })
    }
}

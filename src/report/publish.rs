//! Hands a report out: to a descriptor, or where the environment asks for it.
//!
//! `RTFINALIZE_REPORT=text|json|trace[:PATH]` is for a deployed program whose source nobody changes.

use super::{Report, TextStyle, to_json, to_text, to_trace};
use libc::c_int;

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

/// Writes the report to a descriptor: text with bars and colours if it is a terminal.
///
/// # Errors
/// What the system says of the write.
pub fn write_to(report: &Report, form: Form, fd: c_int) -> std::io::Result<()> {
    let mut text = form.render(report, style_of(fd));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        // SAFETY: the bytes are readable for their length.
        let wrote = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(wrote) {
            Ok(wrote) => rest = &rest[wrote..],
            Err(_) => {
                let error = std::io::Error::last_os_error();
                if error.kind() != std::io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
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

/// Writes the report where the environment asks for it, if it does. What goes wrong is told in a line
/// on stderr: the exit must not fail for want of its report.
pub fn publish(report: &Report) {
    let Ok(wish) = std::env::var("RTFINALIZE_REPORT") else { return };
    if wish.is_empty() {
        return;
    }
    let (name, path) = match wish.split_once(':') {
        Some((name, path)) => (name, Some(path)),
        None => (wish.as_str(), None),
    };
    let Some(form) = Form::from_name(name) else {
        eprintln!("rtfinalize: RTFINALIZE_REPORT is '{wish}'; it takes text, json or trace, and :PATH");
        return;
    };
    let written = match path {
        None => write_to(report, form, libc::STDERR_FILENO),
        Some(path) => std::fs::write(path, form.render(report, TextStyle::plain()) + "\n"),
    };
    if let Err(error) = written {
        eprintln!("rtfinalize: the report could not be written to {}: {error}", path.unwrap_or("stderr"));
    }
}

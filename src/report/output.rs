//! Writes a report to the path that was wished for.
//!
//! Whoever reads the path finds a whole report there, or what was there before: a file is written aside and renamed
//! into its place. It is written in place only where that cannot be: its folder or owner does not allow it, it has
//! other names, or something is mounted there. What is no file may have no reader, so it is opened and written
//! without waiting for longer than until a deadline.

use super::{Form, Report, TextStyle, write_to};
use crate::status::{Error, Status};
use crate::sync::{AtomicBool, Deadline, Ordering};
use libc::c_int;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Why a report was not written.
pub(super) type Unwritten = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Unwritten>;

/// Whether each percent sign in `path` begins a sequence that [`expanded`] knows.
pub(super) fn is_expandable(path: &OsStr) -> bool {
    let mut bytes = path.as_encoded_bytes().iter();
    while bytes.any(|&byte| byte == b'%') {
        if !matches!(bytes.next(), Some(b'p' | b'%')) {
            return false;
        }
    }
    true
}

/// The path with the process number for `%p`, and a percent sign for `%%`.
pub(super) fn expanded(path: &OsStr) -> OsString {
    let mut rest = path.as_encoded_bytes();
    let mut whole = Vec::new();
    while let Some(at) = rest.iter().position(|&byte| byte == b'%') {
        whole.extend_from_slice(&rest[..at]);
        match rest.get(at + 1) {
            Some(b'p') => whole.extend_from_slice(std::process::id().to_string().as_bytes()),
            _ => whole.push(b'%'),
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    whole.extend_from_slice(rest);
    // SAFETY: whole characters were put in the place of whole characters.
    unsafe { OsString::from_encoded_bytes_unchecked(whole) }
}

/// Whether this process is one of several with the same settings.
static IS_ONE_OF_SEVERAL: AtomicBool = AtomicBool::new(false);

/// From now on the reports of this process say whose they are.
pub fn number_reports() {
    IS_ONE_OF_SEVERAL.store(true, Ordering::Relaxed);
}

/// The number of this process, where its reports shall say it.
pub(super) fn number() -> Option<u32> {
    IS_ONE_OF_SEVERAL.load(Ordering::Relaxed).then(std::process::id)
}

/// Where the report with this path goes in this process. One of several processes has a file of its own: with its
/// number in the name, unless the path has that already or leads to something else than a file.
pub(super) fn place(path: &OsStr) -> OsString {
    let whole = expanded(path);
    match number() {
        Some(number) if !has_number(path) && is_for_a_file(Path::new(&whole)) => {
            numbered(Path::new(&whole), number)
        }
        _ => whole,
    }
}

fn has_number(path: &OsStr) -> bool {
    let mut bytes = path.as_encoded_bytes().iter();
    while bytes.any(|&byte| byte == b'%') {
        if bytes.next() == Some(&b'p') {
            return true;
        }
    }
    false
}

fn is_for_a_file(path: &Path) -> bool {
    descriptor_at(path).is_none() && std::fs::metadata(path).map_or(true, |known| known.is_file())
}

/// `end-4711.json` for `end.json`.
fn numbered(path: &Path, number: u32) -> OsString {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name).into_os_string()
}

/// Writes the report to `path`, waiting for who reads it until `deadline`.
pub(super) fn write(report: &Report, form: Form, path: &Path, deadline: Deadline) -> Result<()> {
    if let Some(fd) = descriptor_at(path) {
        return write_to_reader(report, form, fd, deadline);
    }
    system::write(report, form, path, deadline)
}

/// The descriptor that the path stands for. Opened by its path a file would be overwritten from its start, and a
/// socket could not be opened at all.
fn descriptor_at(path: &Path) -> Option<c_int> {
    match path.to_str()? {
        "/dev/stdout" => Some(1),
        "/dev/stderr" => Some(2),
        path => {
            let number =
                path.strip_prefix("/dev/fd/").or_else(|| path.strip_prefix("/proc/self/fd/"))?;
            number.parse().ok()
        }
    }
}

pub(super) fn write_to_reader(
    report: &Report,
    form: Form,
    fd: c_int,
    deadline: Deadline,
) -> Result<()> {
    write_to(report, form, fd, deadline).map_err(unwritten)
}

fn unwritten(error: Error) -> Unwritten {
    match error.status() {
        Status::Timeout => "whoever reads it did not take the whole of it in time".into(),
        Status::NoMemory => "there is no memory for its text".into(),
        // The rest of the text is about a writer, which keeps what it could not write.
        Status::Io => error.detail().into(),
        _ => error.into(),
    }
}

/// The report as a file has it.
fn text_of(report: &Report, form: Form) -> Result<String> {
    form.lines(report, TextStyle::plain()).map_err(unwritten)
}

/// Opens a new file in `folder`, whose name is no other's.
fn create_aside(folder: &Path) -> io::Result<(PathBuf, File)> {
    const TRIES: u32 = 1000;
    let mut tries = 0;
    loop {
        let name = format!(".rtfinalize-report-{}-{tries}", std::process::id());
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {
                tries += 1;
            }
            made => return made.map(|file| (path, file)),
        }
    }
}

/// The folder of a path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(unix)]
mod system {
    use super::*;
    use crate::sync::sleep;
    use std::fs::{self, Metadata, Permissions};
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
    use std::time::Duration;

    /// How often a pipe without a reader is looked at.
    const TURN: Duration = Duration::from_millis(5);

    /// As many links as the system follows.
    const MOST_LINKS: u32 = 40;

    pub fn write(report: &Report, form: Form, path: &Path, deadline: Deadline) -> Result<()> {
        let Some(file) = open(path, deadline)? else {
            return replace(&followed(path), None, &text_of(report, form)?);
        };
        let known = file.metadata()?;
        if !known.is_file() {
            return write_to_reader(report, form, file.as_raw_fd(), deadline);
        }
        drop(file);
        let text = text_of(report, form)?;
        if is_a_standard_stream(&known) {
            return write_in_place(OpenOptions::new().append(true), path, &text);
        }
        replace(&followed(path), Some(&known), &text)
    }

    /// Opens what is there to be written, and waits until `deadline` for a pipe's reader. `None`: nothing is there.
    fn open(path: &Path, deadline: Deadline) -> Result<Option<File>> {
        loop {
            let error = match without_waiting(OpenOptions::new().write(true)).open(path) {
                Ok(file) => return Ok(Some(file)),
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::NotFound {
                return Ok(None);
            }
            let is_pipe = || fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo());
            if error.raw_os_error() != Some(libc::ENXIO) || !is_pipe() {
                return Err(error.into());
            }
            if deadline.passed() {
                return Err("it is a pipe, and nobody has opened it to read".into());
            }
            sleep(deadline.left().map_or(TURN, |left| left.min(TURN)));
        }
    }

    fn without_waiting(options: &mut OpenOptions) -> &mut OpenOptions {
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
    }

    /// The name of the file itself, where the path ends in links to it; it need not exist.
    fn followed(path: &Path) -> PathBuf {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Ok(to) = fs::read_link(&path) else { break };
            path = folder_of(&path).join(to);
        }
        path
    }

    /// Whether the file is one that this process, and those it shares its streams with, have open as stdin,
    /// stdout or stderr. In its place it would be lost to them.
    fn is_a_standard_stream(file: &Metadata) -> bool {
        (0..=2).any(|fd| {
            let open = fs::metadata(format!("/dev/fd/{fd}"));
            open.is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
        })
    }

    /// Puts a file with this text in the place of `target`, which is `known`, or was not there.
    fn replace(target: &Path, known: Option<&Metadata>, text: &str) -> Result<()> {
        let in_place = || {
            let mut options = OpenOptions::new();
            options.write(true).truncate(true).create(known.is_none());
            write_in_place(&mut options, target, text)
        };
        if known.is_some_and(|it| it.nlink() > 1) {
            return in_place();
        }
        let Ok((aside, file)) = create_aside(folder_of(target)) else { return in_place() };
        let written = if known.is_none_or(|known| make_alike(&file, known).is_ok()) {
            Some(write_whole(&file, text))
        } else {
            None
        };
        if matches!(written, Some(Ok(()))) && fs::rename(&aside, target).is_ok() {
            return Ok(());
        }
        let _ = fs::remove_file(&aside);
        match written {
            Some(Err(error)) => Err(error),
            _ => in_place(),
        }
    }

    /// Gives the file the owner and the permissions of `known`.
    fn make_alike(file: &File, known: &Metadata) -> io::Result<()> {
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (known.uid(), known.gid()) {
            fchown(file, Some(known.uid()), Some(known.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(known.mode() & 0o7777))
    }

    fn write_in_place(options: &mut OpenOptions, path: &Path, text: &str) -> Result<()> {
        let file = without_waiting(options).open(path)?;
        write_whole(&file, text)
    }

    fn write_whole(file: &File, text: &str) -> Result<()> {
        let now = Deadline::after_us(0);
        crate::io::write_all(file.as_raw_fd(), text.as_bytes(), now).map_err(unwritten)
    }
}

#[cfg(not(unix))]
mod system {
    use super::*;
    use std::fs;
    use std::io::Write;

    pub fn write(report: &Report, form: Form, path: &Path, _: Deadline) -> Result<()> {
        let text = text_of(report, form)?;
        let may_be_replaced = match fs::metadata(path) {
            Ok(known) => known.is_file(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if may_be_replaced && replace(path, &text).is_ok() {
            return Ok(());
        }
        Ok(fs::write(path, text)?)
    }

    fn replace(path: &Path, text: &str) -> io::Result<()> {
        let (aside, mut file) = create_aside(folder_of(path))?;
        let written = file.write_all(text.as_bytes());
        drop(file);
        let replaced = written.and_then(|()| fs::rename(&aside, path));
        if replaced.is_err() {
            let _ = fs::remove_file(&aside);
        }
        replaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_the_process_number_for_percent_p_and_no_other_sequence() {
        let number = std::process::id();
        for (path, whole) in [
            ("plain", "plain".to_owned()),
            ("é-%p.json", format!("é-{number}.json")),
            ("%%p%p%%", format!("%p{number}%")),
        ] {
            assert!(is_expandable(path.as_ref()), "{path}");
            assert_eq!(expanded(path.as_ref()), *whole);
        }
        for (path, has) in [("plain", false), ("%%p", false), ("a-%p", true), ("%%%p", true)] {
            assert_eq!(has_number(path.as_ref()), has, "{path}");
        }
        for path in ["%", "a%d", "%%%", "%P", "a%é"] {
            assert!(!is_expandable(path.as_ref()), "{path}");
        }
    }

    #[test]
    fn the_number_of_a_process_stands_before_the_extension() {
        for (path, whole) in [
            ("end.json", "end-7.json"),
            ("of.main/end", "of.main/end-7"),
            ("/var/log/.end", "/var/log/.end-7"),
            ("a.b.c", "a.b-7.c"),
        ] {
            // As paths: Windows joins with a separator of its own.
            assert_eq!(Path::new(&numbered(Path::new(path), 7)), Path::new(whole));
        }
        assert!(is_for_a_file(Path::new("no/such/file")));
        assert!(!is_for_a_file(Path::new("/dev/stderr")));
        #[cfg(unix)]
        assert!(!is_for_a_file(Path::new("/dev/null")));
    }
}

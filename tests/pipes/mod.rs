//! A pipe as a writer's destination, on every system.

use rtfinalize::io::{Descriptor, Sink};
use std::io::PipeWriter;

#[cfg(unix)]
pub fn sink_of(end: &PipeWriter) -> Sink {
    use std::os::fd::AsRawFd;
    // SAFETY: the tests keep the pipe's end open as long as its writer.
    Sink::Descriptor(unsafe { Descriptor::new(end.as_raw_fd()) }.unwrap())
}

#[cfg(windows)]
pub fn sink_of(end: &PipeWriter) -> Sink {
    use rtfinalize::io::Handle;
    use std::os::windows::io::AsRawHandle;
    // SAFETY: as on Unix.
    Sink::Descriptor(unsafe { Descriptor::of_handle(Handle(end.as_raw_handle())) }.unwrap())
}

//! The end of a process that cannot be finalized in time.

use crate::phase::Phase;
use crate::sync::{AtomicBool, Ordering};

/// Says on stderr what overran, and ends the process with `exit_code`.
///
/// Takes no lock and allocates nothing. Of several threads that come here, one does it.
pub fn end_process(exit_code: i32, runtime: &str, phase: Phase, during: &[&str]) -> ! {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    // Relaxed: only which of them comes first matters.
    while BEGUN.swap(true, Ordering::Relaxed) {
        crate::sync::sleep(std::time::Duration::MAX);
    }
    let mut line = Line { bytes: [0; 512], len: 0 };
    line.put("rtfinalize: '");
    line.put(runtime);
    line.put("' ran out of time in the phase ");
    line.put(phase.name());
    for what in during {
        line.put(", ");
        line.put(what);
    }
    line.put("; exit\n");
    // SAFETY: the buffer is readable for its length; `_exit` does not return.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.len);
        libc::_exit(exit_code)
    }
}

struct Line {
    bytes: [u8; 512],
    len: usize,
}

impl Line {
    fn put(&mut self, text: &str) {
        let fits = text.len().min(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
    }
}

//! Where leaked operations stay.
//!
//! A leak on purpose is not a leak by accident, and a leak checker should be able to tell: what is on
//! the shelf is reachable until the process ends. Nothing is ever taken off: when the kernel is done
//! with an operation nobody may be left to ask.

use super::provider::Provider;
use crate::sync::{Arc, Mutex};

static SHELF: Mutex<Vec<Arc<dyn Provider>>> = Mutex::new(Vec::new());

/// Keeps an operation's memory until the process ends.
pub(super) fn keep(provider: Arc<dyn Provider>) {
    let mut shelf = SHELF.lock();
    if shelf.try_reserve(1).is_ok() {
        shelf.push(provider);
    } else {
        // Unreachable, but not freed: that is what counts.
        std::mem::forget(provider);
    }
}

#[cfg(test)]
mod tests {
    use crate::runtime::Runtime;
    use crate::runtime::overlapped::Overlapped;
    use crate::runtime::overlapped::provider::{Progress, Provider, Why};
    use crate::status::{Result, Status};
    use crate::sync::{Arc, AtomicBool, Deadline, Ordering};

    struct Memory {
        in_flight: bool,
        freed: Arc<AtomicBool>,
    }

    impl Provider for Memory {
        fn submit(&self) -> Result<()> {
            Ok(())
        }
        fn cancel(&self) {}
        fn wait(&self, _: Deadline) -> Progress {
            if self.in_flight { Progress::Pending(Why::InFlight) } else { Progress::Done(Ok(0)) }
        }
        fn close(&self) {}
        fn answers_when_leaked(&self) -> bool {
            true
        }
        fn bytes(&self) -> u64 {
            1
        }
        fn data(&self) -> Option<&[u8]> {
            None
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            self.freed.store(true, Ordering::SeqCst);
        }
    }

    /// Whether the memory goes with the last reference, `end` having been called before.
    fn is_freed(in_flight: bool, end: impl FnOnce(&Runtime, &Overlapped)) -> bool {
        let runtime = Runtime::new("own");
        let freed = Arc::new(AtomicBool::new(false));
        let memory = Arc::new(Memory { in_flight, freed: freed.clone() });
        let operation = Overlapped::with_provider(&runtime, memory, "memory").unwrap();
        operation.submit().unwrap();
        assert_eq!(operation.submit().unwrap_err().status(), Status::State);
        end(&runtime, &operation);
        runtime.forget_operation(&operation);
        drop(operation);
        freed.load(Ordering::SeqCst)
    }

    #[test]
    fn memory_in_flight_outlives_its_last_reference() {
        assert!(!is_freed(true, |_, _| {}));
        assert!(!is_freed(true, |_, operation| assert!(operation.dealloc().is_err())));
        assert!(!is_freed(true, |runtime, operation| {
            runtime.advance(crate::runtime::lifecycle::State::Finalizing);
            assert!(operation.dealloc().is_ok());
        }));
    }

    #[test]
    fn memory_that_is_done_goes_with_its_last_reference() {
        assert!(is_freed(false, |_, operation| assert!(operation.dealloc().is_ok())));
        assert!(is_freed(false, |_, operation| assert!(operation.result().is_ok())));
    }
}

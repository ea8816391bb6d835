//! What safe Rust must not be able to write against this crate. Each is a test: it passes if it does not compile.
//!
//! The lock and what it protects, which a `Hold` on another thread, or two of them, would race for:
//! ```compile_fail,E0603
//! use rtfinalize::lock::recoverable::Recoverable;
//! ```
//!
//! What moves a lock by a number:
//! ```compile_fail,E0603
//! use rtfinalize::lock::buffered::BufferedLock;
//! ```
//!
//! A thread that says of itself that it will never run again:
//! ```compile_fail,E0603
//! use rtfinalize::thread::this_thread::OWNERS;
//! ```
//! ```compile_fail,E0603
//! rtfinalize::runtime::parked::park_for_good();
//! ```
//!
//! The end of a thread, resumed without one:
//! ```compile_fail,E0603
//! rtfinalize::thread::host_call::settle();
//! ```
//!
//! A reference that outlives what it points to:
//! ```compile_fail,E0603
//! use rtfinalize::runtime::objects::Refusals;
//! ```
//!
//! Functions of C's, called with any argument:
//! ```compile_fail,E0133
//! unsafe extern "C-unwind" fn write(_: *mut libc::c_void, _: *const libc::c_void, _: usize) -> i64 {
//!     0
//! }
//! rtfinalize::io::Callbacks::new(write, None, None, std::ptr::null_mut());
//! ```
//! ```compile_fail,E0451
//! unsafe extern "C-unwind" fn write(_: *mut libc::c_void, _: *const libc::c_void, _: usize) -> i64 {
//!     0
//! }
//! let arg = std::ptr::null_mut();
//! rtfinalize::io::Callbacks { write, wait: None, close: None, arg };
//! ```
//! ```compile_fail,E0603
//! use rtfinalize::runtime::overlapped::Warning;
//! ```
//! ```compile_fail,E0624
//! rtfinalize::thread::host_call::ObjectCalls::NONE.dealloc();
//! ```
//!
//! A descriptor of somebody else's, written and closed:
//! ```compile_fail,E0133
//! rtfinalize::io::Descriptor::new(2);
//! ```
//!
//! A runtime moved on by hand:
//! ```compile_fail,E0624
//! rtfinalize::runtime::Runtime::main().gate();
//! ```

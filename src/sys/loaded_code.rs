//! Code that is gone: a plug-in registers callbacks, is unloaded (`dlclose`, `FreeLibrary`), and leaves
//! them behind.
//!
//! A call into it is a jump to an unmapped address, or into whatever lies there now. So before every
//! call into the host we ask glibc whether an object is loaded at the function's address:
//! `_dl_find_object` takes no lock and about as long as a function call. Code that belongs to no
//! object may have been made at run time (a JIT's, libffi's closures); the kernel's list of mappings
//! tells that from none. Where that list cannot be read such code is not called. On Windows the kernel is asked in every case (`VirtualQuery`), which takes no
//! lock of the loader's either.
//!
//! Two things cannot be told: that another object was loaded at the same address meanwhile, and that
//! the code goes away between the question and the call. With a glibc before 2.35, which has no
//! `_dl_find_object`, the kernel is asked whether anything is mapped at the address, and on other systems
//! nothing is asked: other ways to find an object wait for the loader's lock, which a thread that was
//! stopped inside `dlopen` never gives back.

/// What unloads code here.
#[cfg(windows)]
macro_rules! unloading {
    () => {
        "FreeLibrary"
    };
}

/// What unloads code here.
#[cfg(not(windows))]
macro_rules! unloading {
    () => {
        "dlclose"
    };
}

/// What is said of a callback that was not called.
pub const NOT_CALLED: &str = concat!("not called: its code was unloaded (", unloading!(), ")");

/// What is said of an operation that cannot be asked any more.
pub const MAY_BE_IN_FLIGHT: &str =
    concat!("its callbacks' code was unloaded (", unloading!(), "), so it may be in flight");

/// Whether there is certainly no code at `address` any more.
#[inline]
pub fn is_gone(address: *const ()) -> bool {
    system::is_gone(address)
}

#[cfg(not(any(windows, all(target_os = "linux", target_env = "gnu"))))]
mod system {
    pub fn is_gone(_: *const ()) -> bool {
        false
    }
}

#[cfg(windows)]
mod system {
    use windows_sys::Win32::System::Memory::{
        MEM_COMMIT, MEMORY_BASIC_INFORMATION, PAGE_EXECUTE, PAGE_EXECUTE_READ,
        PAGE_EXECUTE_READWRITE, PAGE_EXECUTE_WRITECOPY, VirtualQuery,
    };

    const EXECUTABLE: u32 =
        PAGE_EXECUTE | PAGE_EXECUTE_READ | PAGE_EXECUTE_READWRITE | PAGE_EXECUTE_WRITECOPY;

    pub fn is_gone(address: *const ()) -> bool {
        let mut found = std::mem::MaybeUninit::<MEMORY_BASIC_INFORMATION>::uninit();
        // SAFETY: it only asks, about any address, and stores no more than there is room for.
        let known = unsafe {
            VirtualQuery(address.cast(), found.as_mut_ptr(), size_of::<MEMORY_BASIC_INFORMATION>())
        };
        if known == 0 {
            // Not an address of this process's, or the system does not say.
            return false;
        }
        // SAFETY: what succeeds stores all of it.
        let found = unsafe { found.assume_init() };
        found.State != MEM_COMMIT || found.Protect & EXECUTABLE == 0
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn code_that_is_loaded_is_not_gone_and_data_and_nothing_are() {
            static DATA: u8 = 1;
            assert!(!is_gone(is_gone as *const ()));
            assert!(is_gone((&raw const DATA).cast()));
            assert!(is_gone(std::ptr::without_provenance(64)));
        }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod system {
    use libc::{c_int, c_void};
    use std::fs::File;
    use std::io::Read;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// `_dl_find_object`; 0 without one.
    static FIND: AtomicUsize = AtomicUsize::new(0);

    /// Looked up while this library is loaded: later, `dlsym` might wait for the loader's lock.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK_UP: extern "C" fn() = look_up;

    extern "C" fn look_up() {
        // SAFETY: the name is a C string.
        let find = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
        // Relaxed, as the load: the function was there before.
        FIND.store(find.expose_provenance(), Ordering::Relaxed);
    }

    /// Room for a `struct dl_find_object` (at most 112 bytes, with what is reserved); nothing in it
    /// is read.
    #[repr(C, align(16))]
    struct Found([u8; 256]);

    #[inline]
    pub fn is_gone(address: *const ()) -> bool {
        let find = FIND.load(Ordering::Relaxed);
        if find == 0 {
            return is_unmapped(address);
        }
        type Find = unsafe extern "C" fn(pc: *mut c_void, result: *mut Found) -> c_int;
        // SAFETY: glibc's function has this signature, and is there as long as the process.
        let find: Find = unsafe { std::mem::transmute(find as *const ()) };
        let mut found = std::mem::MaybeUninit::uninit();
        // SAFETY: it only looks the address up; what it stores has room.
        let loaded = unsafe { find(address.cast_mut().cast(), found.as_mut_ptr()) } == 0;
        !loaded && !is_code_of_nobody(address)
    }

    /// Whether there is certainly no memory at this address.
    fn is_unmapped(address: *const ()) -> bool {
        // SAFETY: it only asks.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let page = usize::try_from(page).unwrap_or(4096);
        let mut resident = 0;
        let start = address.map_addr(|at| at & !(page - 1)).cast_mut().cast();
        // SAFETY: it only asks, about one page, and stores one byte.
        let asked = unsafe { libc::mincore(start, 1, &raw mut resident) };
        asked != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOMEM)
    }

    /// Whether an address that belongs to no object can be run, for all that can be found out.
    #[cold]
    fn is_code_of_nobody(address: *const ()) -> bool {
        !is_unmapped(address)
            && File::open("/proc/self/maps").is_ok_and(|maps| is_executable(maps, address.addr()))
    }

    /// Whether the mapping around `address`, in a list like `7f00-7fff r-xp …`, is executable.
    /// Allocates nothing.
    fn is_executable(mut maps: impl Read, address: usize) -> bool {
        let mut line = Line::default();
        let mut buffer = [0; 4096];
        loop {
            let count = match maps.read(&mut buffer) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return false,
            };
            for &byte in &buffer[..count] {
                if let Some(executable) = line.take(byte, address) {
                    return executable;
                }
            }
        }
    }

    /// A line of the list, as far as it was read.
    #[derive(Default)]
    struct Line {
        bounds: [usize; 2],
        field: usize,
        executable: bool,
    }

    impl Line {
        /// Takes the next byte; at the end of the line that has `address`, whether it is executable.
        fn take(&mut self, byte: u8, address: usize) -> Option<bool> {
            match (byte, self.field) {
                (b'\n', _) => {
                    let line = std::mem::take(self);
                    let [start, end] = line.bounds;
                    return (start..end).contains(&address).then_some(line.executable);
                }
                (b'-', 0) | (b' ', 1 | 2) => self.field += 1,
                (digit, 0 | 1) => {
                    let digit = char::from(digit).to_digit(16).unwrap_or(0) as usize;
                    self.bounds[self.field] = self.bounds[self.field] << 4 | digit;
                }
                (b'x', 2) => self.executable = true,
                _ => {}
            }
            None
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_list_of_mappings_tells_code_from_data_and_from_nothing() {
            let maps = "1000-2000 r-xp 00000000 08:01 11  /lib/x-1000-9000 rwx\n\
                        2000-3000 rw-p 00000000 00:00 0\n\
                        7f0000000000-7f0000001000 r-xp 00000000 00:00 0\n";
            let is_executable = |address| is_executable(maps.as_bytes(), address);
            assert!(is_executable(0x1000) && is_executable(0x1fff));
            assert!(!is_executable(0x2000) && !is_executable(0x2fff));
            assert!(!is_executable(0x3000) && !is_executable(0xfff));
            assert!(is_executable(0x7f00_0000_0010));
        }

        #[test]
        fn code_that_is_loaded_is_not_gone_and_an_unmapped_address_is() {
            assert!(!is_gone(look_up as *const ()));
            // glibc may be too old to tell.
            if FIND.load(Ordering::Relaxed) != 0 {
                assert!(is_gone(std::ptr::without_provenance(64)));
            }
        }
    }
}

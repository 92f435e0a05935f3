//! The few system calls of the modules, and the state directory made of them.

use core::ffi::CStr;

use guest_names::bridge::Bridge;
use guest_names::io::{Fault, Kind, Stamp, StateDir, StateFile};
use guest_names::snapshot::{Opened, format};
use guest_names::text::Text;

pub(crate) use crate::arena::Arena;
pub(crate) use guest_names::io::STATE_DIRECTORY;

/// An open file descriptor, closed on drop.
struct Descriptor(libc::c_int);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and isn't used afterwards. On Linux, close also closes it when it returns EINTR.
        unsafe { libc::close(self.0) };
    }
}

impl Descriptor {
    /// Opens `path` for reading: closed on exec, without waiting for the other end of a FIFO, never as the controlling
    /// terminal. `path` ends in a NUL.
    fn open(at: libc::c_int, path: &[u8], flags: libc::c_int) -> Result<Self, Fault> {
        let flags = flags | libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        if path.last() != Some(&0) {
            return Err(Fault::Unreadable(libc::EINVAL));
        }
        let fd = retry(|| {
            // SAFETY: `path` has just been seen to end in a NUL, and outlives the call.
            unsafe { libc::openat(at, path.as_ptr().cast(), flags) as isize }
        })?;
        Ok(Self(fd as libc::c_int))
    }
}

impl Descriptor {
    /// All zeroes if the system doesn't say.
    #[inline(never)] // in all, 450 bytes less stack
    fn status(&self) -> libc::stat64 {
        let mut status = core::mem::MaybeUninit::zeroed();
        // SAFETY: `status` has room for what fstat writes.
        unsafe { libc::fstat64(self.0, status.as_mut_ptr()) };
        // SAFETY: all zeroes is a valid stat64, and so is what fstat wrote.
        unsafe { status.assume_init() }
    }
}

/// The status of the directory at `path`; all zeroes if there is none.
fn status_of(path: &CStr) -> libc::stat64 {
    let mut status = core::mem::MaybeUninit::zeroed();
    // SAFETY: `path` is a C string, and `status` has room for what stat writes.
    unsafe { libc::stat64(path.as_ptr(), status.as_mut_ptr()) };
    // SAFETY: all zeroes is a valid stat64, and so is what stat wrote.
    unsafe { status.assume_init() }
}

/// Repeats a call that a signal interrupts.
fn retry(mut call: impl FnMut() -> isize) -> Result<usize, Fault> {
    loop {
        if let Ok(count) = usize::try_from(call()) {
            return Ok(count);
        }
        match errno() {
            libc::EINTR => {}
            libc::EMFILE | libc::ENFILE | libc::ENOMEM => return Err(Fault::Exhausted),
            error => return Err(Fault::Unreadable(error)),
        }
    }
}

fn errno() -> libc::c_int {
    // SAFETY: takes nothing.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: this thread's errno is there as long as the thread.
    unsafe { place.read() }
}

/// A state file.
pub(crate) struct File(Descriptor);

impl StateFile for File {
    fn read_at(&mut self, offset: u32, room: &mut [u8]) -> Result<usize, Fault> {
        retry(|| {
            let start = room.as_mut_ptr().cast();
            // SAFETY: `room` can be written for its whole length. pread fails on a FIFO and on a directory, so neither is
            // taken for a file.
            unsafe { libc::pread64(self.0.0, start, room.len(), i64::from(offset)) }
        })
    }

    fn size(&mut self) -> u64 {
        u64::try_from(self.0.status().st_size).unwrap_or(0)
    }
}

/// The state directory.
pub(crate) struct Directory<'l> {
    path: &'static CStr,
    open: Option<Descriptor>,
    listing: &'l mut [u8],
    /// How many bytes of `listing` the kernel has filled, and how many of these have been processed.
    filled: usize,
    passed: usize,
}

impl<'l> Directory<'l> {
    /// Doesn't open anything yet. `listing` is memory for the listing: at least 280 bytes, for the longest name; 512 bytes
    /// hold a dozen names.
    pub(crate) const fn new(path: &'static CStr, listing: &'l mut [u8]) -> Self {
        Self { path, open: None, listing, filled: 0, passed: 0 }
    }

    fn descriptor(&mut self) -> Result<libc::c_int, Fault> {
        match &self.open {
            Some(descriptor) => Ok(descriptor.0),
            None => {
                let opened = Descriptor::open(
                    libc::AT_FDCWD,
                    self.path.to_bytes_with_nul(),
                    libc::O_DIRECTORY,
                )?;
                Ok(self.open.insert(opened).0)
            }
        }
    }

    /// The next record of the listing: see getdents64(2).
    fn next_record(&mut self) -> Result<Option<&[u8]>, Fault> {
        if self.passed >= self.filled {
            let fd = self.descriptor()?;
            self.passed = 0;
            self.filled = 0;
            let (room, len) = (self.listing.as_mut_ptr(), self.listing.len());
            self.filled = retry(|| {
                // SAFETY: `room` can be written for so many bytes.
                unsafe { libc::syscall(libc::SYS_getdents64, fd, room, len) as isize }
            })?;
        }
        let rest = self.listing.get(self.passed..self.filled).unwrap_or(&[]);
        // d_ino: 8 bytes, d_off: 8, d_reclen: 2.
        let Some(&[low, high]) = rest.get(16..18) else { return Ok(None) };
        let length = usize::from(u16::from_ne_bytes([low, high])).max(1);
        self.passed += length;
        Ok(rest.get(..length))
    }
}

impl StateDir for Directory<'_> {
    type File = File;

    fn rewind(&mut self) -> Result<(), Fault> {
        // It is opened again when needed: hardly any look-up lists the directory twice.
        self.open = None;
        self.passed = 0;
        self.filled = 0;
        Ok(())
    }

    fn next_name(&mut self, name: &mut Text) -> Result<bool, Fault> {
        let Some(record) = self.next_record()? else { return Ok(false) };
        // After d_type, 1 byte, comes the name, ended by a NUL.
        let bytes = record.get(19..).unwrap_or(&[]);
        name.set(bytes.split(|&byte| byte == 0).next().unwrap_or(&[]));
        Ok(true)
    }

    fn open(&mut self, bridge: &Bridge, kind: Kind) -> Result<File, Fault> {
        let mut path = Text::new();
        path.set(bridge.as_bytes());
        path.extend(kind.suffix());
        let directory = self.descriptor()?;
        Ok(File(Descriptor::open(directory, path.with_nul(), 0)?))
    }
}

/// Opens the snapshot, if there is one and only its daemon or root can have written it.
#[inline(never)] // in all, 450 bytes less stack
pub(crate) fn open_snapshot() -> Option<Opened<File>> {
    // Usually there is no daemon and no directory. Checking for that costs half as much as opening.
    let home = status_of(format::DIRECTORY);
    if home.st_mode == 0 {
        return None;
    }
    let path = format::PATH.to_bytes_with_nul();
    let file = Descriptor::open(libc::AT_FDCWD, path, libc::O_NOFOLLOW).ok()?;
    let status = file.status();
    // Whoever can write there can answer for any name, so only the owner of the directory and root may.
    let writable = (status.st_mode | home.st_mode) & (libc::S_IWGRP | libc::S_IWOTH) != 0;
    let theirs = status.st_uid != 0 && status.st_uid != home.st_uid;
    if writable || theirs || status.st_mode & libc::S_IFMT != libc::S_IFREG {
        return None;
    }
    // After opening: if the directory is now as the snapshot says, it was when the snapshot was opened.
    let state = status_of(STATE_DIRECTORY);
    let stamp = Stamp {
        seconds: seconds(state.st_mtime),
        nanoseconds: state.st_mtime_nsec as u32,
        device: state.st_dev,
        inode: state.st_ino,
    };
    Some(Opened {
        file: File(file),
        modified: seconds(status.st_mtime),
        length: u32::try_from(status.st_size).ok()?,
        state: Some(stamp),
    })
}

/// Whether there is plenty of stack: this is the main thread, on its own stack, far from its end.
pub(crate) fn is_stack_ample() -> bool {
    /// A look-up with large buffers needs less.
    const SPARE: usize = 32 << 10;
    /// When a program starts, the kernel makes the stack 128 KiB larger than its contents (`setup_arg_pages`), so this much
    /// can be used without asking for the limit, which takes a system call.
    const SURE: usize = (128 << 10) - SPARE;
    /// All other mappings are further away from the main thread's stack than this.
    const NEAR: usize = 16 << 20;
    let here = 0u8;
    // SAFETY: takes a number. The bytes of AT_RANDOM are above the main thread's stack.
    let top = unsafe { libc::getauxval(libc::AT_RANDOM) } as usize;
    let used = top.wrapping_sub((&raw const here).addr());
    used <= SURE || used <= NEAR && (used + SPARE) as u64 <= stack_limit()
}

/// The largest size of the main thread's stack in bytes; 0 if the system doesn't say.
#[cold]
#[inline(never)] // in all, 450 bytes less stack
fn stack_limit() -> u64 {
    let mut limit = core::mem::MaybeUninit::<libc::rlimit64>::zeroed();
    let (this, old) = (0, limit.as_mut_ptr());
    // SAFETY: `limit` has room for what is written; no new limit is given.
    unsafe { libc::syscall(libc::SYS_prlimit64, this, libc::RLIMIT_STACK, 0usize, old) };
    // SAFETY: all zeroes is a valid limit, and so is what the kernel wrote.
    unsafe { limit.assume_init() }.rlim_cur
}

/// The host's node name; empty if the system doesn't say.
pub(crate) fn node_name(name: &mut Text) {
    // `struct new_utsname` of the kernel: six texts, each ended by a NUL. The node name is the second.
    let mut texts = [[0u8; 65]; 6];
    // SAFETY: `texts` has room for what is written.
    unsafe { libc::syscall(libc::SYS_uname, texts.as_mut_ptr()) };
    let [_, node, ..] = &texts;
    name.set(node.split(|&byte| byte == 0).next().unwrap_or(&[]));
}

/// Keeps this thread from being cancelled until dropped.
pub(crate) struct Uncancelled(libc::c_int);

unsafe extern "C" {
    fn pthread_setcancelstate(state: libc::c_int, old: *mut libc::c_int) -> libc::c_int;
}

impl Uncancelled {
    pub(crate) fn new() -> Self {
        const PTHREAD_CANCEL_DISABLE: libc::c_int = 1;
        let mut old = 0;
        // SAFETY: `old` can be written.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut old) };
        Self(old)
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        // SAFETY: on Linux the pointer for the old state may be NULL; the new state is the previous one.
        unsafe { pthread_setcancelstate(self.0, core::ptr::null_mut()) };
    }
}

/// The current time in seconds since the epoch.
pub(crate) fn now() -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` has room for what is written. The clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut time) };
    seconds(time.tv_sec)
}

#[allow(clippy::unnecessary_cast, reason = "time_t has 32 bits on 32-bit systems")]
fn seconds(time: libc::time_t) -> i64 {
    time as i64
}

/// The index of a bridge's interface; 0 if there is none.
pub(crate) fn interface_index(bridge: &Bridge) -> u32 {
    // SAFETY: the name ends in a NUL.
    unsafe { libc::if_nametoindex(bridge.with_nul().as_ptr().cast()) }
}

/// Whether the environment asks for messages; never in set-user-ID programs and the like.
pub(crate) fn debug_wanted() -> bool {
    unsafe extern "C" {
        fn secure_getenv(name: *const libc::c_char) -> *mut libc::c_char;
    }
    // SAFETY: the name ends in a NUL.
    !unsafe { secure_getenv(c"LIBVIRT_NSS_DEBUG".as_ptr()) }.is_null()
}

/// Writes to standard error. If that fails, the message is lost: there is nowhere to report it.
pub(crate) fn write_stderr(message: &[u8]) {
    // Through `syscall`, which the modules import anyway: each further symbol costs every process that loads a module a
    // search.
    // SAFETY: `message` can be read for its whole length.
    let _ = retry(|| unsafe {
        libc::syscall(libc::SYS_write, libc::STDERR_FILENO, message.as_ptr(), message.len())
            as isize
    });
}

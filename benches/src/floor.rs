//! The floor: the least time that reading the state files takes, and where a look-up's time goes.
//!
//! A bare loop does only what every reader of these files has to do: list the directory, open each file, read it to its
//! end, scan its bytes once, close it.

use std::ffi::{CStr, CString, c_int};
use std::hint::black_box;
use std::mem::MaybeUninit;

use guest_names::snapshot::format;
use needle::Needle;

use crate::Bench;
use crate::child::{self, Numbers};
use crate::clock::{Turn, take_turns};
use crate::contender::{Kind, OURS};
use crate::error::{Context, Result};
use crate::module::{Call, Module};
use crate::sandbox::STATE_DIRECTORY;
use crate::state::{Asked, UNKNOWN_NAME};
use crate::table::{Table, time, times};

/// Bytes per read. More at once was no faster in experiments, as this many stay in the processor's first-level cache.
const WINDOW: usize = 16 << 10;
/// Bytes per call that lists the directory.
const LISTING: usize = 32 << 10;

/// How much of the work the loop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Depth {
    List,
    Open,
    Read,
    /// Scans with memchr(3) for a byte that is in no file.
    Pass,
}

/// The buffer for reads, aligned so that the kernel copies fastest.
#[repr(align(64))]
struct Window([MaybeUninit<u8>; WINDOW]);

/// The function that gets the bytes that were read.
type Look<'l> = &'l mut dyn FnMut(&[u8]);

/// An open file or directory.
struct Descriptor(c_int);

impl Descriptor {
    fn open(at: c_int, path: &CStr, flags: c_int) -> Self {
        // SAFETY: a C string.
        let fd = unsafe { libc::openat(at, path.as_ptr(), flags | libc::O_CLOEXEC) };
        assert!(fd >= 0, "{path:?} can't be opened");
        Self(fd)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours, and isn't used afterwards.
        unsafe { libc::close(self.0) };
    }
}

/// Lists the directory, and handles each file whose name has this ending as `depth` says.
fn walk(directory: &CStr, suffix: &[u8], depth: Depth, look: Look<'_>) {
    let directory = Descriptor::open(libc::AT_FDCWD, directory, libc::O_DIRECTORY);
    let mut listing = [0u8; LISTING];
    loop {
        let place = listing.as_mut_ptr();
        // SAFETY: `listing` has room for LISTING bytes.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, directory.0, place, LISTING) };
        let Some(mut rest) = usize::try_from(filled).ok().and_then(|len| listing.get(..len)) else {
            panic!("the state directory can't be listed");
        };
        if rest.is_empty() {
            return;
        }
        // d_ino: 8 bytes, d_off: 8, d_reclen: 2, d_type: 1, then the name.
        while let Some(&[low, high]) = rest.get(16..18) {
            let (record, behind) = rest.split_at(usize::from(u16::from_ne_bytes([low, high])));
            rest = behind;
            if let Ok(name) = CStr::from_bytes_until_nul(&record[19..]) {
                if name.to_bytes().ends_with(suffix) && depth > Depth::List {
                    file(directory.0, name, depth, look);
                }
            }
        }
    }
}

fn file(directory: c_int, name: &CStr, depth: Depth, look: Look<'_>) {
    let file = Descriptor::open(directory, name, 0);
    if depth == Depth::Open {
        return;
    }
    let mut window = Window([MaybeUninit::uninit(); WINDOW]);
    let mut offset = 0;
    loop {
        let place = window.0.as_mut_ptr().cast();
        // SAFETY: `window` has room for WINDOW bytes.
        let len = unsafe { libc::pread(file.0, place, WINDOW, offset) };
        assert!(len >= 0, "{name:?} can't be read");
        // SAFETY: this many bytes have been written there.
        let bytes = unsafe { std::slice::from_raw_parts(place.cast::<u8>(), len as usize) };
        if depth == Depth::Pass {
            look(bytes);
        }
        // A short read of a local file means that it has ended.
        if bytes.len() < WINDOW {
            return;
        }
        offset += len as libc::off_t;
    }
}

/// The check that a look-up makes first, which finds that no daemon runs.
fn exists(path: &CStr) -> bool {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a C string, and room for what is written.
    unsafe { libc::stat(path.as_ptr(), status.as_mut_ptr()) == 0 }
}

fn memchr(bytes: &[u8]) {
    // SAFETY: `bytes` can be read for its length.
    black_box(unsafe { libc::memchr(bytes.as_ptr().cast(), 0, bytes.len()) });
}

/// The floor of a module's look-up by name.
pub(crate) fn turn<'t>(kind: Kind, known_on: Option<&str>) -> Result<Turn<'t>> {
    let directory = CString::new(STATE_DIRECTORY).context(STATE_DIRECTORY)?;
    Ok(match kind {
        Kind::Host => Box::new(move || walk(&directory, b".status", Depth::Pass, &mut memchr)),
        Kind::Guest => {
            // For a known name, the leases of its bridge are read too.
            let status = known_on.map(|bridge| format!("{STATE_DIRECTORY}/{bridge}.status"));
            let status = status.map(CString::new).transpose().context("a bridge's name")?;
            Box::new(move || {
                walk(&directory, b".macs", Depth::Pass, &mut memchr);
                if let Some(status) = &status {
                    file(libc::AT_FDCWD, status, Depth::Pass, &mut memchr);
                }
            })
        }
    })
}

/// Where the time of a look-up in the module `libvirt` goes.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Table>> {
    let header = [
        "leases",
        "directory",
        "open, close",
        "read",
        "one pass",
        "floor",
        "search",
        "no daemon",
        "the rest",
        "unknown name",
        "to floor",
        "answer",
        "known name",
        "to floor",
    ];
    let title = "Where the time of a look-up goes (gethostbyname4_r of libvirt)";
    let mut table = Table::new("floor", title, &header);
    for scene in bench.scenes() {
        let asked = scene.set()?;
        let numbers = child::run(|| parts(bench, &asked))?;
        let cell = |(at, number): (usize, f64)| {
            if header[at + 1] == "to floor" { times(number) } else { time(number) }
        };
        let cells = numbers.into_iter().enumerate().map(cell);
        table.row([scene.label()].into_iter().chain(cells));
    }
    Ok(vec![table])
}

/// The columns of the table. Each part is a difference within the rounds.
fn parts(bench: &Bench, asked: &Asked) -> Numbers {
    let module = Module::load(&bench.contenders[OURS].path(Kind::Host), Kind::Host)?;
    let directory = CString::new(STATE_DIRECTORY).context(STATE_DIRECTORY)?;
    let name = |name: &str| CString::new(name).context(name).map(Call::Both);
    let (unknown, known) = (name(UNKNOWN_NAME)?, name(&asked.single.host)?);
    let label = UNKNOWN_NAME.split('.').next().unwrap_or(UNKNOWN_NAME);
    let mut needle = Needle::EMPTY;
    needle.extend(b"\"");
    needle.extend(label.as_bytes());
    let bare = |depth| -> Turn<'_> {
        let directory = &directory;
        Box::new(move || walk(directory, b".status", depth, &mut memchr))
    };
    let mut search = |bytes: &[u8]| {
        black_box(needle.find(black_box(bytes)));
    };
    let (mut of_unknown, mut of_known) = (module.prepare(&unknown)?, module.prepare(&known)?);
    let mut turns: Vec<Turn<'_>> = vec![
        bare(Depth::List),
        bare(Depth::Open),
        bare(Depth::Read),
        bare(Depth::Pass),
        Box::new(|| walk(&directory, b".status", Depth::Pass, &mut search)),
        Box::new(|| assert!(!exists(format::DIRECTORY), "no daemon runs here")),
        Box::new(|| assert_eq!(of_unknown(), 0, "no guest has this name")),
        Box::new(|| assert_eq!(of_known(), 1, "one guest has this name")),
    ];
    let samples = take_turns(&mut turns, bench.seconds());
    let [list, open, read, pass, needle, daemon, unknown, known] = [0, 1, 2, 3, 4, 5, 6, 7];
    Ok(vec![
        samples.median(list),
        samples.difference(open, list),
        samples.difference(read, open),
        samples.difference(pass, read),
        samples.median(pass),
        samples.difference(needle, pass),
        samples.median(daemon),
        samples.difference(unknown, needle) - samples.median(daemon),
        samples.median(unknown),
        samples.ratio(unknown, pass),
        samples.difference(known, unknown),
        samples.median(known),
        samples.ratio(known, pass),
    ])
}

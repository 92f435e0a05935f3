//! The size of a module: on the disk, in the address space, in memory.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;

use crate::Bench;
use crate::child::{self, Numbers};
use crate::contender::{Contender, Kind};
use crate::error::{Context, Result};
use crate::module::{Call, Module};
use crate::state::{Scene, UNKNOWN_NAME};
use crate::table::Table;

/// The sizes of one mapped file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mapped {
    size: u64,
    resident: u64,
    /// Pages that were written to, of which the process has its own copy.
    copied: u64,
}

impl Mapped {
    fn plus(self, other: Self) -> Self {
        Self {
            size: self.size + other.size,
            resident: self.resident + other.resident,
            copied: self.copied + other.copied,
        }
    }
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Table>> {
    let header =
        ["", "object", "mapped", "resident", "dirty", "with its libraries: resident", "dirty"];
    let title = "A module in memory, after a look-up (KiB)";
    let mut table = Table::new("memory", title, &header);
    Scene::USUAL.set()?;
    for kind in Kind::BOTH {
        for contender in &bench.contenders {
            let path = contender.path(kind);
            let size = fs::metadata(&path).context(path.display())?.len();
            let numbers = child::run(|| mapped(&path, kind))?;
            let cells = [size as f64].into_iter().chain(numbers).map(kib);
            let label = format!("{}, {}", kind.service(), contender.name);
            table.row([label].into_iter().chain(cells));
        }
    }
    Ok(vec![table, touched(bench)?])
}

fn kib(bytes: f64) -> String {
    format!("{:.1}", bytes / 1024.0)
}

/// How often to count page faults.
const TRIES: usize = 10;

/// The memory that loading and a first look-up touch, measured by page faults.
fn touched(bench: &Bench) -> Result<Table> {
    let scenes = bench.scenes();
    let wanted = [Scene::SMALLEST, Scene::USUAL, Scene::LARGEST];
    let scenes: Vec<Scene> = scenes.into_iter().filter(|scene| wanted.contains(scene)).collect();
    let labels: Vec<String> = scenes.iter().map(Scene::label).collect();
    let header: Vec<&str> = [""].into_iter().chain(labels.iter().map(String::as_str)).collect();
    let title = "Memory that loading and a first look-up touch (KiB)";
    let mut table = Table::new("touched", title, &header);
    let mut rows = Vec::new();
    for kind in Kind::BOTH {
        for contender in &bench.contenders {
            rows.push((kind, contender, vec![format!("{}, {}", kind.service(), contender.name)]));
        }
    }
    for scene in &scenes {
        scene.set()?;
        for (kind, contender, row) in &mut rows {
            // The least of several runs, as the number of pages that the parent leaves to be copied varies.
            let mut least = f64::INFINITY;
            for _ in 0..TRIES {
                let numbers = child::run(|| faults(contender, *kind))?;
                least = numbers.into_iter().fold(least, f64::min);
            }
            row.push(kib(least));
        }
    }
    rows.into_iter().for_each(|(_, _, row)| table.row(row));
    Ok(table)
}

/// Loads the module and looks up a name that no guest has.
fn load_and_ask(path: &Path, kind: Kind) -> Result<()> {
    let call = Call::Both(CString::new(UNKNOWN_NAME).context(UNKNOWN_NAME)?);
    let addresses = Module::load(path, kind)?.prepare(&call)?();
    assert_eq!(addresses, 0, "no guest is called {UNKNOWN_NAME}");
    Ok(())
}

fn faults(contender: &Contender, kind: Kind) -> Numbers {
    let path = contender.path(kind);
    // The first call touches whatever the counting itself touches.
    minor_faults();
    let before = minor_faults();
    load_and_ask(&path, kind)?;
    let pages = minor_faults() - before;
    // SAFETY: takes a number.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Ok(vec![pages as f64 * page as f64])
}

fn minor_faults() -> i64 {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: there is room for what is written.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: all zeros are a valid usage.
    unsafe { usage.assume_init() }.ru_minflt
}

/// The columns from `mapped` on.
fn mapped(path: &Path, kind: Kind) -> Numbers {
    let before = mappings()?;
    load_and_ask(path, kind)?;
    let mut after = mappings()?;
    after.retain(|file, _| !before.contains_key(file));
    let own = after.get(&*path.to_string_lossy()).copied().unwrap_or_default();
    let all = after.values().copied().fold(Mapped::default(), Mapped::plus);
    let bytes = [own.size, own.resident, own.copied, all.resident, all.copied];
    Ok(bytes.map(|bytes| bytes as f64).to_vec())
}

/// The mapped files of this process.
fn mappings() -> Result<BTreeMap<String, Mapped>> {
    let smaps = fs::read_to_string("/proc/self/smaps").context("/proc/self/smaps")?;
    Ok(read_smaps(&smaps))
}

fn read_smaps(smaps: &str) -> BTreeMap<String, Mapped> {
    let mut files: BTreeMap<String, Mapped> = BTreeMap::new();
    let mut current = None;
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let Some(key) = first.strip_suffix(':') else {
            // START-END PERMISSIONS OFFSET DEVICE INODE PATH
            current = words.nth(4).filter(|path| path.starts_with('/')).map(str::to_owned);
            continue;
        };
        let kib: Option<u64> = words.next().and_then(|number| number.parse().ok());
        if let (Some(file), Some(kib)) = (&current, kib) {
            let mapped = files.entry(file.clone()).or_default();
            match key {
                "Size" => mapped.size += kib * 1024,
                "Rss" => mapped.resident += kib * 1024,
                "Anonymous" => mapped.copied += kib * 1024,
                _ => {}
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_of_one_file_are_added_up() {
        let smaps = "\
7f00-7f01 r--p 00000000 00:17 12 /lib/a.so
Size:                  8 kB
Rss:                   4 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f01-7f02 rw-p 00001000 00:17 12 /lib/a.so
Size:                  4 kB
Rss:                   4 kB
Anonymous:             4 kB
7f02-7f03 rw-p 00000000 00:00 0
Size:                100 kB
Rss:                 100 kB
Anonymous:           100 kB
";
        let files = read_smaps(smaps);
        let expected = Mapped { size: 12 << 10, resident: 8 << 10, copied: 4 << 10 };
        assert_eq!(files.into_iter().collect::<Vec<_>>(), [("/lib/a.so".to_owned(), expected)]);
    }
}

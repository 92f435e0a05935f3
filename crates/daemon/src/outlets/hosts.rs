//! Names as hosts(5) files, for dnsmasq.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;

use super::answers::{Answers, NamesOf};

/// The number of files. When a file changes, dnsmasq reads all of it again, scans its whole table for each name in it, and
/// answers no queries meanwhile.
pub const COUNT: usize = 256;

/// The text of each of the [`COUNT`] files. One line for each address: first the name for reverse look-ups, then the other names in
/// ascending order. `bare`: include single-label names. Addresses with the same first name are in the same file, so a guest's new
/// address changes one file.
#[must_use]
pub fn texts(answers: &Answers<'_>, bare: bool) -> Vec<Vec<u8>> {
    let mut texts = vec![Vec::new(); COUNT];
    for NamesOf { address, names, reverse } in &answers.addresses {
        let names = names.iter().copied();
        let mut names = names.filter(|name| bare || name.contains('.')).peekable();
        let Some(&any) = names.peek() else { continue };
        let first = reverse.unwrap_or(any);
        let text = &mut texts[number(first)];
        // Writing to memory doesn't fail.
        let _ = write!(text, "{address} {first}");
        for name in names.filter(|&name| name != first) {
            text.push(b' ');
            text.extend_from_slice(name.as_bytes());
        }
        text.push(b'\n');
    }
    texts
}

/// The number of the file for addresses with this first name.
fn number(name: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() as usize % COUNT
}

/// What to write into which file, in order, to get from the texts `old` (`None`: no such file) to `new`. An address that moves to
/// another file is removed from its old one first: dnsmasq answers a reverse look-up with the name that it read first.
#[must_use]
pub fn changes(old: &[Option<Vec<u8>>], new: &[Vec<u8>]) -> Vec<(usize, Vec<u8>)> {
    let changed =
        || (0..).zip(old.iter().zip(new)).filter(|(_, (old, new))| old.as_ref() != Some(new));
    let mut before = HashMap::new();
    for (number, (old, _)) in changed() {
        before.extend(
            lines(old.as_deref().unwrap_or_default()).map(|(address, _)| (address, number)),
        );
    }
    let (mut changes, mut moved) = (Vec::new(), Vec::new());
    for (number, (old, new)) in changed() {
        let stays = |address: &[u8]| before.get(address).is_none_or(|&before| before == number);
        let lines = lines(new).filter(|(address, _)| stays(address));
        let first = lines.flat_map(|(_, line)| line).copied().collect();
        if first != *new {
            moved.push((number, new.clone()));
        }
        if old.as_ref() != Some(&first) {
            changes.push((number, first));
        }
    }
    changes.append(&mut moved);
    changes
}

/// The address and the whole of each line.
fn lines(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = text.split_inclusive(|&octet| octet == b'\n');
    lines.map(|line| (line.split(|&octet| octet == b' ').next().unwrap_or(line), line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// dnsmasq's table: the addresses in each file, and whether a reverse look-up finds the name there.
    type Cache = BTreeMap<usize, BTreeMap<Vec<u8>, bool>>;

    fn read(cache: &mut Cache, number: usize, text: &[u8]) {
        cache.remove(&number);
        let mut added = BTreeMap::new();
        for (address, _) in lines(text) {
            let is_first = !cache.values().any(|file| file.get(address) == Some(&true));
            added.insert(address.to_vec(), is_first);
        }
        cache.insert(number, added);
    }

    /// Addresses move between files. dnsmasq may read a file late, when it has been replaced again.
    #[test]
    fn reverse_look_ups_find_every_address() {
        let mut random = fastrand::Rng::with_seed(16);
        let mut disk: Vec<Option<Vec<u8>>> = vec![None; 4];
        let (mut cache, mut steps, mut two) = (Cache::new(), 0, 0);
        for _ in 0..2_000 {
            let mut new = vec![Vec::new(); disk.len()];
            for address in 0..6 {
                if let Some(text) = new.get_mut(random.usize(0..=disk.len())) {
                    text.extend(format!("10.0.0.{address} {}\n", random.u8(0..2)).bytes());
                }
            }
            let changes = changes(&disk, &new);
            assert!(changes.len() <= 2 * disk.len());
            steps += changes.len();
            two += usize::from(changes.len() > disk.len());
            let mut unread = std::collections::VecDeque::new();
            for (number, text) in changes {
                assert_ne!(disk[number].as_ref(), Some(&text));
                disk[number] = Some(text);
                unread.push_back(number);
                while let (true, Some(number)) = (random.bool(), unread.front()) {
                    read(&mut cache, *number, disk[*number].as_deref().unwrap());
                    unread.pop_front();
                }
            }
            for number in unread {
                read(&mut cache, number, disk[number].as_deref().unwrap());
            }
            let all: Vec<Vec<u8>> = disk.iter().flatten().cloned().collect();
            assert_eq!(all, new);
            for (number, text) in new.iter().enumerate() {
                assert_eq!(lines(text).count(), cache[&number].len());
                assert!(cache[&number].values().all(|&is_found| is_found), "{cache:?}");
            }
        }
        assert!(steps > 2_000 && two > 0, "{steps} {two}");
    }
}

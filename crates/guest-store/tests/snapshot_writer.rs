//! Checks the snapshot's writer with tinycdb's reader, and with a simple one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, ErrorKind};
use std::process::Command;

use guest_names::snapshot::format::{FIRST_RECORD, META_KEY, Meta, hash};
use guest_store::snapshot::Writer;
use testkit::scratch::Scratch;

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

const META: Meta = Meta { state: None, hold: 90, length: 0, compiled: 7 };

fn write(records: &Records) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = Writer::new(&mut bytes).unwrap();
    for (key, data) in records {
        writer.add(key, data).unwrap();
    }
    writer.finish(META).unwrap();
    bytes.into_inner()
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// A reader as described in cdb.txt.
fn get<'b>(bytes: &'b [u8], key: &[u8]) -> Option<&'b [u8]> {
    let hash = hash(key);
    let place = (hash as usize & 255) * 8;
    let (table, slots) = (number(bytes, place), number(bytes, place + 4));
    for probe in 0..slots {
        let slot = table + ((hash as usize >> 8) + probe) % slots * 8;
        let (slot_hash, at) = (number(bytes, slot), number(bytes, slot + 4));
        if at == 0 {
            return None;
        }
        let (key_length, length) = (number(bytes, at), number(bytes, at + 4));
        let start = at + 8 + key_length;
        if slot_hash == hash as usize && bytes[at + 8..start] == *key {
            return Some(&bytes[start..start + length]);
        }
    }
    None
}

fn random_records(random: &mut fastrand::Rng, count: usize) -> Records {
    let mut text =
        |most: usize| (0..random.usize(0..=most)).map(|_| random.u8(..)).collect::<Vec<_>>();
    (0..count).map(|_| (text(12), text(400))).collect()
}

#[test]
fn written_records_are_found() {
    let mut random = fastrand::Rng::with_seed(5);
    for count in [0, 1, 2, 3, 50, 256, 3000] {
        let records = random_records(&mut random, count);
        let bytes = write(&records);
        for (key, data) in &records {
            assert_eq!(get(&bytes, key), Some(&data[..]), "{key:?}");
        }
        for _ in 0..1000 {
            let key: Vec<u8> = (0..random.usize(0..4)).map(|_| random.u8(..)).collect();
            assert_eq!(get(&bytes, &key).is_some(), records.contains_key(&key));
        }
        // The first record contains the file's length. Each table is half empty, and inside the file.
        let meta = Meta::parse(get(&bytes, META_KEY).unwrap()).unwrap();
        assert_eq!(meta, Meta { length: bytes.len() as u32, ..META });
        assert_eq!(&bytes[FIRST_RECORD as usize + 8..][..META_KEY.len()], META_KEY);
        assert_eq!(Meta::parse(&bytes[Meta::START..Meta::END]), Some(meta));
        let mut slots = 0;
        for table in 0..256 {
            let (at, length) = (number(&bytes, table * 8), number(&bytes, table * 8 + 4));
            assert!(at >= Meta::END && at + length * 8 <= bytes.len());
            slots += length;
        }
        assert_eq!(slots, 2 * (records.len() + 1));
    }
}

#[test]
fn files_of_4_gib_are_rejected() {
    let mut writer = Writer::new(Nowhere(0)).unwrap();
    let megabytes = vec![0; 64 << 20];
    for at in 0..63u8 {
        writer.add(&[at], &megabytes).unwrap();
    }
    assert_eq!(writer.add(b"more", &megabytes).unwrap_err().kind(), ErrorKind::FileTooLarge);
}

/// Discards everything.
struct Nowhere(u64);

impl std::io::Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Seek for Nowhere {
    fn seek(&mut self, _: std::io::SeekFrom) -> std::io::Result<u64> {
        Ok(self.0)
    }
}

/// Debian's tinycdb reads every record: `cdb -d` lists them all, and `cdb -q` finds each.
#[test]
fn tinycdb_reads_it() {
    if Command::new("cdb").arg("-h").output().is_err() {
        eprintln!("skipped: no cdb in PATH (tests/setup test installs tinycdb)");
        return;
    }
    let mut random = fastrand::Rng::with_seed(9);
    let mut records = random_records(&mut random, 200);
    records.insert(b"gmy vm".to_vec(), b"data".to_vec());
    let scratch = Scratch::new();
    let path = scratch.join("names.cdb");
    let mut writer = Writer::new(File::create(&path).unwrap()).unwrap();
    for (key, data) in &records {
        writer.add(key, data).unwrap();
    }
    writer.finish(META).unwrap();
    let mut expected = Vec::new();
    let length = fs::metadata(&path).unwrap().len() as u32;
    let meta = Meta { length, ..META }.to_bytes().to_vec();
    for (key, data) in [(&META_KEY.to_vec(), &meta)].into_iter().chain(&records) {
        expected.extend(format!("+{},{}:", key.len(), data.len()).into_bytes());
        expected.extend([key, &b"->"[..], data, b"\n"].concat());
    }
    expected.push(b'\n');
    let dump = Command::new("cdb").arg("-d").arg(&path).output().unwrap();
    assert!(dump.status.success(), "{dump:?}");
    assert_eq!(dump.stdout, expected);
    use std::os::unix::ffi::OsStrExt as _;
    for (key, data) in records.iter().filter(|(key, _)| !key.contains(&0)) {
        let key = std::ffi::OsStr::from_bytes(key);
        let found = Command::new("cdb").arg("-q").arg(&path).arg(key).output().unwrap();
        assert!(found.status.success() && found.stdout == *data, "{key:?}: {found:?}");
    }
    let found = Command::new("cdb").arg("-q").arg(&path).arg("nobody").output().unwrap();
    assert_eq!(found.status.code(), Some(100));
}

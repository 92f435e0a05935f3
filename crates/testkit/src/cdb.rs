//! A snapshot, written in the simplest way that the format allows. The daemon's writer and the look-up's reader are
//! tested against it.

use std::collections::BTreeMap;

use guest_names::address::Address;
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{ENTRY_MAX, Entry, FIRST_RECORD, META_KEY, Meta, flags, hash};

/// The records of a snapshot, by key.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// Adds an entry under a key, after those that are there.
pub fn add(records: &mut Records, key: &[u8], entry: &Entry<'_>) {
    let mut room = [0; ENTRY_MAX];
    let length = entry.write(&mut room);
    records.entry(key.to_vec()).or_default().extend(&room[..length]);
}

/// A constant database with these records, in the format that cdb.txt describes. Sets the length
/// in `meta` to the file's.
#[must_use]
pub fn write(records: &Records, meta: Meta) -> Vec<u8> {
    let mut bytes = vec![0; FIRST_RECORD as usize];
    let mut tables: Vec<Vec<(u32, u32)>> = vec![Vec::new(); 256];
    let meta_record = (META_KEY.to_vec(), vec![0; Meta::SIZE]);
    for (key, data) in [&meta_record].into_iter().map(|(k, d)| (k, d)).chain(records) {
        let hash = hash(key);
        tables[hash as usize & 0xff].push((hash, bytes.len() as u32));
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(key);
        bytes.extend(data);
    }
    for (at, table) in tables.into_iter().enumerate() {
        let mut slots = vec![(0, 0); table.len() * 2];
        for (hash, position) in table {
            let mut slot = (hash >> 8) as usize % slots.len();
            while slots[slot].1 != 0 {
                slot = (slot + 1) % slots.len();
            }
            slots[slot] = (hash, position);
        }
        let place = (bytes.len() as u32).to_le_bytes();
        bytes[at * 8..at * 8 + 4].copy_from_slice(&place);
        bytes[at * 8 + 4..at * 8 + 8].copy_from_slice(&(slots.len() as u32).to_le_bytes());
        for (hash, position) in slots {
            bytes.extend(hash.to_le_bytes());
            bytes.extend(position.to_le_bytes());
        }
    }
    let meta = Meta { length: bytes.len() as u32, ..meta };
    bytes[Meta::START..Meta::END].copy_from_slice(&meta.to_bytes());
    bytes
}

/// An entry for an address that the guest's agent has reported.
#[must_use]
pub fn entry(name: &str, address: Option<Address>) -> Entry<'_> {
    Entry {
        flags: flags::REPORTED | flags::ATTACHED,
        evidence: Evidence::Agent,
        connection: 0,
        address,
        mac: None,
        bridge: Bridge::NONE,
        order: 0,
        client: 0,
        expiry: 0,
        name: name.as_bytes(),
    }
}

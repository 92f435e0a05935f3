//! `sethostent`, `gethostent_r`, `endhostent`: every name and address once.

use std::collections::BTreeSet;

use abi::{How, Lease, MacMap, Module, Query, StateDir, Status, sandboxed};

use crate::support::*;

const WEB: &str = "52:54:00:00:00:01";
const DB: &str = "52:54:00:00:00:02";

fn set(module: &Module) {
    let answer = module.sethostent(&How::default()).expect("exported");
    assert_eq!(answer.status, Status::Success, "sethostent");
}

fn end(module: &Module) {
    let answer = module.endhostent(&How::default()).expect("exported");
    assert_eq!(answer.status, Status::Success, "endhostent");
}

/// One entry as `NAME ADDRESS`; `None` at the end.
fn next(module: &Module) -> Option<String> {
    let answer = module.resolve(&Query::Get).expect("exported");
    if answer.triple() == UNKNOWN {
        return None;
    }
    assert_eq!(answer.triple(), FOUND, "{answer}");
    assert_eq!(answer.addresses.len(), 1, "{answer}");
    let name = String::from_utf8(answer.names[0].clone()).expect("names in tests are UTF-8");
    Some(format!("{name} {}", answer.addresses[0]))
}

fn rest(module: &Module) -> Vec<String> {
    let entries: Vec<String> = std::iter::from_fn(|| next(module)).take(100_000).collect();
    assert!(entries.len() < 100_000, "the enumeration doesn't end");
    assert_eq!(next(module), None, "there is nothing after the end");
    entries
}

fn every(module: &Module) -> Vec<String> {
    set(module);
    let entries = rest(module);
    end(module);
    entries
}

fn sorted(mut entries: Vec<String>) -> Vec<String> {
    entries.sort();
    entries
}

fn guests(state: &StateDir) {
    state.leases(
        "virbr0",
        &[
            Lease::v4("10.0.0.1", WEB, "web", later()),
            Lease::v6("fd00::1", WEB, "web", later()),
            Lease::v4("10.0.0.2", DB, "db", later()),
            Lease::v4("10.0.0.3", "52:54:00:00:00:03", "", later()),
            Lease::v4("10.0.0.4", DB, "db", now() - 1),
        ],
    );
    state.leases(
        "virbr1",
        &[
            Lease::v4("10.0.1.2", DB, "db", later()),
            Lease::v4("10.0.0.2", DB, "db", later() + 1),
            Lease::v4("10.0.1.9", "52:54:00:00:00:09", "localhost", later()),
        ],
    );
    let db = MacMap::new("db-vm", &[DB]);
    state.macs("virbr0", &[MacMap::new("web-vm", &[WEB]), db.clone()]);
    state.macs("virbr1", &[db, MacMap::new("idle-vm", &["52:54:00:00:00:77"])]);
}

#[test]
fn every_name_and_address_once() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        let hosts = ["db 10.0.0.2", "db 10.0.1.2", "web 10.0.0.1", "web fd00::1"];
        assert_eq!(sorted(every(host())), hosts);
        let domains = ["db-vm 10.0.0.2", "db-vm 10.0.1.2", "web-vm 10.0.0.1", "web-vm fd00::1"];
        assert_eq!(sorted(every(guest())), domains);
    });
}

#[test]
fn nothing_to_enumerate() {
    sandboxed(|state| {
        let _cursor = cursor();
        for module in [host(), guest()] {
            assert_eq!(every(module), [] as [&str; 0]);
        }
        state.leases("virbr0", &[]).macs("virbr0", &[]).write("virbr1.status", "");
        for module in [host(), guest()] {
            assert_eq!(every(module), [] as [&str; 0]);
        }
    });
}

/// glibc's `gethostent` may be called without a `sethostent` before it.
#[test]
fn it_begins_without_sethostent() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for module in [host(), guest()] {
            end(module);
            let whole = rest(module);
            assert_eq!(sorted(whole), sorted(every(module)));
            end(module);
        }
    });
}

#[test]
fn it_begins_anew() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for module in [host(), guest()] {
            let whole = every(module);
            for taken in 0..whole.len() {
                for begin in [set as fn(&Module), end] {
                    set(module);
                    let part: Vec<String> = (0..taken).filter_map(|_| next(module)).collect();
                    assert_eq!(part, whole[..taken]);
                    begin(module);
                    assert_eq!(rest(module), whole, "after {taken} entries");
                }
            }
            end(module);
        }
    });
}

/// A buffer that is too small loses no entry: the same one is returned by the next call.
#[test]
fn an_entry_that_did_not_fit_is_returned_again() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        for module in [host(), guest()] {
            let whole = every(module);
            set(module);
            for entry in &whole {
                for length in [0, 1, 8, 20] {
                    let how = How { length, ..How::default() };
                    let answer = module.ask(&Query::Get, &how).expect("exported");
                    assert_eq!(answer.triple(), TOO_SMALL, "{length} bytes");
                }
                assert_eq!(next(module).as_ref(), Some(entry));
            }
            assert_eq!(next(module), None);
            end(module);
        }
    });
}

/// Look-ups between two entries, and the other module's enumeration, don't affect the cursor.
#[test]
fn other_calls_in_between() {
    sandboxed(|state| {
        let _cursor = cursor();
        guests(state);
        let (hosts, domains) = (every(host()), every(guest()));
        set(host());
        set(guest());
        for (one, other) in hosts.iter().zip(&domains) {
            assert_addresses(host(), "web", &["10.0.0.1", "fd00::1"]);
            assert_eq!(next(host()).as_ref(), Some(one));
            assert_eq!(ask(guest(), &Query::addr("10.0.0.1")).triple(), FOUND);
            assert_eq!(next(guest()).as_ref(), Some(other));
        }
        end(host());
        assert_eq!(next(guest()), None);
        end(guest());
    });
}

/// The list and the look-ups agree: every listed name resolves to its address, and every address of a name is listed.
#[test]
fn it_agrees_with_the_look_ups() {
    sandboxed(|state| {
        let _cursor = cursor();
        let mac = |i: i64| format!("52:54:00:00:00:{i:02x}");
        let (mut leases, mut maps) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
        for i in 0..120 {
            let place = usize::try_from(i % 4).expect("small");
            let name = format!("host{}", i % 17);
            let ends = if i % 11 == 0 { now() - 5 } else { later() + i };
            leases[place].push(Lease::v4(
                &format!("10.0.{}.{}", i % 3, i % 60),
                &mac(i),
                &name,
                ends,
            ));
            if i % 3 == 0 {
                leases[place].push(Lease::v6(&format!("fd00::{}", i % 50), &mac(i), &name, ends));
            }
            if i % 2 == 0 {
                maps[place].push(MacMap::new(&format!("vm {}", i % 9), &[&mac(i)]));
            }
        }
        for (i, (leases, maps)) in leases.iter().zip(&maps).enumerate() {
            state.leases(&format!("virbr{i}"), leases).macs(&format!("virbr{i}"), maps);
        }
        let names = |prefix: &str, count: i32| -> Vec<String> {
            (0..count).map(|i| format!("{prefix}{i}")).collect()
        };
        for (module, names) in [(host(), names("host", 17)), (guest(), names("vm ", 9))] {
            let mut looked_up = BTreeSet::new();
            for name in &names {
                let answer = module.resolve(&Query::name4(name)).expect("exported");
                for address in &answer.addresses {
                    looked_up.insert(format!("{name} {address}"));
                }
            }
            assert!(looked_up.len() > 20, "{looked_up:?}");
            let listed = every(module);
            assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), looked_up);
            assert_eq!(listed.len(), looked_up.len(), "an entry was returned twice");
        }
    });
}

/// The files change while entries are read: every returned entry is correct, and the enumeration ends.
#[test]
fn the_files_change_in_between() {
    sandboxed(|state| {
        let _cursor = cursor();
        let lease = |i: i64, round: i64| {
            let mac = format!("52:54:00:00:00:{i:02x}");
            Lease::v4(&format!("10.0.{round}.{i}"), &mac, &format!("host{i}"), later() + i)
        };
        let write = |count: i64, round: i64| {
            let leases: Vec<Lease> = (0..count).map(|i| lease(i, round)).collect();
            state.leases("virbr0", &leases);
        };
        for changed in [0, 1, 10, 200] {
            write(100, 0);
            set(host());
            let mut entries: Vec<String> = (0..50).filter_map(|_| next(host())).collect();
            write(changed, 1);
            entries.extend(rest(host()));
            end(host());
            for entry in entries {
                let (name, address) = entry.split_once(' ').expect("NAME ADDRESS");
                let i: i64 =
                    name.strip_prefix("host").and_then(|i| i.parse().ok()).expect("host<i>");
                let true_once = (i < 100 && address == format!("10.0.0.{i}"))
                    || (i < changed && address == format!("10.0.1.{i}"));
                assert!(true_once, "{entry} never existed");
            }
        }
    });
}

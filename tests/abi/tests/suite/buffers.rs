//! Buffers: whatever their length and alignment, the module returns the whole answer or asks for a larger one, and
//! never asks if the answer would fit.

use abi::{How, Lease, MacMap, Module, Query, StateDir, Status, c, sandboxed};
use libc::{AF_INET, AF_INET6};

use crate::support::*;

const MAC: &str = "52:54:00:00:00:01";
const POINTER: usize = size_of::<*const u8>();
const TUPLE: usize = size_of::<c::AddrTuple>();

/// The size of an answer without gaps, from the first aligned address in the buffer: pointers or tuples, then
/// addresses, then the name and its NUL.
fn need(query: &Query, name: &str, addresses: usize, how: &How) -> usize {
    let padding = how.offset.next_multiple_of(POINTER) - how.offset;
    let name = name.len() + 1;
    let hostent = |octets: usize| padding + POINTER * (addresses + 2) + octets * addresses + name;
    match query {
        Query::Name4(_) => {
            // The first tuple may be the caller's; if none is in the buffer, nothing is aligned.
            let tuples = addresses - usize::from(how.tuple);
            if tuples == 0 { name } else { padding + TUPLE * tuples + name }
        }
        Query::Name2(_, AF_INET6) | Query::Name3(_, AF_INET6) => hostent(16),
        _ => hostent(4),
    }
}

/// Two IPv4 and three IPv6 addresses for the host `web` and the domain `web-vm`. Among them are records that a look-up
/// reads but needs no space for: expired leases and duplicates.
fn web(state: &StateDir) {
    let mut leases = vec![
        Lease::v4("192.168.122.10", MAC, "web", later() + 5),
        Lease::v4("192.168.122.11", MAC, "web", later() + 4),
        Lease::v6("fd00::10", MAC, "web", later() + 3),
        Lease::v6("fd00::11", MAC, "web", later() + 2),
        Lease::v6("fd00::12", MAC, "web", later() + 1),
    ];
    for i in 0..12 {
        leases.push(Lease::v4(&format!("192.168.122.1{}", i % 2), MAC, "web", later()));
        leases.push(Lease::v4(&format!("10.0.0.{i}"), MAC, "web", now() - 1 - i));
        leases.push(Lease::v4(&format!("10.0.1.{i}"), "52:54:00:00:00:02", "other", later()));
    }
    state.leases("virbr0", &leases);
    state.macs("virbr0", &[MacMap::new("web-vm", &[MAC])]);
}

/// How many addresses of [`web`] a query returns.
fn addresses(query: &Query) -> usize {
    match query {
        Query::Name4(_) => 5,
        Query::Name2(_, AF_INET6) | Query::Name3(_, AF_INET6) => 3,
        _ => 2,
    }
}

/// Makes calls with every length up to 64 bytes more than the answer needs.
fn every_length(module: &Module, query: &Query, name: &str, count: usize) {
    let whole = ask(module, query);
    assert_eq!((whole.triple(), whole.addresses.len()), (FOUND, count), "{query}");
    for offset in [0, 1, 2, 4, 7, 8, 11, 15] {
        for tuple in [false, true] {
            if tuple && !matches!(query, Query::Name4(_)) {
                continue;
            }
            let how = How { offset, tuple, ..How::default() };
            let need = need(query, name, count, &how);
            for length in 0..=need + 64 {
                let how = How { length, ..how };
                let answer = module.ask(query, &how).expect("exported");
                if length < need {
                    assert_eq!(answer.triple(), TOO_SMALL, "{query} with {how:?}, needs {need}");
                    continue;
                }
                assert_eq!(answer.triple(), FOUND, "{query} with {how:?}, needs {need}");
                assert_eq!(answer.addresses, whole.addresses, "{query} with {how:?}");
                assert_eq!(answer.names[0], whole.names[0], "{query} with {how:?}");
                assert_eq!(answer.canonical, whole.canonical, "{query} with {how:?}");
            }
        }
    }
}

#[test]
fn every_length_of_buffer_for_a_host() {
    sandboxed(|state| {
        web(state);
        for query in Query::every_by_name("web") {
            every_length(host(), &query, "web", addresses(&query));
        }
    });
}

#[test]
fn every_length_of_buffer_for_a_guest() {
    sandboxed(|state| {
        web(state);
        for query in Query::every_by_name("web-vm") {
            every_length(guest(), &query, "web-vm", addresses(&query));
        }
    });
}

#[test]
fn every_length_of_buffer_by_address() {
    sandboxed(|state| {
        web(state);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            for query in [Query::addr("192.168.122.10"), Query::addr2("192.168.122.11")] {
                every_length(module, &query, name, 1);
            }
        }
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            for query in [Query::addr("fd00::10"), Query::addr2("fd00::12")] {
                for offset in 0..16 {
                    let how = How { offset, ..How::default() };
                    let need = need(&Query::name2("", AF_INET6), name, 1, &how);
                    for length in 0..=need + 64 {
                        let how = How { length, ..how };
                        let answer = module.ask(&query, &how).expect("exported");
                        let wanted = if length < need { TOO_SMALL } else { FOUND };
                        assert_eq!(answer.triple(), wanted, "{query} with {how:?}, needs {need}");
                    }
                }
            }
        }
    });
}

/// A look-up of a name that is unknown, or has no address of the family, never asks for a larger buffer.
#[test]
fn a_negative_answer_needs_no_buffer() {
    sandboxed(|state| {
        web(state);
        state.leases("virbr1", &[Lease::v4("10.9.9.9", "52:54:00:00:00:09", "v4-only", later())]);
        for length in [0, 1, 7, 8, 64, 1023] {
            let how = How { length, ..How::default() };
            for module in [host(), guest()] {
                for query in Query::every_by_name("mail") {
                    let answer = module.ask(&query, &how).expect("exported");
                    assert_eq!(answer.triple(), UNKNOWN, "{query} with {length} bytes");
                }
                for query in [Query::addr("10.1.1.1"), Query::addr2("fd00::99")] {
                    let answer = module.ask(&query, &how).expect("exported");
                    assert_eq!(answer.triple(), UNKNOWN, "{query} with {length} bytes");
                }
            }
            let query = Query::name2("v4-only", AF_INET6);
            let answer = host().ask(&query, &how).expect("exported");
            assert_eq!(answer.triple(), NO_ADDRESS, "{query} with {length} bytes");
        }
    });
}

/// 2,000 addresses with one name, half of them IPv6, in twice as many records.
fn crowd(state: &StateDir) -> (Vec<String>, Vec<String>) {
    let mut leases = Vec::new();
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for i in 0..1000 {
        let (ip4, ip6) = (format!("10.1.{}.{}", i / 250, i % 250), format!("fd00::1:{i:x}"));
        leases.push(Lease::v4(&ip4, MAC, "crowd", later() + 5000 - i));
        leases.push(Lease::v6(&ip6, MAC, "crowd", later() + 5000 - i));
        leases.push(Lease::v4(&ip4, MAC, "crowd", later()));
        leases.push(Lease::v4("10.99.0.1", MAC, "crowd", now() - 100));
        v4.push(ip4);
        v6.push(ip6);
    }
    state.leases("virbr0", &leases);
    state.macs("virbr0", &[MacMap::new("crowd-vm", &[MAC])]);
    (v4, v6)
}

#[test]
fn two_thousand_addresses() {
    sandboxed(|state| {
        let (v4, v6) = crowd(state);
        for (module, name) in [(host(), "crowd"), (guest(), "crowd-vm")] {
            let all = module.resolve(&Query::name4(name)).expect("exported");
            assert_eq!(all.triple(), FOUND);
            let both = all.addresses_text();
            let of = |v6: bool| -> Vec<String> {
                both.iter().filter(|ip| ip.contains(':') == v6).cloned().collect()
            };
            assert_eq!(of(false), v4);
            assert_eq!(of(true), v6);
            let one = module.resolve(&Query::name2(name, AF_INET)).expect("exported");
            assert_eq!((one.triple(), one.addresses_text()), (FOUND, v4.clone()));
            let other = module.resolve(&Query::name3(name, AF_INET6)).expect("exported");
            assert_eq!((other.triple(), other.addresses_text()), (FOUND, v6.clone()));
        }
    });
}

#[test]
fn two_thousand_addresses_fit_exactly() {
    sandboxed(|state| {
        let _ = crowd(state);
        for (module, name) in [(host(), "crowd"), (guest(), "crowd-vm")] {
            for query in [Query::name4(name), Query::name2(name, AF_INET6)] {
                let count = if matches!(query, Query::Name4(_)) { 2000 } else { 1000 };
                for tuple in [false, true] {
                    let how = How { tuple, offset: 3, ..How::default() };
                    let need = need(&query, name, count, &how);
                    for (length, wanted) in [(need - 1, TOO_SMALL), (need, FOUND)] {
                        let answer = module.ask(&query, &How { length, ..how }).expect("exported");
                        assert_eq!(answer.triple(), wanted, "{query}: {length} of {need} bytes");
                        if answer.status == Status::Success {
                            assert_eq!(answer.addresses.len(), count, "{query}");
                        }
                    }
                }
            }
        }
    });
}

//! Buffers that are too small, and buffers at any alignment.

use super::common::*;

const TOO_SMALL: &str = "TRYAGAIN ERANGE NETDB_INTERNAL";
const STOCK_TOO_SMALL: &str = "TRYAGAIN ENOMEM TRY_AGAIN";

fn web(state: &StateDir, now: i64) {
    state.leases("virbr0", &[v4(now, "10.0.0.1", WEB, "web"), v4(now - 1, "10.0.0.2", WEB, "web")]);
}

fn short(query: Query, length: usize) -> Ask {
    Ask { length, ..Ask::new(query) }
}

pub(super) fn cases() -> Vec<Case> {
    // Two NULL pointers that end the lists, and a pointer for each address.
    let pointers = 4 * size_of::<*const u8>();
    let v4 = Query::name2("web", AF_INET);
    let tuples = 2 * size_of::<abi::c::AddrTuple>();
    let both = "web: 10.0.0.1 10.0.0.2";
    vec![
        Case::new("a short buffer", Host, web)
            .call(short(v4.clone(), 8), Some(Rule::LargerBuffer), STOCK_TOO_SMALL, TOO_SMALL)
            .call(
                short(Query::name4("web"), 8),
                Some(Rule::LargerBuffer),
                STOCK_TOO_SMALL,
                TOO_SMALL,
            )
            .call(short(Query::name4("mail"), 0), None, UNKNOWN, UNKNOWN),
        // Four bytes for an address and four for a name; libvirt's module pads each to eight.
        Case::new("a buffer that is just enough", Host, web)
            .call(short(v4.clone(), pointers + 12), Some(Rule::Room), STOCK_TOO_SMALL, both)
            .call(short(v4, pointers + 24), None, both, both)
            .call(short(Query::name4("web"), tuples + 4), Some(Rule::Room), STOCK_TOO_SMALL, both)
            .call(short(Query::name4("web"), tuples + 8), None, both, both),
        Case::new("26 addresses", Host, |state, now| {
            let leases: Vec<Lease> = (0..26)
                .map(|i| super::common::v4(now, &format!("10.0.0.{i}"), WEB, "web"))
                .collect();
            state.leases("virbr0", &leases);
        })
        .call(
            short(Query::name4("web"), 1024),
            Some(Rule::LargerBuffer),
            STOCK_TOO_SMALL,
            TOO_SMALL,
        ),
        Case::new("a buffer that starts anywhere", Host, web).call(
            Ask { offset: 3, ..Ask::new(Query::name2("web", AF_INET)) },
            Some(Rule::Alignment),
            "breaks the contract",
            both,
        ),
        Case::new("no descriptors", Host, web).call(
            Ask { no_descriptors: true, ..Ask::new(Query::name4("web")) },
            Some(Rule::Exhausted),
            GIVES_UP,
            "TRYAGAIN EAGAIN TRY_AGAIN",
        ),
    ]
}

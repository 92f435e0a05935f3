//! Host names, compared with the C library's idea of addresses.

use std::ffi::{CString, c_char, c_int};

use guest_names::name::is_host_name;
use testkit::random::{Random, rounds};

unsafe extern "C" {
    fn inet_aton(text: *const c_char, address: *mut u32) -> c_int;
}

/// Whether inet_aton(3) takes all of a text for an address.
fn is_address(text: &str) -> bool {
    let text = CString::new(text).unwrap();
    let mut address = 0;
    // SAFETY: a C string, and room for a `struct in_addr`.
    unsafe { inet_aton(text.as_ptr(), &raw mut address) != 0 }
}

/// Of the names that are made of labels, exactly those are refused that inet_aton accepts.
#[test]
fn a_name_is_refused_as_an_address_where_inet_aton_takes_it_for_one() {
    let pieces = [
        "0",
        "1",
        "7",
        "8",
        "9",
        "00",
        "0x",
        "0X",
        "x",
        "a",
        "f",
        "g",
        "255",
        "256",
        "65535",
        "65536",
        "16777215",
        "16777216",
        "4294967295",
        "4294967296",
        "037777777777",
        "040000000000",
        "0xffffffff",
        "0x100000000",
        "99999999999999999999",
        "ubuntu20",
        "v1",
        "-",
        "_",
    ];
    let mut random = Random::from_environment(21);
    let (mut addresses, mut names) = (0, 0);
    for _ in 0..rounds(300_000) {
        let label = |random: &mut Random| -> String {
            (0..1 + random.below(2)).map(|_| *random.pick(&pieces)).collect()
        };
        let labels: Vec<String> = (0..1 + random.below(5)).map(|_| label(&mut random)).collect();
        // What isn't made of labels is no host name in any case.
        if labels.iter().any(|label| label.starts_with('-') || label.ends_with('-')) {
            continue;
        }
        let name = labels.join(".");
        let is_address = is_address(&name);
        assert_eq!(is_host_name(name.as_bytes()), !is_address, "{name}");
        addresses += u32::from(is_address);
        names += u32::from(!is_address);
    }
    assert!(addresses > 10_000 && names > 10_000, "{addresses} addresses, {names} names");
}

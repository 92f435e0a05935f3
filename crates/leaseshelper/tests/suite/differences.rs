//! The differences that docs/leaseshelper-differences.md lists, shown on both helpers, so that the list stays true for the
//! versions of libvirt's helper that it names: 9.0, 11.3 and 12.8.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::world::{Call, LOCK, OURS, Stock, World, address, line};

const STOCK_BRIDGE: &str = "stock0";
const OUR_BRIDGE: &str = "ours0";

/// Libvirt's helper and ours, each with a bridge of its own in one world.
struct Both {
    world: World,
    stock: Stock,
}

impl Both {
    fn new() -> Option<Self> {
        Some(Self { stock: Stock::find()?, world: World::new()? })
    }

    /// Makes the call with each helper, libvirt's first.
    fn run(&self, call: &Call) -> [Output; 2] {
        let on = |bridge| call.clone().with("DNSMASQ_INTERFACE", bridge);
        [on(STOCK_BRIDGE).run(&self.stock.program), on(OUR_BRIDGE).run(OURS)]
    }

    /// The same, starting from a list.
    fn run_on(&self, list: impl AsRef<[u8]>, call: &Call) -> [Output; 2] {
        for bridge in [STOCK_BRIDGE, OUR_BRIDGE] {
            self.world.write_list(bridge, &list);
        }
        self.run(call)
    }

    fn addresses(&self) -> [Vec<String>; 2] {
        [STOCK_BRIDGE, OUR_BRIDGE].map(|bridge| self.world.addresses(bridge))
    }

    fn lists(&self) -> [String; 2] {
        [STOCK_BRIDGE, OUR_BRIDGE].map(|bridge| {
            String::from_utf8(self.world.list(bridge).expect("a list")).expect("UTF-8")
        })
    }
}

fn statuses(outputs: &[Output; 2]) -> [Option<i32>; 2] {
    outputs.each_ref().map(|output| output.status.code())
}

fn with_name(i: usize, name: &[u8]) -> Call {
    let mut call = Call::add("", i);
    call.arguments[3] = name.to_vec();
    call
}

#[test]
fn names_that_are_not_utf_8() {
    let Some(both) = Both::new() else { return };
    let outputs = both.run_on("[\n\n]\n", &with_name(1, b"caf\xe9"));
    let refused = !both.stock.has_json_c();
    assert_eq!(statuses(&outputs), [Some(i32::from(refused)), Some(0)]);
    both.run(&Call::add("", 2));
    // yajl refuses the event, json-c forgets the list at the next one.
    assert_eq!(both.addresses(), [vec![address(2)], vec![address(1), address(2)]]);
    assert!(both.lists()[1].contains(r"caf\uFFFD"), "{}", both.lists()[1]);
}

#[test]
fn names_in_utf_8() {
    let Some(both) = Both::new() else { return };
    both.run_on("", &with_name(1, "café".as_bytes()));
    assert!(both.lists()[0].contains("café"), "{}", both.lists()[0]);
    assert!(both.lists()[1].contains(r"caf\u00E9"), "{}", both.lists()[1]);
    // libvirt's helper can take over our list, whatever its version.
    assert!(Call::add(OUR_BRIDGE, 2).run(&both.stock.program).status.success());
    assert_eq!(both.addresses()[1], [address(1), address(2)]);
    // Ours can take over a list from any version.
    both.world.write_list(OUR_BRIDGE, &both.lists()[0]);
    both.run(&Call::add("", 2));
    let theirs = if both.stock.reads_only_ascii() { 2..3 } else { 1..3 };
    assert_eq!(both.addresses(), [theirs.map(address).collect(), vec![address(1), address(2)]]);
    assert!(both.lists()[1].is_ascii(), "{}", both.lists()[1]);
}

#[test]
fn ipv6_where_no_duid_is_known() {
    let Some(both) = Both::new() else { return };
    let ipv6 = Call::new(&["add", "00:01", "fd00::5"])
        .with("DNSMASQ_IAID", "7")
        .with("DNSMASQ_MAC", "52:54:00:00:00:01");
    assert_eq!(statuses(&both.run_on("", &ipv6)), [Some(0), Some(0)]);
    assert_eq!(statuses(&both.run(&Call::add("", 1))), [Some(0), Some(0)]);
    assert_eq!(statuses(&both.run(&Call::add("", 2))), [Some(1), Some(0)]);
    assert_eq!(both.addresses().map(|addresses| addresses.len()), [2, 3]);
}

#[test]
fn lists_that_are_damaged_or_odd() {
    let Some(both) = Both::new() else { return };
    let json_c = both.stock.has_json_c();
    let lease = |member: &str| format!(r#"[{{"ip-address":"old","expiry-time":1{member}}}]"#);
    let cut = lease("").replace(']', ",");
    let nested = |depth| lease(&format!(r#","x":{}{}"#, "[".repeat(depth), "]".repeat(depth)));
    // json-c's default in 11.3 is 32.
    let is_shallow = json_c && both.stock.version < (12, 0);
    let keeps = |keeps: bool| if keeps { (0, vec!["old", "new"]) } else { (0, vec!["new"]) };
    let refuses = (1, vec![]);
    // The list, and what libvirt's helper makes of it: its exit status and the leases afterwards.
    for (list, (status, theirs)) in [
        (cut, keeps(false)),
        (lease("") + "\0", keeps(true)),
        (lease("").replace(",", ",\u{b}"), keeps(!json_c)),
        (lease(r#","ip-address":"old""#), keeps(json_c)),
        (lease(r#","x":123456789012345678901234567890"#), keeps(!json_c)),
        (lease(r#","x":"\ud800""#), keeps(true)),
        (nested(20), keeps(true)),
        (nested(34), keeps(!is_shallow)),
        (format!("{{\"a\":{}}}", lease("")), refuses.clone()),
        (lease("").replace(']', ",7]"), refuses.clone()),
        ("[{\"ip-address\":\"old\"}]".into(), refuses),
    ] {
        let outputs = both.run_on(&list, &Call::new(&["add", "52:54", "new"]));
        // Ours keeps a lease if the text around it isn't JSON, but not if the lease itself isn't.
        let ours = if list.contains('\u{b}') || list.contains("ud800") {
            &["new"][..]
        } else {
            &["old", "new"]
        };
        let list = list.escape_default().to_string();
        assert_eq!(statuses(&outputs), [Some(status), Some(0)], "{list}");
        if status == 0 {
            assert_eq!(both.addresses()[0], theirs, "{list}");
        } else {
            assert_eq!(both.lists()[0].escape_default().to_string(), list);
        }
        assert_eq!(both.world.addresses(OUR_BRIDGE), ours, "{list}");
    }
}

#[test]
fn records_of_other_programs_keep_their_layout() {
    let Some(both) = Both::new() else { return };
    let record = r#"{ "ip-address":"old",	"expiry-time" : 1, "x":[1.50 ] }"#;
    both.run_on(format!("[{record}]"), &Call::new(&["add", "52:54", "new"]));
    assert!(both.lists()[0].contains("    \"expiry-time\": 1,\n"), "{}", both.lists()[0]);
    assert!(both.lists()[1].starts_with(&format!("[\n  {record},\n  {{\n")), "{}", both.lists()[1]);
}

#[test]
fn an_empty_list_and_control_characters() {
    let Some(both) = Both::new() else { return };
    both.run_on("", &Call::new(&["del", "52:54", "192.168.122.5"]));
    let yajls = ("[\n\n]\n", r"\u001F");
    let json_cs = ("[]\n", r"\u001f");
    let theirs = if both.stock.has_json_c() { json_cs } else { yajls };
    assert_eq!(both.lists(), [theirs.0, yajls.0]);
    both.run_on("", &with_name(1, b"\x1f"));
    let lists = both.lists();
    assert!(lists[0].contains(theirs.1) && lists[1].contains(yajls.1), "{lists:?}");
    // Each helper reads the other's list.
    for (program, bridge) in [(Path::new(OURS), STOCK_BRIDGE), (&both.stock.program, OUR_BRIDGE)] {
        assert!(Call::add(bridge, 2).run(program).status.success());
    }
    assert_eq!(both.addresses().map(|addresses| addresses.len()), [2, 2]);
}

#[test]
fn actions_that_are_not_about_leases() {
    let Some(both) = Both::new() else { return };
    for action in ["tftp", "arp-add", "arp-del", "relay-snoop"] {
        let outputs = both.run(&Call::new(&[action, "1000", "192.168.122.5", "/boot/pxe"]));
        assert_eq!(statuses(&outputs), [Some(1), Some(0)], "{action}");
        assert!(outputs[1].stderr.is_empty(), "{outputs:?}");
    }
    assert_eq!(both.world.list(OUR_BRIDGE), None);
}

#[test]
fn a_lease_with_its_length_instead_of_its_end() {
    let Some(both) = Both::new() else { return };
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let call = Call::new(&["add", "52:54", "192.168.122.5"])
        .with("DNSMASQ_LEASE_LENGTH", "3600")
        .with("DNSMASQ_TIME_REMAINING", "1200");
    let before = now();
    both.run_on("", &call);
    let after = now();
    let [theirs, ours] = both.lists().map(|list| {
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        list[0]["expiry-time"].as_u64().expect("a number")
    });
    assert_eq!(theirs, 0);
    assert!((before + 1200..=after + 1200).contains(&ours), "{ours}");
}

#[test]
fn invalid_bridge_names() {
    let Some(both) = Both::new() else { return };
    for (name, file) in
        [("", "/var/lib/libvirt/dnsmasq/.status"), ("../out", "/var/lib/libvirt/out.status")]
    {
        let call = Call::add(name, 1);
        call.refused();
        assert!(!Path::new(file).exists());
        assert!(call.run(&both.stock.program).status.success());
        fs::remove_file(file).expect("libvirt's helper wrote it");
    }
}

#[test]
fn a_link_in_place_of_the_lock() {
    let Some(both) = Both::new() else { return };
    let target = Path::new("/var/lib/target");
    for (program, is_followed) in [(both.stock.program.as_path(), true), (OURS.as_ref(), false)] {
        fs::write(target, "content").expect("a file");
        symlink(target, LOCK).expect("a link");
        let output = Call::add("virbr0", 1).run(program);
        assert_eq!(fs::read(target).expect("the file") != b"content", is_followed, "{output:?}");
        let _ = fs::remove_file(LOCK);
    }
}

#[test]
fn what_init_prints_of_hostile_and_incomplete_leases() {
    let Some(both) = Both::new() else { return };
    let list = br#"[{"ip-address":"10.0.0.1","mac-address":"52:54","hostname":"x *\n0 52:66 10.0.0.2 victim","expiry-time":1},
        {"ip-address":"10.0.0.3","expiry-time":1},
        {"ip-address":"10.0.0.4","mac-address":"52:54","hostname":"","expiry-time":1}]"#;
    let [theirs, ours] = both.run_on(list, &Call::new(&["init"]));
    assert_eq!(
        String::from_utf8_lossy(&theirs.stdout),
        "1 52:54 10.0.0.1 x *\n0 52:66 10.0.0.2 victim *\n1 (null) 10.0.0.3 * *\n1 52:54 10.0.0.4  *\n"
    );
    assert_eq!(
        String::from_utf8_lossy(&ours.stdout),
        "1 52:54 10.0.0.1 * *\n1 52:54 10.0.0.4 * *\n"
    );
    assert!(line(&ours).contains("10.0.0.3"), "{ours:?}");
    assert_eq!(both.world.list(OUR_BRIDGE).as_deref(), Some(&list[..]));
}

#[test]
fn the_domain_and_going_back() {
    let Some(both) = Both::new() else { return };
    both.run_on("", &Call::add("", 1).with("DNSMASQ_DOMAIN", "lab"));
    let [theirs, ours] = both.lists();
    let with_domain = theirs.replace(
        "\"hostname\": \"guest1\",\n",
        "\"hostname\": \"guest1\",\n    \"domain\": \"lab\",\n",
    );
    assert_eq!(ours.trim_end(), with_domain.trim_end());
    // libvirt's helper takes over the list with the key in it.
    assert!(Call::add(OUR_BRIDGE, 2).run(&both.stock.program).status.success());
    let taken_over = &both.lists()[1];
    assert!(taken_over.starts_with(ours.strip_suffix("\n]\n").expect("a list")), "{taken_over}");
    assert_eq!(both.addresses()[1].len(), 2);
}

#[test]
fn the_version_tells_the_two_apart() {
    let Some(both) = Both::new() else { return };
    let [theirs, ours] = both.run(&Call::new(&["--version"]));
    assert!(String::from_utf8_lossy(&theirs.stdout).contains(" (libvirt) "));
    let expected = format!("{OURS} (libvirt-nss) {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&ours.stdout), expected);
    for help in both.run(&Call::new(&["--help", "a", "b", "c", "d", "e"])) {
        assert!(help.status.success());
        let text = String::from_utf8_lossy(&help.stdout).into_owned();
        let first = text.lines().next().expect("a line");
        assert!(first.starts_with("Usage: "), "{first}");
        assert!(first.ends_with(" add|old|del|init mac|clientid ip [hostname]"), "{first}");
    }
}

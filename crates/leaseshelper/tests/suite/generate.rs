//! Generates calls and lists from a seed.

use crate::world::Call;

/// A random number generator with a seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// True in one of `n` cases on average.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn hex(&mut self, bytes: usize) -> String {
        let pairs: Vec<String> = (0..bytes).map(|_| format!("{:02x}", self.next() as u8)).collect();
        pairs.join(":")
    }
}

/// The seed of generated tests: `TEST_SEED`, or 1.
pub(crate) fn seed() -> u64 {
    variable("TEST_SEED").unwrap_or(1)
}

/// How many rounds a generated test runs: `TEST_ROUNDS`, or few enough for every run of the tests.
pub(crate) fn rounds(few: usize) -> usize {
    variable("TEST_ROUNDS").map_or(few, |rounds| rounds as usize)
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}, not a number")))
}

/// The kinds of calls in a sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taste {
    /// Names that aren't valid in DNS, with control characters and quotes. Our `init` prints fewer of those than
    /// libvirt's, so such a sequence has no `init`.
    pub(crate) nasty: bool,
    /// Its list came from another program.
    pub(crate) foreign: bool,
    /// Only ASCII, escaped or not.
    pub(crate) ascii: bool,
    /// Numbers that json-c doesn't keep: -0 becomes 0, and a list with one of more than 64 bits is forgotten.
    pub(crate) odd_numbers: bool,
}

const SERVER_DUID: &str = "00:01:00:01:2e:8f:3b:5c:52:54:00:12:34:56";

/// A call as dnsmasq makes it; sometimes one that dnsmasq never makes.
///
/// What docs/leaseshelper-differences.md lists is left out: bytes that are not UTF-8, an invalid bridge name, an IPv6
/// lease without any known server DUID, `add` alone with a MAC in the environment, dnsmasq's other actions.
pub(crate) fn call(random: &mut Random, taste: Taste) -> Call {
    match random.below(40) {
        0 => return odd(random),
        1..=3 if !taste.nasty => return init(random),
        _ => {}
    }
    let action = random.pick(&["add", "add", "old", "old", "del"]);
    let call =
        if random.one_in(3) { ipv6(random, taste, action) } else { ipv4(random, taste, action) };
    common(random, call)
}

/// The first call for a list of IPv6 leases without a server DUID: it has that DUID.
pub(crate) fn call_with_duid(random: &mut Random, taste: Taste) -> Call {
    let action = random.pick(&["add", "old", "del"]);
    let call = ipv6(random, taste, action);
    // A bad expiry time would make it fail.
    common(random, call).with("DNSMASQ_LEASE_EXPIRES", "1900000000")
}

fn ipv4(random: &mut Random, taste: Taste, action: &str) -> Call {
    let host = random.below(12);
    let mac = match random.below(12) {
        0 => format!("06-{}", random.hex(8)),
        _ => format!("52:54:00:00:00:{host:02x}"),
    };
    let mut call = Call::new(&[action, &mac, &format!("192.168.122.{host}")]);
    if random.one_in(2) {
        let bytes = random.pick(&[1, 7, 19, 255]);
        call = call.with("DNSMASQ_CLIENT_ID", random.hex(bytes));
    }
    names(random, taste, call)
}

fn ipv6(random: &mut Random, taste: Taste, action: &str) -> Call {
    let host = random.below(8);
    let duid = random.hex(14);
    let temporary = if random.one_in(8) { "T" } else { "" };
    let mut call = Call::new(&[action, &duid, &format!("fd00:1::{host:x}")])
        .with("DNSMASQ_IAID", format!("{temporary}{}", random.next() as u32))
        .with("DNSMASQ_SERVER_DUID", SERVER_DUID);
    if !random.one_in(6) {
        call = call.with("DNSMASQ_MAC", format!("52:54:00:00:06:{host:02x}"));
    }
    if random.one_in(10) {
        call = call.with("DNSMASQ_CLIENT_ID", "of no use here");
    }
    names(random, taste, call)
}

fn names(random: &mut Random, taste: Taste, mut call: Call) -> Call {
    if random.one_in(2) {
        call.arguments.push(name(random, taste));
    }
    for variable in ["DNSMASQ_SUPPLIED_HOSTNAME", "DNSMASQ_OLD_HOSTNAME"] {
        if random.one_in(4) {
            call = call.with(variable, name(random, taste));
        }
    }
    if random.one_in(3) {
        call = call.with("DNSMASQ_DOMAIN", random.pick(&["lab", "example.com", ""]));
    }
    call
}

fn name(random: &mut Random, taste: Taste) -> Vec<u8> {
    if !taste.nasty {
        let number = random.below(50);
        return random
            .pick(&["web", "DB", if taste.ascii { "cafe" } else { "café" }, "a-b_c", "x"])
            .bytes()
            .chain(number.to_string().bytes())
            .collect();
    }
    let length = random.pick(&[0, 1, 2, 8, 40, 63]);
    (0..length)
        .map(|_| match random.below(4) {
            0 => random.pick(&['"', '\\', '/', ' ', '<', '{', '}', ',', ':']),
            1 => char::from(1 + random.below(0x7f) as u8),
            2 if !taste.ascii => random.pick(&[
                'é',
                '\u{7ff}',
                '\u{800}',
                '\u{ffff}',
                '😀',
                '\u{10ffff}',
                '\u{2028}',
            ]),
            _ => 'a',
        })
        .collect::<String>()
        .into_bytes()
}

fn common(random: &mut Random, mut call: Call) -> Call {
    call = call.with("VIR_BRIDGE_NAME", "BRIDGE");
    if !random.one_in(6) {
        call = call.with("DNSMASQ_INTERFACE", "BRIDGE");
    }
    let expiry = match random.below(30) {
        0 => return call,
        1 => {
            random.pick(&["x", "", " ", "1x", "0x10", "99999999999999999999", "1 2", "+-1"]).into()
        }
        2 => random.pick(&["0", "-5", "+7", " 12", "12 ", "007", "9223372036854775807"]).into(),
        _ => (1_900_000_000 + random.below(100_000)).to_string(),
    };
    call.with("DNSMASQ_LEASE_EXPIRES", expiry)
}

fn init(random: &mut Random) -> Call {
    let mut call = Call::new(&["init", "a", "b", "c"]);
    call.arguments.truncate(random.pick(&[1, 1, 1, 3, 4]));
    if random.one_in(4) {
        call = call.with("DNSMASQ_SERVER_DUID", SERVER_DUID);
    }
    call.with("VIR_BRIDGE_NAME", "BRIDGE")
}

/// Calls that change no lease.
fn odd(random: &mut Random) -> Call {
    let call = match random.below(6) {
        0 => {
            let action = random.pick(&["ADD", "", "addx", "tftp\n"]);
            Call::new(&[action, "52:54:00:00:00:01", "192.168.122.1"])
        }
        1 => Call::new(&["add", "52:54:00:00:00:01"]),
        2 => Call::new(&["add", "a", "b", "c", "d"]),
        3 => Call::new(&[]),
        4 => return Call::new(&["add", "52:54:00:00:00:01", "192.168.122.1"]),
        _ => Call::new(&[random.pick(&["add", "old", "del"])]),
    };
    call.with("DNSMASQ_INTERFACE", "BRIDGE").with("DNSMASQ_LEASE_EXPIRES", "1900000000")
}

/// A list of IPv6 leases as libvirt 1.2.6 wrote it, without the server's DUID.
pub(crate) fn list_without_duids(random: &mut Random) -> String {
    let leases: Vec<String> = (0..1 + random.below(3))
        .map(|i| {
            format!(
                "    {{\n        \"iaid\": \"{i}\",\n        \"ip-address\": \"fd00:1::{i}\",\n        \
                 \"mac-address\": \"52:54:00:00:06:0{i}\",\n        \"expiry-time\": 1900000000\n    }}"
            )
        })
        .collect();
    format!("[\n{}\n]\n", leases.join(",\n"))
}

/// A list that another program laid out, with keys of its own.
pub(crate) fn foreign_list(random: &mut Random, taste: Taste) -> String {
    let mut out = String::new();
    let space = |random: &mut Random, out: &mut String| {
        for _ in 0..random.below(3) {
            out.push(random.pick(&[' ', '\n', '\t', '\r']));
        }
    };
    space(random, &mut out);
    out.push('[');
    for i in 0..random.below(4) {
        space(random, &mut out);
        if i > 0 {
            out.push(',');
            space(random, &mut out);
        }
        out.push('{');
        let mut members = vec![
            format!("\"ip-address\":\"192.168.122.{i}\""),
            format!("\"expiry-time\" : {}", 1_900_000_000 - 1_950_000_000 * i as i64),
            format!("\"mac-address\": {}", string(random)),
        ];
        for extra in 0..random.below(4) {
            let value = value(random, taste, 3);
            members.insert(random.below(members.len() + 1), format!("\"x{extra}\":{value}"));
        }
        for (n, member) in members.iter().enumerate() {
            if n > 0 {
                out.push(',');
            }
            space(random, &mut out);
            out.push_str(member);
        }
        out.push('}');
    }
    space(random, &mut out);
    out.push(']');
    space(random, &mut out);
    if taste.ascii {
        out = out.replace(|c: char| !c.is_ascii(), "a");
        for escape in ["\\u00e9", "\\ud83d\\ude00", "\\uD83D\\uDE00"] {
            out = out.replace(escape, "a");
        }
    }
    out
}

fn value(random: &mut Random, taste: Taste, depth: usize) -> String {
    let some = |random: &mut Random| if depth == 0 { 0 } else { random.below(3) };
    match random.below(6) {
        0 => string(random),
        1 if taste.odd_numbers && random.one_in(2) => {
            random.pick(&["-0", "123456789012345678901234567890"]).into()
        }
        1 => random.pick(&["0", "1.50", "1e9", "-1.5E-07"]).into(),
        2 => random.pick(&["true", "false", "null"]).into(),
        3 => {
            let values: Vec<String> =
                (0..some(random)).map(|_| value(random, taste, depth - 1)).collect();
            format!("[{}]", values.join(" ,"))
        }
        4 => {
            let members: Vec<String> = (0..some(random))
                .map(|i| format!("\"k{i}\\u00e9\":{}", value(random, taste, depth - 1)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        _ => "\"\"".into(),
    }
}

fn string(random: &mut Random) -> String {
    let pieces: String = (0..random.below(6))
        .map(|_| {
            random.pick(&[
                "a",
                "\\/",
                "/",
                "\\u001f",
                "\\u001F",
                "\\n",
                "\\u000a",
                "\\\"",
                "\\\\",
                "é",
                "\\u00e9",
                "\\ud83d\\ude00",
                "\\uD83D\\uDE00",
                "😀",
                "\u{7f}",
                "\\u007f",
                "\\b\\f\\r\\t",
            ])
        })
        .collect();
    format!("\"{pieces}\"")
}

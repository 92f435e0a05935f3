//! How long it takes to publish names in zones of BIND, Knot and PowerDNS: one change, 10,000 names at once, and no change.
//!
//!     cargo bench -p publish -- [NAMES [CHANGES]]
//!
//! The peer is nsupdate(1) alone with the same change, as a script without journal, ownership records or prerequisites would
//! run it. In both cases the server is asked for the name all the while.

#[path = "../tests/servers/service.rs"]
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use publish::client::Client;
use publish::journal::Store;
use publish::publisher::{Event, Plan, Publisher};
use publish::record::DnsRecord;
use publish::select::Selected;
use publish::signer::Signer;
use testkit::name_server::{Kind, NameServer, REVERSE_ZONE, SECRET, ZONE, key_file};
use testkit::scratch::Scratch;

use service::Service;

fn main() {
    if !NameServer::are_installed() {
        return;
    }
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let names = numbers.next().unwrap_or(10_000);
    let changes = numbers.next().unwrap_or(200);
    println!(
        "| server | names | first start | next start, which checks them | serial changes at the next start |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    for kind in Kind::ALL {
        at_start(kind, names);
    }
    println!(
        "\n| server | changes | to the answer: median | p99 | longest | nsupdate alone: median | p99 | ratio |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for kind in Kind::ALL {
        changes_to_answer(kind, changes);
    }
}

fn address(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, (number >> 16) as u8, (number >> 8) as u8, number as u8)
}

fn at_start(kind: Kind, names: usize) {
    let server = NameServer::start(kind);
    let scratch = Scratch::new();
    scratch.write("publish.key", key_file("publish", SECRET));
    let mut client = Client {
        server: "127.0.0.1".into(),
        port: server.port(),
        signer: Signer::Key(scratch.join("publish.key")),
        ttl: 60,
    };
    let plan = Plan {
        host: "bench".into(),
        server: "127.0.0.1".into(),
        zone: ZONE.into(),
        reverse_zones: vec![REVERSE_ZONE.into()],
        retry: Duration::from_secs(60),
    };
    let mut selected = Selected::default();
    let mut addresses: BTreeMap<IpAddr, Vec<String>> = BTreeMap::new();
    for number in 0..names {
        let name = format!("guest-{number:05}.{ZONE}");
        let address = IpAddr::V4(address(number));
        addresses.insert(address, vec![name.clone()]);
        selected.wanted.insert(name, BTreeSet::from([DnsRecord::from(address)]));
    }
    selected.names = addresses;
    let store = Store::new(scratch.path());
    let publish = |publisher: &mut Publisher, client: &mut Client| {
        let start = Instant::now();
        let mut events = publisher.publish(&selected, client, Instant::now()).expect("a journal");
        let time = start.elapsed();
        events.retain(|event| !matches!(event, Event::Changed { .. }));
        assert_eq!(events, [], "{kind:?}");
        time
    };
    let mut publisher = Publisher::new(plan.clone(), store.clone(), None);
    let first = publish(&mut publisher, &mut client);
    let last = format!("guest-{:05}.{ZONE}", names - 1);
    assert_eq!(server.dig(&[&last, "A"]), address(names - 1).to_string());
    let serials = [ZONE, REVERSE_ZONE].map(|zone| server.serial(zone));
    let mut publisher = Publisher::new(plan, store.clone(), store.read().expect("a journal"));
    let again = publish(&mut publisher, &mut client);
    let new = [ZONE, REVERSE_ZONE].map(|zone| server.serial(zone));
    let new = new.iter().zip(serials).map(|(new, old)| new - old).sum::<u32>();
    println!(
        "| {kind:?} | {names} | {:.2} s | {:.2} s | {new} |",
        first.as_secs_f64(),
        again.as_secs_f64()
    );
}

fn changes_to_answer(kind: Kind, changes: usize) {
    let server = NameServer::start(kind);
    let key = server.directory().join("bench.key");
    std::fs::write(&key, key_file("publish", SECRET)).expect("a key");
    let configuration = format!("key = \"{}\"", key.display());
    let mut service = Service::start(&server, &configuration, &[], &[("web", address(0))]);
    // Its last message in each case, so that it is idle at the next change.
    service.await_log(&format!("{REVERSE_ZONE}: updated"));
    let mut times: Vec<Duration> = (1..=changes)
        .map(|number| {
            let address = address(number);
            let start = Instant::now();
            service.set(&[("web", address)]);
            await_answer(server.port(), "web", address);
            let time = start.elapsed();
            service.await_log(&format!("{REVERSE_ZONE}: updated"));
            time
        })
        .collect();
    drop(service);
    let mut alone: Vec<Duration> = (1..=changes)
        .map(|number| {
            let address = address(number);
            let start = Instant::now();
            let script = server.directory().join("alone");
            let lines = format!(
                "server 127.0.0.1 {}\nzone {ZONE}\nupdate delete alone.{ZONE} A\nupdate add alone.{ZONE} 60 A {address}\nsend\n",
                server.port()
            );
            std::fs::write(&script, lines).expect("a script");
            let mut nsupdate = Command::new("nsupdate");
            let mut nsupdate = nsupdate.arg("-k").arg(&key).arg(script).spawn().expect("it runs");
            await_answer(server.port(), "alone", address);
            let time = start.elapsed();
            assert!(nsupdate.wait().expect("it ends").success());
            time
        })
        .collect();
    times.sort_unstable();
    alone.sort_unstable();
    let at = |times: &[Duration], part: f64| {
        let place = ((times.len() as f64 * part).ceil() as usize).clamp(1, times.len()) - 1;
        times[place].as_secs_f64() * 1e3
    };
    let (median, peer) = (at(&times, 0.5), at(&alone, 0.5));
    println!(
        "| {kind:?} | {changes} | {median:.0} ms | {:.0} ms | {:.0} ms | {peer:.0} ms | {:.0} ms | {:.2}× |",
        at(&times, 0.99),
        at(&times, 1.0),
        at(&alone, 0.99),
        median / peer
    );
}

/// Queries the server again and again (RFC 1035, section 4) until the name has this address.
fn await_answer(port: u16, label: &str, address: Ipv4Addr) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(("127.0.0.1", port)).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");
    // One question, no recursion.
    let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in [label].into_iter().chain(ZONE.split('.')) {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    let mut answer = [0; 512];
    loop {
        socket.send(&query).expect("it is sent");
        let length = socket.recv(&mut answer).expect("an answer");
        // The server's own address is 127.0.0.1, so only an answer can contain this one.
        if answer[query.len()..length].windows(4).any(|octets| octets == address.octets()) {
            return;
        }
    }
}

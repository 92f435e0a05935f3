//! The kernel's routes, in a network namespace that has only the test's.

use std::process::Command;
use std::time::{Duration, Instant};

use daemon::host::{Host, Watch};
use daemon::service::log::Log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set when this program runs itself in its own namespaces.
const INSIDE: &str = "LIBVIRT_NSSD_TEST_INSIDE";

#[test]
fn routes_of_a_network_of_its_own() {
    if std::env::var_os(INSIDE).is_some() {
        return in_namespaces();
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        // Root needs no user namespace, and can't create one in a chroot.
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net").arg(program);
    command.args(["--exact", "routes_of_a_network_of_its_own"]).env(INSIDE, "1");
    let output = command.output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && text[0].contains("1 passed"), "{}\n{}", text[0], text[1]);
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Waits until the routes satisfy `wanted`.
fn until(watch: &mut Watch, wanted: impl Fn(&Host) -> bool) -> Host {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(host) = watch.take().filter(&wanted) {
            return host;
        }
        let left = watch.due().unwrap_or(end).min(end).saturating_duration_since(Instant::now());
        assert!(Instant::now() < end, "timed out waiting for the routes");
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::from_borrowed_fd(watch.fd().unwrap(), PollFlags::IN)];
        poll(&mut fds, Some(&left)).unwrap();
    }
}

fn in_namespaces() {
    let has = |host: &Host, address: &str| host.has(address.parse().unwrap());
    let subnets = |host: &Host| -> Vec<String> {
        host.subnets_on(b"br-plain").map(ToString::to_string).collect()
    };
    let mut watch = Watch::new(Log::new("libvirt-nssd"));
    assert_eq!(until(&mut watch, |_| true), Host::default());
    ip("link add br-plain type bridge");
    ip("link add port type veth peer name guest");
    ip("link set port master br-plain up");
    ip("link set guest up");
    ip("link set br-plain up");
    ip("address add 10.77.0.2/24 dev br-plain");
    ip("address add fd00:77::2/64 dev br-plain nodad");
    ip("route add default via 10.77.0.1");
    let host = until(&mut watch, |host| {
        has(host, "10.77.0.1") && has(host, "fd00:77::2") && subnets(host).len() == 3
    });
    assert!(has(&host, "10.77.0.2") && has(&host, "10.77.0.255") && !has(&host, "10.77.0.3"));
    assert_eq!(subnets(&host), ["10.77.0.0/24", "fd00:77::/64", "fe80::/64"]);
    // libvirt disables IPv6 on the bridge of a network without IPv6.
    std::fs::write("/proc/sys/net/ipv6/conf/br-plain/disable_ipv6", "1").unwrap();
    ip("route delete default");
    let host = until(&mut watch, |host| !has(host, "10.77.0.1") && subnets(host).len() == 1);
    assert_eq!(subnets(&host), ["10.77.0.0/24"]);
    ip("link delete br-plain");
    let host = until(&mut watch, |host| !has(host, "10.77.0.2"));
    assert_eq!(subnets(&host), [""; 0]);
}

//! Trying to connect to a port.

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6, TcpStream};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use super::Event;
use crate::error::reason;

/// An attempt without any answer is given up after this time and repeated, as the first packets to a booting guest are
/// lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long after the n-th failure in a row a port is tried again.
pub(crate) fn pause(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);
    FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST)
}

/// How an attempt ended.
pub(crate) struct Outcome {
    /// The index of the target.
    pub(crate) target: usize,
    pub(crate) address: IpAddr,
    /// Why it failed.
    pub(crate) connected: Result<(), String>,
}

/// Connects in a thread of its own; the outcome comes as an event. `scope` is the interface that a
/// link-local address is reached through.
pub(crate) fn start(
    target: usize,
    address: IpAddr,
    scope: Option<&str>,
    port: u16,
    sender: &Sender<Event>,
) {
    let destination = match address {
        IpAddr::V4(_) => SocketAddr::new(address, port),
        IpAddr::V6(v6) => SocketAddrV6::new(v6, port, 0, scope.map_or(0, interface_index)).into(),
    };
    let sender = sender.clone();
    thread::spawn(move || {
        let connected = TcpStream::connect_timeout(&destination, PATIENCE);
        let connected = connected.map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => "no answer".into(),
            _ => reason(&error).to_lowercase(),
        });
        // Without a receiver the command has ended.
        let _ = sender.send(Event::Tried(Outcome { target, address, connected }));
    });
}

/// 0 if there is no such interface: the attempt then fails and reports it.
fn interface_index(name: &str) -> u32 {
    let index = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex"));
    index.ok().and_then(|index| index.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        let pauses: Vec<u128> = (1..8).map(|failures| pause(failures).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(pause(u32::MAX).as_millis(), 2000);
    }
}

//! A stand-in for one of libvirt's modular daemons, with the calls that the daemon under test makes: libvirt's RPC over TCP
//! (<https://libvirt.org/kbase/internals/rpc.html>), without events. Procedure numbers are those in libvirt's
//! `remote_protocol.x`; values are XDR (RFC 4506).

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

const PROGRAM: u32 = 0x2000_8086;
const VERSION: u32 = 1;
const REPLY: u32 = 1;

/// Error codes (`virErrorNumber`).
const INTERNAL_ERROR: u32 = 1;
const NO_SUPPORT: u32 = 3;

/// What the server reports.
#[derive(Clone, Default)]
pub(crate) struct World {
    /// The XML of its running domain.
    pub(crate) domain: String,
    /// The names of its networks.
    pub(crate) networks: Vec<&'static str>,
    /// How often the network daemon behind it was restarted. Each client's connection to the network daemon is opened together
    /// with the client's own, and is lost when the network daemon stops.
    pub(crate) network_daemon: u32,
    /// Whether there is no network daemon.
    pub(crate) has_no_network_daemon: bool,
}

/// The server. Its threads end with the process.
pub(crate) struct Server {
    pub(crate) uri: String,
    pub(crate) world: Arc<Mutex<World>>,
}

impl Server {
    pub(crate) fn start(world: World) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, world) = (client.unwrap(), Arc::clone(&shared));
                let opened_with = world.lock().unwrap().network_daemon;
                // The thread ends when the client disconnects.
                thread::spawn(move || serve(client, &world, opened_with));
            }
        });
        Self { uri: format!("qemu+tcp://127.0.0.1:{port}/system"), world }
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }
}

fn serve(mut client: TcpStream, world: &Mutex<World>, opened_with: u32) -> io::Result<()> {
    loop {
        let length = read_u32(&mut client)? as usize;
        let mut message = vec![0; length - 4];
        client.read_exact(&mut message)?;
        let word = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
        let (procedure, serial) = (word(8), word(16));
        let world = world.lock().unwrap().clone();
        let (status, body) = match answer(procedure, &world, opened_with) {
            Ok(body) => (0, body),
            Err((code, text)) => (1, error(code, text)),
        };
        let mut reply = Vec::new();
        let words = [PROGRAM, VERSION, procedure, REPLY, serial, status];
        let length = 4 + words.len() * 4 + body.len();
        for word in [length as u32].into_iter().chain(words) {
            put(&mut reply, word);
        }
        reply.extend(body);
        client.write_all(&reply)?;
    }
}

fn answer(procedure: u32, world: &World, opened_with: u32) -> Result<Vec<u8>, (u32, &'static str)> {
    let mut body = Vec::new();
    let is_cut_off = opened_with != world.network_daemon || world.has_no_network_daemon;
    match procedure {
        // CONNECT_OPEN, CONNECT_CLOSE.
        1 | 2 => {}
        // DOMAIN_GET_XML_DESC.
        14 => text(&mut body, &world.domain),
        // NETWORK_GET_XML_DESC, CONNECT_LIST_ALL_NETWORKS.
        43 | 283 if is_cut_off => {
            return Err((INTERNAL_ERROR, "internal error: client socket is closed"));
        }
        // Only a network's name matters here.
        43 => text(&mut body, &format!("<network><name>{}</name></network>", world.networks[0])),
        283 => {
            put(&mut body, world.networks.len() as u32);
            for network in &world.networks {
                text(&mut body, network);
                body.extend([7; 16]);
            }
            put(&mut body, world.networks.len() as u32);
        }
        // CONNECT_SUPPORTS_FEATURE.
        60 => put(&mut body, 0),
        // AUTH_LIST: none.
        66 => {
            put(&mut body, 1);
            put(&mut body, 0);
        }
        // CONNECT_LIST_ALL_DOMAINS.
        273 => {
            put(&mut body, 1);
            text(&mut body, "vm");
            body.extend([9; 16]);
            put(&mut body, 1);
            put(&mut body, 1);
        }
        _ => return Err((NO_SUPPORT, "this function is not supported by the stand-in")),
    }
    Ok(body)
}

/// A `remote_error`: code, domain, message, level, and fields that are absent.
fn error(code: u32, message: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for word in [code, 0, 1] {
        put(&mut body, word);
    }
    text(&mut body, message);
    // Level: an error. No domain, no texts, no numbers, no network.
    for word in [2, 0, 0, 0, 0, 0, 0, 0] {
        put(&mut body, word);
    }
    body
}

fn read_u32(client: &mut TcpStream) -> io::Result<u32> {
    let mut word = [0; 4];
    client.read_exact(&mut word)?;
    Ok(u32::from_be_bytes(word))
}

fn put(body: &mut Vec<u8>, word: u32) {
    body.extend(word.to_be_bytes());
}

fn text(body: &mut Vec<u8>, text: &str) {
    put(body, text.len() as u32);
    body.extend(text.as_bytes());
    body.resize(body.len().next_multiple_of(4), 0);
}

//! The program itself, which follows a snapshot.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use guest_names::address::Address;
use guest_names::bridge::Bridge;
use guest_names::candidate::Evidence;
use guest_names::snapshot::format::{Entry, Meta, flags};
use guest_store::replace::ReplacedFile;
use guest_store::snapshot::info::{ConnectionInfo, Info};
use guest_store::snapshot::{FILE_NAME, Writer};
use testkit::name_server::{NameServer, REVERSE_ZONE, ZONE};
use testkit::scratch::Scratch;

/// A running service. It has no configuration beyond what it is given, and publishes on one server.
pub(crate) struct Service {
    _scratch: Scratch,
    snapshot: ReplacedFile,
    child: Child,
    log: Receiver<String>,
}

/// The program with these lines of configuration for a server, and where its files are.
pub(crate) fn program(scratch: &Scratch, server: &NameServer, configuration: &str) -> Command {
    let text = format!(
        "[publish]\nserver = \"127.0.0.1\"\nport = {}\nzone = \"{ZONE}\"\nreverse-zones = [\"{REVERSE_ZONE}\"]\nhost = \"alpha\"\n\
         {configuration}\n",
        server.port()
    );
    scratch.write("config", text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_libvirt-nss-publish"));
    for (option, file) in [
        ("--config", "config"),
        ("--snapshot", "run"),
        ("--journal", "journal"),
        ("--status", "status.json"),
    ] {
        command.arg(option).arg(scratch.join(file));
    }
    command.env_remove("JOURNAL_STREAM").env_remove("KRB5CCNAME").stdin(Stdio::null());
    command
}

impl Service {
    /// Starts it with a snapshot of these guests.
    pub(crate) fn start(
        server: &NameServer,
        configuration: &str,
        environment: &[(&str, &Path)],
        guests: &[(&str, Ipv4Addr)],
    ) -> Self {
        let scratch = Scratch::new();
        for directory in ["run", "journal"] {
            std::fs::create_dir(scratch.join(directory)).expect("a directory");
        }
        let mut snapshot = ReplacedFile::new(&scratch.join("run").join(FILE_NAME));
        write(&mut snapshot, guests);
        let mut command = program(&scratch, server, configuration);
        command.envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let (sender, log) = channel();
        // Read even if nobody is interested, so that it never waits for its log.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { _scratch: scratch, snapshot, child, log }
    }

    /// Writes a snapshot of these guests.
    pub(crate) fn set(&mut self, guests: &[(&str, Ipv4Addr)]) {
        write(&mut self.snapshot, guests);
    }

    /// Waits until it logs a line with this text, and returns that line.
    pub(crate) fn await_log(&self, text: &str) -> String {
        self.await_logs(&[text])
    }

    /// Waits until it has logged lines with each of these texts, in any order, and returns the last one.
    pub(crate) fn await_logs(&self, texts: &[&str]) -> String {
        let (mut lines, mut texts) = (Vec::new(), texts.to_vec());
        loop {
            match self.log.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    texts.retain(|text| !line.contains(text));
                    if texts.is_empty() {
                        return line;
                    }
                    lines.push(line);
                }
                Err(error) => panic!("{texts:?}: {error} after {lines:#?}"),
            }
        }
    }
}

fn write(snapshot: &mut ReplacedFile, guests: &[(&str, Ipv4Addr)]) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs() as i64;
    let here = ConnectionInfo { name: "host".into(), here: true, ..ConnectionInfo::default() };
    let info = Info { connections: vec![here], ..Info::default() };
    let write = |file: &File| -> io::Result<()> {
        let mut writer = Writer::new(file)?;
        for (name, address) in guests {
            let entry = Entry {
                flags: flags::REPORTED | flags::ATTACHED,
                evidence: Evidence::Agent,
                connection: 0,
                address: Some(Address::V4(address.octets())),
                mac: None,
                bridge: Bridge::NONE,
                expiry: 0,
                order: 0,
                client: 0,
                name: name.as_bytes(),
            };
            writer.add_entries(format!("g{name}").as_bytes(), [entry])?;
        }
        writer.add_info(&info)?;
        writer.finish(Meta { state: None, hold: 90, length: 0, compiled: now })
    };
    snapshot.replace(write).expect("a snapshot");
}

impl Drop for Service {
    fn drop(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }
}

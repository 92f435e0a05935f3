//! Real name servers on a port of the loopback interface, with a forward and a reverse zone that accept updates signed
//! with a key. The programs are those of `tests/setup name-servers`, which unpacks the packages so that no service
//! starts, or the system's own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::kerberos::{REALM, Realm};
use crate::scratch::Scratch;

/// The zones that each server has.
pub const ZONE: &str = "site.example";
/// See [`ZONE`]: for 10.0.0.0/8.
pub const REVERSE_ZONE: &str = "10.in-addr.arpa";

/// A secret, in base64.
pub const SECRET: &str = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=";
/// Another secret.
pub const OTHER_SECRET: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=";

/// The name server program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// named(8).
    Bind,
    /// knotd(8).
    Knot,
    /// pdns_server(1), with SQLite.
    PowerDns,
    /// nsd(8), which takes no updates.
    Nsd,
}

impl Kind {
    /// Those that take updates.
    pub const ALL: [Self; 3] = [Self::Bind, Self::Knot, Self::PowerDns];

    fn program(self) -> &'static str {
        match self {
            Self::Bind => "named",
            Self::Knot => "knotd",
            Self::PowerDns => "pdns_server",
            Self::Nsd => "nsd",
        }
    }
}

/// A server.
pub struct NameServer {
    kind: Kind,
    port: u16,
    directory: Scratch,
    process: Option<Child>,
    /// A library that replaces functions of the C library in the server.
    preload: Option<PathBuf>,
    kerberos: Option<Kerberos>,
}

/// What a server needs to accept Kerberos tickets.
struct Kerberos {
    config: PathBuf,
    keytab: PathBuf,
    /// The principal that may update the zones.
    principal: String,
}

/// Where tests/setup puts the packages' files.
fn packages() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    target.unwrap_or_else(|| root.join("target")).join("name-servers")
}

pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let directories = ["usr/sbin", "usr/bin"].map(|directory| packages().join(directory));
    let system = ["/usr/sbin", "/usr/bin"].map(PathBuf::from);
    let mut paths = directories.into_iter().chain(system).map(|directory| directory.join(name));
    paths.find(|path| path.exists())
}

/// The libraries of the packages and their modules.
pub(crate) fn libraries() -> Option<PathBuf> {
    let mut directories = fs::read_dir(packages().join("usr/lib")).ok()?.flatten();
    directories.find(|entry| entry.path().join("pdns").exists()).map(|entry| entry.path())
}

pub(crate) fn command(name: &str) -> Command {
    let path = program(name).unwrap_or_else(|| panic!("{name} is not installed"));
    let mut command = Command::new(path);
    if let Some(libraries) = libraries() {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

/// A free port for TCP and UDP. Another process could take it before the server does, but the kernel's range is wide.
pub(crate) fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = tcp.local_addr().expect("an address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Starts a program that logs to its standard error, and waits for the line that says it is ready.
pub(crate) fn spawn(command: &mut Command, is_ready: impl Fn(&str) -> bool) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut log = BufReader::new(process.stderr.take().expect("a pipe")).lines();
    let mut said = String::new();
    loop {
        match log.next() {
            Some(Ok(line)) if is_ready(&line) => break,
            Some(Ok(line)) => said = said + &line + "\n",
            _ => panic!("{command:?} did not start:\n{said}"),
        }
    }
    // So that it never blocks because nobody reads its output.
    thread::spawn(move || log.for_each(drop));
    process
}

/// Whether one of these programs isn't installed, so that the test is skipped. That is a failure with `CI=true`.
pub(crate) fn missing(programs: &[&str]) -> bool {
    let missing: Vec<&str> =
        programs.iter().copied().filter(|name| program(name).is_none()).collect();
    if missing.is_empty() {
        return false;
    }
    eprintln!("skipped: not installed: {} (run tests/setup test)", missing.join(", "));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped");
    true
}

/// A library for `LD_PRELOAD` with which a program's clock is ahead by this many seconds.
pub(crate) fn moved_clock(directory: &Scratch, seconds: i32) -> PathBuf {
    let library = directory.join("moved_clock.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/moved_clock.c");
    let options = ["-Wall", "-Wextra", "-Werror", "-O1", "-fPIC", "-shared"];
    let mut command = Command::new(compiler);
    command.args(options).arg(format!("-DSECONDS={seconds}")).arg("-o").args([&library, &source]);
    run(&mut command);
    library
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {text}");
}

/// The key file for nsupdate(1).
#[must_use]
pub fn key_file(name: &str, secret: &str) -> String {
    format!("key \"{name}.\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{secret}\";\n}};\n")
}

impl NameServer {
    /// Whether everything that the servers and their clients need is installed. If not, the test is skipped, which is a
    /// failure with `CI=true`.
    ///
    /// # Panics
    /// It isn't installed, and `CI` is `true`.
    #[must_use]
    pub fn are_installed() -> bool {
        !missing(&[
            "named",
            "knotd",
            "pdns_server",
            "pdnsutil",
            "nsd",
            "nsupdate",
            "dig",
            "python3",
        ])
    }

    /// Starts a server with zones that are empty except for what every zone needs. The key `publish` may update and
    /// transfer them, the key `weak` may not.
    ///
    /// # Panics
    /// It doesn't start.
    #[must_use]
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, None)
    }

    /// Starts BIND with the same zones and keys, which a principal of the realm may update, too.
    ///
    /// # Panics
    /// It doesn't start.
    #[must_use]
    pub fn start_in(realm: &Realm, principal: &str) -> Self {
        let (config, keytab) = (realm.config(), realm.name_server_keytab());
        let principal = format!("{principal}@{REALM}");
        Self::start_with(Kind::Bind, Some(Kerberos { config, keytab, principal }))
    }

    fn start_with(kind: Kind, kerberos: Option<Kerberos>) -> Self {
        let (port, directory) = (free_port(), Scratch::new());
        let mut server = Self { kind, port, directory, process: None, preload: None, kerberos };
        server.configure(SECRET);
        server.make_zones();
        server.resume();
        server
    }

    /// The major and minor version of Knot.
    ///
    /// # Panics
    /// It can't be run, or prints no version.
    #[must_use]
    pub fn knot_version() -> (u32, u32) {
        let output = command("knotd").arg("--version").output().expect("knotd runs");
        let text = String::from_utf8_lossy(&output.stdout);
        // "knotd (Knot DNS), version 3.2.6"
        let version = text.trim().rsplit(' ').next().unwrap_or_default();
        let mut numbers = version.split('.').map(|number| number.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(major), Some(minor)) => (major, minor),
            _ => panic!("{text}"),
        }
    }

    /// The server's port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its files. Tests may put files there too.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Sets the secret of the key `publish`, effective from the next start.
    ///
    /// # Panics
    /// The files can't be written.
    pub fn configure(&self, secret: &str) {
        let (directory, port) = (self.directory.path().display(), self.port);
        match self.kind {
            Kind::Bind => {
                let keys = key_file("publish", secret) + &key_file("weak", secret);
                let (kerberos, grant) = match &self.kerberos {
                    Some(Kerberos { keytab, principal, .. }) => (
                        format!("tkey-gssapi-keytab \"{}\"; ", keytab.display()),
                        format!("grant \"{principal}\" zonesub A AAAA PTR TXT; "),
                    ),
                    None => (String::new(), String::new()),
                };
                let zone = |name: &str| {
                    format!(
                        "zone \"{name}\" {{ type primary; file \"{name}.zone\"; update-policy {{ grant publish. zonesub A AAAA \
                         PTR TXT; {grant}}}; }};\n"
                    )
                };
                let text = format!(
                    "{keys}options {{ directory \"{directory}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
                     recursion no; pid-file none; session-keyfile none; managed-keys-directory \"{directory}\"; \
                     dnssec-validation no; allow-transfer {{ key publish.; }}; notify no; {kerberos}}};\ncontrols {{ }};\n{}{}",
                    zone(ZONE),
                    zone(REVERSE_ZONE)
                );
                self.directory.write("named.conf", text);
            }
            Kind::Knot => {
                let key = |name| {
                    format!("  - id: {name}.\n    algorithm: hmac-sha256\n    secret: {secret}\n")
                };
                let zone =
                    |name| format!("  - domain: {name}\n    file: {name}.zone\n    acl: publish\n");
                let text = format!(
                    "server:\n  rundir: {directory}\n  listen: 127.0.0.1@{port}\ndatabase:\n  storage: {directory}\n\
                     log:\n  - target: stderr\n    any: info\nkey:\n{}{}acl:\n  - id: publish\n    key: publish.\n    \
                     action: [update, transfer]\n    update-type: [A, AAAA, PTR, TXT]\ntemplate:\n  - id: default\n    \
                     storage: {directory}\nzone:\n{}{}",
                    key("publish"),
                    key("weak"),
                    zone(ZONE),
                    zone(REVERSE_ZONE)
                );
                self.directory.write("knot.conf", text);
            }
            Kind::PowerDns => {
                let modules = libraries().map(|path| path.join("pdns").display().to_string());
                let modules =
                    modules.map(|path| format!("module-dir={path}\n")).unwrap_or_default();
                let text = format!(
                    "{modules}launch=gsqlite3\ngsqlite3-database={directory}/pdns.sqlite\nlocal-address=127.0.0.1\n\
                     local-port={port}\ndnsupdate=yes\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nsocket-dir={directory}\n\
                     guardian=no\ndaemon=no\nconsistent-backends=yes\nloglevel=4\n"
                );
                self.directory.write("pdns.conf", text);
                if self.directory.join("pdns.sqlite").exists() {
                    self.import_keys(secret);
                }
            }
            Kind::Nsd => {
                let text = format!(
                    "server:\n  ip-address: 127.0.0.1\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{directory}\"\n  \
                     pidfile: \"\"\n  database: \"\"\n  xfrdir: \"{directory}\"\n  xfrdfile: \"{directory}/xfrd.state\"\n  \
                     zonelistfile: \"{directory}/zone.list\"\nremote-control:\n  control-enable: no\nzone:\n  name: {ZONE}\n  \
                     zonefile: {ZONE}.zone\n"
                );
                self.directory.write("nsd.conf", text);
            }
        }
    }

    fn pdnsutil(&self, arguments: &[&str]) {
        let config = format!("--config-dir={}", self.directory.path().display());
        run(command("pdnsutil").arg(config).args(arguments));
    }

    fn import_keys(&self, secret: &str) {
        for key in ["publish", "weak"] {
            self.pdnsutil(&["import-tsig-key", key, "hmac-sha256", secret]);
        }
    }

    /// Runs statements in PowerDNS's database.
    fn sql(&self, statements: &str) {
        let program =
            "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
        let database = self.directory.join("pdns.sqlite");
        run(Command::new("python3").args(["-c", program]).arg(database).arg(statements));
    }

    fn make_zones(&self) {
        if self.kind == Kind::PowerDns {
            let schema = "usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
            let paths = [packages().join(schema), Path::new("/").join(schema)];
            let schema = paths.iter().find_map(|path| fs::read_to_string(path).ok());
            self.sql(&schema.expect("PowerDNS's schema"));
            self.import_keys(SECRET);
        }
        for zone in [ZONE, REVERSE_ZONE] {
            let ns = format!("ns.{ZONE}");
            if self.kind == Kind::PowerDns {
                self.pdnsutil(&["create-zone", zone, &ns]);
                for right in ["TSIG-ALLOW-DNSUPDATE", "TSIG-ALLOW-AXFR"] {
                    self.pdnsutil(&["set-meta", zone, right, "publish"]);
                }
                continue;
            }
            let address = if zone == ZONE { "ns A 127.0.0.1\n" } else { "" };
            let text =
                format!("$TTL 60\n@ SOA {ns}. root.{ZONE}. 1 60 60 60 60\n@ NS {ns}.\n{address}");
            self.directory.write(format!("{zone}.zone"), text);
        }
    }

    /// From the next start on, the server fails to load [`ZONE`]. PowerDNS, which loads nothing, fails to add records.
    ///
    /// # Panics
    /// The zone's file can't be replaced.
    pub fn break_zone(&self) {
        if self.kind == Kind::PowerDns {
            self.sql("CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'broken'); END");
            return;
        }
        let file = self.directory.join(format!("{ZONE}.zone"));
        fs::rename(&file, file.with_extension("aside")).expect("the zone's file");
        fs::write(file, "not a record\n").expect("another in its place");
    }

    /// Undoes [`break_zone`](Self::break_zone), from the next start on.
    ///
    /// # Panics
    /// The zone's file can't be replaced.
    pub fn mend_zone(&self) {
        if self.kind == Kind::PowerDns {
            self.sql("DROP TRIGGER broken");
            return;
        }
        let file = self.directory.join(format!("{ZONE}.zone"));
        fs::rename(file.with_extension("aside"), file).expect("the zone's file");
    }

    /// Sets the server's clock an hour ahead, from the next start on.
    ///
    /// # Panics
    /// The library that does this can't be compiled.
    pub fn set_clock_ahead(&mut self) {
        self.preload = Some(moved_clock(&self.directory, 3600));
    }

    /// Restarts it with the contents of its zones.
    ///
    /// # Panics
    /// It doesn't start.
    pub fn resume(&mut self) {
        let directory = self.directory.path();
        let mut command = command(self.kind.program());
        let ready = match self.kind {
            Kind::Bind => {
                command.args(["-f", "-g", "-c"]).arg(directory.join("named.conf"));
                " running"
            }
            Kind::Knot => {
                command.arg("-c").arg(directory.join("knot.conf"));
                "server started"
            }
            Kind::PowerDns => {
                command.arg(format!("--config-dir={}", directory.display()));
                "ready to distribute questions"
            }
            Kind::Nsd => {
                command.args(["-d", "-c"]).arg(directory.join("nsd.conf"));
                "nsd started"
            }
        };
        if let Some(library) = &self.preload {
            command.env("LD_PRELOAD", library);
        }
        if let Some(kerberos) = &self.kerberos {
            command.env("KRB5_CONFIG", &kerberos.config).env("KRB5RCACHEDIR", directory);
        }
        // BIND also says what it is "running on" and "running as".
        let is_last_word = self.kind == Kind::Bind;
        self.process = Some(spawn(&mut command, |line| {
            if is_last_word { line.ends_with(ready) } else { line.contains(ready) }
        }));
    }

    /// Kills it.
    ///
    /// # Panics
    /// It can't be killed.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
        }
    }

    /// The process id, for signals.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// What dig(1) prints with `+short` for these arguments, sorted, on one line.
    ///
    /// # Panics
    /// dig can't be run.
    #[must_use]
    pub fn dig(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("dig");
        // By TCP, as tests beside this one send datagrams from ports that may have been this server's or dig's.
        command.args(["-r", "+tcp", "@127.0.0.1", "-p", &self.port.to_string()]);
        command.args(["+short", "+norecurse"]);
        let output = command.args(arguments).output().expect("dig runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        lines.join(" ")
    }

    /// The serial number of a zone.
    ///
    /// # Panics
    /// The zone can't be asked for it.
    #[must_use]
    pub fn serial(&self, zone: &str) -> u32 {
        let soa = self.dig(&[zone, "SOA"]);
        let serial = soa.split(' ').nth(2).and_then(|serial| serial.parse().ok());
        serial.unwrap_or_else(|| panic!("{zone}: {soa}"))
    }

    /// Sends commands of nsupdate(1) for a zone, signed with the key.
    ///
    /// # Panics
    /// The server rejects them.
    pub fn edit(&self, zone: &str, lines: &str) {
        self.directory.write("edit.key", key_file("publish", SECRET));
        let script = format!("server 127.0.0.1 {}\nzone {zone}\n{lines}\nsend\n", self.port);
        self.directory.write("edit", script);
        let [key, script] = ["edit.key", "edit"].map(|name| self.directory.join(name));
        run(Command::new("nsupdate").arg("-k").arg(key).arg(script));
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.kill();
    }
}

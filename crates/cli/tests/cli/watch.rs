//! `libvirt-nss watch`, in a pipe and on a real terminal.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use crate::support::{NOW, Sandbox, skipped};

/// As libvirt does it: a new file, and a rename.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn lease(last: u8, name: &str, expiry: i64) -> String {
    format!(
        r#"{{"ip-address": "10.0.0.{last}", "mac-address": "52:54:00:00:00:{last:02x}",
            "hostname": "{name}", "expiry-time": {expiry}}}"#
    )
}

fn guest(last: u8, domain: &str) -> String {
    format!(r#"{{"domain": "{domain}", "macs": ["52:54:00:00:00:{last:02x}"]}}"#)
}

pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_line_for_each_change() {
    let sandbox = Sandbox::new("watch");
    let state = sandbox.work().join("state");
    fs::create_dir(&state).unwrap();
    let status = state.join("virbr0.status");
    replace(&status, &format!("[{}]", lease(1, "web", NOW + 50)));
    let child = sandbox
        .command("sh")
        .args(["-c", "exec libvirt-nss --state-dir $WORK/state watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    let mut out = BufReader::new(child.0.stdout.take().unwrap());
    let mut says = || {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line.trim_end().replace('\t', " ")
    };
    let time = "2023-11-14T22:13:20Z";
    let first = "- web virbr0 - 10.0.0.1 52:54:00:00:00:01";
    assert_eq!(says(), format!("{time} is {first} {} unclear - - file - host -", NOW + 50));
    replace(&state.join("virbr0.macs"), &format!("[{}]", guest(1, "web-vm")));
    let guests = "web-vm web virbr0 - 10.0.0.1 52:54:00:00:00:01";
    assert_eq!(says(), format!("{time} attached {guests} {} attached - - file - both -", NOW + 50));
    replace(&status, &format!("[{}]", lease(1, "web", NOW + 90)));
    assert_eq!(says(), format!("{time} renewed {guests} {} attached - - file - both -", NOW + 90));
    replace(&status, &format!("[{}]", lease(1, "www", NOW + 90)));
    let guests = guests.replace(" web ", " www ");
    assert_eq!(says(), format!("{time} renamed {guests} {} attached - - file - both -", NOW + 90));
    let both = format!("[{}, {}]", lease(1, "www", NOW + 90), lease(2, "db", 0));
    replace(&status, &both);
    let second = "- db virbr0 - 10.0.0.2 52:54:00:00:00:02 0 no-guest - - file - host -";
    assert_eq!(says(), format!("{time} new {second}"));
    replace(&status, &format!("[{}]", lease(1, "www", NOW + 90)));
    assert_eq!(says(), format!("{time} gone {second}"));
    // It is all that there is to say of a running guest.
    replace(&status, &format!("[{}]", lease(1, "www", NOW - 1)));
    assert_eq!(says(), format!("{time} expired {guests} {} expired - - file - no -", NOW - 1));
    replace(&status, "[]");
    let nic = "web-vm - virbr0 - - 52:54:00:00:00:01";
    assert_eq!(says(), format!("{time} new {nic} - no-lease - - file - no -"));
    assert_eq!(says(), format!("{time} gone {guests} {} expired - - file - no -", NOW - 1));
}

/// A lease ends while nothing is written: the clock shows it.
#[test]
fn a_lease_ends() {
    // On a busy machine, the first one may have ended before it is read.
    assert!([1, 4, 16].into_iter().any(ends_while_watched));
}

/// Watches a lease that ends in `seconds`. Returns false if it has ended before it is read.
fn ends_while_watched(seconds: i64) -> bool {
    let sandbox = Sandbox::new("watch");
    let state = sandbox.work().join("state");
    fs::create_dir(&state).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let end = now.as_secs() as i64 + seconds;
    replace(&state.join("virbr0.status"), &format!("[{}]", lease(1, "web", end)));
    let child = sandbox
        .command(Sandbox::binary())
        .args(["--state-dir", "../work/state", "watch", "--all", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Ended(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains(r#""change":"is""#), "{first}");
    if first.contains(r#""state":"expired""#) {
        return false;
    }
    assert!(first.contains(r#""state":"unclear""#), "{first}");
    let then = lines.next().unwrap().unwrap();
    assert!(
        then.contains(r#""change":"expired""#) && then.contains(r#""host_name":"web""#),
        "{then}"
    );
    true
}

/// A tmux server of its own, with one terminal.
struct Terminal<'s> {
    sandbox: &'s Sandbox,
    /// Something was sent to the terminal.
    sent: Receiver<()>,
}

impl<'s> Terminal<'s> {
    /// `None` without tmux.
    fn start(sandbox: &'s Sandbox, line: &str) -> Option<Self> {
        if sandbox.command("tmux").arg("-V").output().is_err() {
            skipped("watch on a real terminal: needs tmux");
            return None;
        }
        let fifo = sandbox.work().join("sent");
        assert!(sandbox.command("mkfifo").arg(&fifo).status().unwrap().success());
        // The shell waits until what it prints is being read. The server ends with the test, also
        // where that is killed.
        let own = std::process::id();
        let end = format!("tail --pid={own} -f /dev/null; tmux -S $WORK/tmux kill-server");
        let first = format!("({end}) & read go; clear; {line}; echo status $?; exec cat");
        tmux(sandbox, &["-f/dev/null", "new-session", "-d", "-x80", "-y14", "sh", "-c", &first]);
        tmux(sandbox, &["pipe-pane", &format!("cat >{}", fifo.display())]);
        let (sender, sent) = channel();
        thread::spawn(move || {
            let mut fifo = File::open(fifo).unwrap();
            let mut bytes = [0; 4096];
            while fifo.read(&mut bytes).is_ok_and(|count| count > 0) && sender.send(()).is_ok() {}
        });
        let terminal = Self { sandbox, sent };
        terminal.keys(&["Enter"]);
        Some(terminal)
    }

    fn keys(&self, keys: &[&str]) {
        tmux(self.sandbox, &[&["send-keys"], keys].concat());
    }

    /// The screen, as soon as it has this. Each time that something is sent to it, it is looked at.
    fn shows(&self, what: &[&str]) -> String {
        loop {
            let screen = tmux(self.sandbox, &["capture-pane", "-p"]);
            if what.iter().all(|text| screen.contains(text)) {
                return screen;
            }
            let sent = self.sent.recv_timeout(Duration::from_secs(30));
            assert!(sent.is_ok(), "{what:?} doesn't come; the screen is:\n{screen}");
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        let mut command = self.sandbox.command("tmux");
        let _ = command.arg("-S").arg(self.sandbox.work().join("tmux")).arg("kill-server").output();
    }
}

fn tmux(sandbox: &Sandbox, arguments: &[&str]) -> String {
    let socket = sandbox.work().join("tmux");
    let output = sandbox.command("tmux").arg("-S").arg(socket).args(arguments).output().unwrap();
    assert!(output.status.success(), "tmux {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn on_a_real_terminal() {
    let sandbox = Sandbox::new("watch");
    assert!(sandbox.run("./make-system w").status.success());
    let state = sandbox.here().join("w/var/lib/libvirt/dnsmasq");
    let leases = |count: u8| {
        let leases = (1..=count).map(|last| lease(last, &format!("h{last}"), NOW + 60 * 60));
        format!("[{}]", leases.collect::<Vec<_>>().join(","))
    };
    replace(&state.join("virbr0.status"), &leases(3));
    replace(&state.join("virbr0.macs"), &format!("[{}]", guest(2, "web-vm")));
    let line = "libvirt-nss --root w watch";
    let Some(terminal) = Terminal::start(&sandbox, line) else { return };

    let screen = terminal.shows(&["guests: 1  leases: 3", "q quit"]);
    let expected = "\
libvirt-nss watch  guests: 1  leases: 3  by domain, ascending
DOMAIN▲  HOST  BRIDGE  ADDRESS   MAC                LEFT  STATE     RESOLVES
web-vm   h2    virbr0  10.0.0.2  52:54:00:00:00:02  1h    attached  both
-        h1    virbr0  10.0.0.1  52:54:00:00:00:01  1h    no guest  host
-        h3    virbr0  10.0.0.3  52:54:00:00:00:03  1h    no guest  host








q quit  Enter explain  / filter  s sort  r reverse  a all  ? help
";
    assert_eq!(screen, expected);

    // The cursor is reversed, and on the first row.
    let painted = tmux(&sandbox, &["capture-pane", "-ep"]);
    let reversed = |line: &&str| line.contains("[7m") || line.contains(";7m");
    let under_cursor: Vec<&str> = painted.lines().filter(reversed).collect();
    assert!(matches!(under_cursor.as_slice(), [row] if row.contains("web-vm")), "{painted:?}");
    // Enter explains the row it is on, also while what is explained changes.
    terminal.keys(&["j", "Enter"]);
    let screen = terminal.shows(&["h1 resolves to 10.0.0.1", "q back"]);
    assert_eq!(screen.lines().next(), Some("h1"));
    terminal.keys(&["q"]);
    terminal.shows(&["leases: 3", "q quit"]);
    terminal.keys(&["k", "Enter"]);
    let screen = terminal.shows(&["h2 and web-vm", "10.0.0.2", "q back"]);
    assert!(!screen.contains("10.0.0.3"), "{screen}");
    replace(&state.join("virbr0.status"), "[]");
    terminal.shows(&["h2 and web-vm", "no guest has this name"]);
    replace(&state.join("virbr0.status"), &leases(3));
    terminal.shows(&["h2 resolves to 10.0.0.2"]);
    terminal.keys(&["Escape"]);
    terminal.shows(&["leases: 3", "q quit"]);

    // A change comes by itself.
    replace(&state.join("virbr0.status"), &leases(40));
    terminal.shows(&["leases: 40", "h17"]);
    // Keys.
    terminal.keys(&["s", "r"]);
    let screen = terminal.shows(&["by host, descending"]);
    assert_eq!(screen.lines().nth(2).unwrap().split_whitespace().nth(1), Some("h9"));
    terminal.keys(&["/", "h3", "Enter"]);
    let screen = terminal.shows(&["/h3  q quit", "h30", "11 of 40"]);
    assert!(!screen.contains("h9 "), "{screen}");
    terminal.keys(&["/", "x", "x", "Enter"]);
    terminal.shows(&["no match", "0 of 40"]);
    terminal.keys(&["?"]);
    terminal.shows(&["Press any key to go back"]);
    terminal.keys(&["x", "Escape"]);
    terminal.shows(&["h9 ", "h38"]);
    terminal.keys(&["G"]);
    terminal.shows(&["h10 ", "h1 "]);
    terminal.keys(&["r", "g"]);
    terminal.shows(&["by host, ascending", "h14"]);
    // Another size.
    tmux(&sandbox, &["resize-window", "-x50", "-y6"]);
    let screen = terminal.shows(&["h11", "q quit"]);
    assert_eq!(screen.lines().count(), 6, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 50), "{screen}");
    // The directory goes, and comes again.
    fs::rename(&state, sandbox.work().join("away")).unwrap();
    terminal.shows(&["leases: 0"]);
    fs::rename(sandbox.work().join("away"), &state).unwrap();
    terminal.shows(&["leases: 40"]);
    // The terminal is given back.
    terminal.keys(&["q"]);
    let screen = terminal.shows(&["status 0"]);
    assert!(!screen.contains("leases"), "{screen}");
}

#[test]
fn interrupted_on_a_real_terminal() {
    let sandbox = Sandbox::new("watch");
    let line = "libvirt-nss --state-dir $WORK/state watch";
    let Some(terminal) = Terminal::start(&sandbox, line) else { return };
    terminal.shows(&["guests: 0", "no guest and no lease", "no network has been started yet"]);
    terminal.keys(&["C-c"]);
    let screen = terminal.shows(&["status 0"]);
    assert_eq!(screen.trim(), "status 0");
}

//! `libvirt-nss wait`, woken by what happens around it.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};

use crate::support::{NOW, Sandbox};

/// A command that waits, and its standard error.
pub(crate) struct Waiting {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Waiting {
    pub(crate) fn start(sandbox: &Sandbox, line: &str) -> Self {
        let mut child = sandbox
            .command("sh")
            .args(["-c", &format!("exec libvirt-nss {line}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Its next message: it has then done all that it can without a change.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Reads its messages up to this one. It may have seen only a part of a change before.
    pub(crate) fn says_at_last(&mut self, expected: &str) {
        loop {
            let line = self.says();
            if line == expected {
                return;
            }
            assert!(!line.is_empty(), "it has ended without: {expected}");
        }
    }

    /// Its standard output, and how it ended.
    pub(crate) fn ends(mut self) -> (String, Option<i32>) {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().code())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lease(address: &str, mac: &str, name: &str) -> String {
    format!(
        r#"{{"ip-address": "{address}", "mac-address": "{mac}", "hostname": "{name}", "expiry-time": {}}}"#,
        NOW + 1000
    )
}

/// As libvirt does it: a new file, and a rename.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn state(sandbox: &Sandbox) -> PathBuf {
    let state = sandbox.work().join("state");
    fs::create_dir_all(&state).unwrap();
    state
}

#[test]
fn a_guest_boots() {
    let sandbox = Sandbox::new("wait");
    let state = state(&sandbox);
    let mut waiting = Waiting::start(&sandbox, "--state-dir $WORK/state wait -v web-vm");
    assert_eq!(waiting.says(), "libvirt-nss: web-vm has no address yet: no guest has this name");
    let map = r#"[{"domain": "web-vm", "macs": ["52:54:00:00:00:01"]}]"#;
    replace(&state.join("virbr0.macs"), map);
    replace(
        &state.join("virbr0.status"),
        &format!("[{}]", lease("10.0.0.7", "52:54:00:00:00:01", "web")),
    );
    assert_eq!(waiting.ends(), ("10.0.0.7\n".into(), Some(0)));
}

#[test]
fn the_state_directory_comes_with_the_first_network() {
    let sandbox = Sandbox::new("wait");
    let mut waiting = Waiting::start(&sandbox, "--state-dir $WORK/state wait -v web");
    let no_directory = "libvirt-nss: web has no address yet: no guest has this name in the files that \
                        could be read; ";
    assert!(waiting.says().starts_with(no_directory));
    let state = state(&sandbox);
    replace(
        &state.join("virbr0.status"),
        &format!("[{}]", lease("10.0.0.7", "52:54:00:00:00:01", "web")),
    );
    assert_eq!(waiting.ends(), ("10.0.0.7\n".into(), Some(0)));
}

/// It ends when the modules answer: also for a lease whose NIC libvirt doesn't list, and not before for one
/// that has ended, or of another family.
#[test]
fn what_the_modules_answer() {
    let sandbox = Sandbox::new("wait");
    let state = state(&sandbox);
    let old = lease("10.0.0.6", "52:54:00:00:00:06", "web").replace(&(NOW + 1000).to_string(), "5");
    replace(&state.join("virbr0.status"), &format!("[{old}]"));
    replace(&state.join("virbr0.macs"), "[\n\n]\n");
    let mut waiting = Waiting::start(&sandbox, "--state-dir $WORK/state wait -v -4 web");
    let said = waiting.says();
    let expired = "libvirt-nss: web has no address yet: the lease of 10.0.0.6 expired ";
    assert!(said.starts_with(expired) && said.ends_with(" ago"), "{said}");
    let six = lease("fd00::6", "52:54:00:00:00:06", "web");
    replace(&state.join("virbr0.status"), &format!("[{old}, {six}]"));
    let six = "libvirt-nss: web has no address yet: no IPv4 address; it has fd00::6";
    assert_eq!(waiting.says(), six);
    // A NIC on the bridge that isn't in libvirt's map.
    let new = lease("10.0.0.7", "52:54:00:00:00:07", "web");
    replace(&state.join("virbr0.status"), &format!("[{new}]"));
    assert_eq!(waiting.ends(), ("10.0.0.7\n".into(), Some(0)));
}

#[test]
fn several_guests_in_the_order_of_their_names() {
    let sandbox = Sandbox::new("wait");
    let state = state(&sandbox);
    let mut waiting = Waiting::start(&sandbox, "--state-dir $WORK/state wait -v --json a b");
    assert_eq!(
        waiting.says(),
        "libvirt-nss: a has no address yet: no guest has this name; b has no address yet: no guest \
         has this name"
    );
    let b = lease("10.0.0.2", "52:54:00:00:00:02", "b");
    replace(&state.join("virbr0.status"), &format!("[{b}]"));
    assert_eq!(waiting.says(), "libvirt-nss: a has no address yet: no guest has this name");
    let a = lease("10.0.0.1", "52:54:00:00:00:01", "a");
    replace(&state.join("virbr0.status"), &format!("[{b}, {a}]"));
    let (text, status) = waiting.ends();
    assert_eq!(status, Some(0));
    let compact: String = text.split_whitespace().collect();
    assert_eq!(compact, r#"[{"name":"a","address":"10.0.0.1"},{"name":"b","address":"10.0.0.2"}]"#);
}

/// A port that answers later, on an address of this machine where nothing else listens.
#[test]
fn a_port() {
    let sandbox = Sandbox::new("wait");
    let state = state(&sandbox);
    let listener = TcpListener::bind("127.92.1.7:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let lease = lease("127.92.1.7", "52:54:00:00:00:01", "web");
    replace(&state.join("virbr0.status"), &format!("[{lease}]"));
    let line = format!("--state-dir $WORK/state wait -v --port {port} web");
    let mut waiting = Waiting::start(&sandbox, &line);
    assert_eq!(waiting.says(), format!("libvirt-nss: web is 127.92.1.7, trying port {port}"));
    let refused = format!("libvirt-nss: web is 127.92.1.7, port {port}: connection refused");
    assert_eq!(waiting.says(), refused);
    let _listener = TcpListener::bind(("127.92.1.7", port)).unwrap();
    assert_eq!(waiting.ends(), ("127.92.1.7\n".into(), Some(0)));
}

#[test]
fn the_time_is_up() {
    let sandbox = Sandbox::new("wait");
    let state = state(&sandbox);
    let listener = TcpListener::bind("127.92.1.8:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    replace(
        &state.join("virbr0.status"),
        &format!("[{}]", lease("127.92.1.8", "52:54:00:00:00:01", "web")),
    );
    let line = format!("--state-dir $WORK/state wait --timeout 2 --port {port} web");
    let mut waiting = Waiting::start(&sandbox, &line);
    assert_eq!(
        waiting.says(),
        format!(
            "libvirt-nss: timed out waiting for port {port} of web (127.92.1.8): connection refused"
        )
    );
    assert_eq!(waiting.ends(), (String::new(), Some(6)));
    let line = format!("--state-dir $WORK/state wait --timeout 0.1 --port {port} web db");
    assert_eq!(Waiting::start(&sandbox, &line).ends(), (String::new(), Some(5)));
}

#[test]
fn a_signal_ends_it_as_it_ends_any_program() {
    let sandbox = Sandbox::new("wait");
    state(&sandbox);
    let mut waiting = Waiting::start(&sandbox, "--state-dir $WORK/state wait -v web");
    assert_eq!(waiting.says(), "libvirt-nss: web has no address yet: no guest has this name");
    let id = waiting.child.id().to_string();
    assert!(sandbox.command("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(waiting.child.wait().unwrap().signal(), Some(2));
    assert_eq!(waiting.says(), "");
}

/// What is on a terminal while it waits, and that nothing stays there.
#[test]
fn a_spinner_on_a_terminal() {
    let sandbox = Sandbox::new("wait");
    state(&sandbox);
    let line = "libvirt-nss --state-dir $WORK/state wait --timeout 0.5 web";
    let output = sandbox.command("script").args(["-qec", line, "/dev/null"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("⠋ 0s  web has no address yet: no guest"), "{text:?}");
    assert!(text.contains("⠙ 0s  web has no address yet"), "{text:?}");
    let (_, after) = text.rsplit_once("\r\x1b[K").unwrap();
    let last = "libvirt-nss: timed out waiting for web to get an address: no guest has this\r\n\
                name; see 'libvirt-nss explain web --state-dir\r\n";
    assert!(after.starts_with(last), "{after:?}");
    // Said at once, as it may be misspelt.
    assert!(
        text.starts_with("libvirt-nss: no guest is called 'web'; waiting for it\r\n"),
        "{text:?}"
    );
    assert_eq!(output.status.code(), Some(5));
}

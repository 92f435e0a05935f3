//! `/var/lib` and `/run` of a test's own, and the programs that run in them.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::marker::PhantomData;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::ptr;

pub(crate) const STATE: &str = "/var/lib/libvirt/dnsmasq";
pub(crate) const LOCK: &str = "/run/leaseshelper.pid";
pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_libvirt_leaseshelper");

/// Marks a thread that sees only an empty state directory at `/var/lib` and `/run`. That disappears with the thread and
/// the processes that it started.
pub(crate) struct World {
    // Another thread is in another namespace.
    not_send: PhantomData<*const ()>,
}

/// One call of the helper.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) arguments: Vec<Vec<u8>>,
    pub(crate) variables: Vec<(&'static str, Vec<u8>)>,
}

/// The call as a shell command line, except for the escapes.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (name, value) in &self.variables {
            write!(f, "{name}='{}' ", value.escape_ascii())?;
        }
        f.write_str("libvirt_leaseshelper")?;
        for argument in &self.arguments {
            write!(f, " '{}'", argument.escape_ascii())?;
        }
        Ok(())
    }
}

impl Call {
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        Self { arguments, variables: Vec::new() }
    }

    pub(crate) fn with(mut self, variable: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.variables.retain(|(name, _)| *name != variable);
        self.variables.push((variable, value.as_ref().to_vec()));
        self
    }

    /// An IPv4 lease, number `i`, on a bridge.
    pub(crate) fn add(bridge: &str, i: usize) -> Self {
        let mac = format!("52:54:00:00:{:02x}:{:02x}", i >> 8, i & 255);
        Self::new(&["add", &mac, &address(i), &format!("guest{i}")])
            .with("DNSMASQ_INTERFACE", bridge)
            .with("DNSMASQ_LEASE_EXPIRES", "1900000000")
    }

    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().args(self.arguments.iter().map(|bytes| OsStr::from_bytes(bytes)));
        command.envs(self.variables.iter().map(|(name, value)| (name, OsStr::from_bytes(value))));
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, program: impl AsRef<OsStr>) -> Output {
        self.command(program).output().expect("the helper starts")
    }

    /// Runs our helper, which must succeed without output on stderr.
    pub(crate) fn done(&self) {
        let output = self.run(OURS);
        assert!(output.status.success() && output.stderr.is_empty(), "{self}: {output:?}");
    }

    /// Runs our helper, which must fail with status 1 and one line; returns that line.
    pub(crate) fn refused(&self) -> String {
        let output = self.run(OURS);
        assert_eq!(output.status.code(), Some(1), "{self}: {output:?}");
        line(&output)
    }
}

/// The IP address of lease number `i` of [`Call::add`].
pub(crate) fn address(i: usize) -> String {
    format!("192.168.{}.{}", i >> 8, i & 255)
}

/// A helper's stderr, which must be one line.
pub(crate) fn line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).expect("UTF-8 on stderr");
    let line = text.strip_suffix('\n').unwrap_or_else(|| panic!("not a line: {text:?}"));
    assert!(!line.is_empty() && !line.chars().any(char::is_control), "{text:?}");
    line.to_owned()
}

impl World {
    /// Moves the thread into a world of its own. `None` without root, which this needs.
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: geteuid takes nothing and can't fail.
        if unsafe { libc::geteuid() } != 0 {
            return skipped("mount namespaces need root");
        }
        // SAFETY: only this thread's view of the file systems changes.
        check(unsafe { libc::unshare(libc::CLONE_NEWNS) }, "unshare");
        mount(None, "/", libc::MS_REC | libc::MS_PRIVATE, None);
        mount(Some("tmpfs"), "/var/lib", 0, Some("mode=755"));
        mount(Some("tmpfs"), "/run", 0, Some("mode=755"));
        fs::create_dir_all(STATE).expect("the state directory");
        Some(Self { not_send: PhantomData })
    }

    /// Mounts a tmpfs of this many bytes on the state directory.
    pub(crate) fn small_disk(&self, size: usize) {
        mount(Some("tmpfs"), STATE, 0, Some(&format!("mode=755,size={size}")));
    }

    /// Makes the state directory's file system read-only. Needs [`World::small_disk`] before.
    pub(crate) fn read_only(&self) {
        mount(None, STATE, libc::MS_REMOUNT | libc::MS_RDONLY, None);
    }

    pub(crate) fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        Path::new(STATE).join(name.as_ref())
    }

    /// A bridge's list; `None` if it has no file.
    pub(crate) fn list(&self, bridge: &str) -> Option<Vec<u8>> {
        match fs::read(self.path(format!("{bridge}.status"))) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => panic!("{bridge}.status: {error}"),
        }
    }

    pub(crate) fn write_list(&self, bridge: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(format!("{bridge}.status")), bytes).expect("write a list");
    }

    /// The IP addresses in a bridge's list, which must be JSON.
    pub(crate) fn addresses(&self, bridge: &str) -> Vec<String> {
        let bytes = self.list(bridge).expect("a list");
        let leases: Vec<serde_json::Value> = serde_json::from_slice(&bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", bytes.escape_ascii()));
        let address = |lease: &serde_json::Value| lease["ip-address"].as_str().map(Into::into);
        leases.iter().map(|lease| address(lease).expect("an address")).collect()
    }

    /// Every path below `/var/lib` and `/run`, sorted, with the modes of files.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut todo = vec![PathBuf::from("/var/lib"), PathBuf::from("/run")];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let entry = entry.expect("an entry");
                let metadata = entry.path().symlink_metadata().expect("metadata");
                if metadata.is_dir() {
                    todo.push(entry.path());
                } else {
                    let mode = metadata.permissions().mode();
                    found.push(format!("{} {mode:o}", entry.path().display()));
                }
            }
        }
        found.sort();
        found
    }
}

/// libvirt's own helper.
pub(crate) struct Stock {
    pub(crate) program: PathBuf,
    /// Its major and minor version.
    pub(crate) version: (u32, u32),
}

impl Stock {
    /// Finds it. `None` if it isn't installed.
    ///
    /// The variable `STOCK_LEASESHELPER` names it; otherwise it is the one that tests/setup unpacked below
    /// `target/stock`, or that of the system, unless ours has replaced it.
    pub(crate) fn find() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let paths = [
            std::env::var_os("STOCK_LEASESHELPER").map(PathBuf::from),
            Some(root.join("target/stock/usr/lib/libvirt/libvirt_leaseshelper")),
            Some("/usr/lib/libvirt/libvirt_leaseshelper".into()),
            Some("/usr/lib/libvirt/libvirt_leaseshelper.distrib".into()),
        ];
        for program in paths.into_iter().flatten() {
            let Ok(output) = Command::new(&program).arg("--version").output() else { continue };
            let text = String::from_utf8_lossy(&output.stdout);
            if let Some((_, version)) = text.trim_end().split_once("(libvirt) ") {
                let mut numbers = version.split('.').map(str::parse);
                let mut next = || numbers.next()?.ok();
                let (Some(major), Some(minor)) = (next(), next()) else {
                    panic!("{}: an unknown version: {text}", program.display())
                };
                return Some(Self { program, version: (major, minor) });
            }
        }
        skipped("libvirt's own helper is missing; run tests/setup stock")
    }

    /// Whether it uses json-c; up to 10.7 it used yajl.
    pub(crate) fn has_json_c(&self) -> bool {
        self.version >= (10, 8)
    }

    /// Whether it rejects a list that has characters outside ASCII. 11.3 does; 9.0 and 12.8 don't.
    pub(crate) fn reads_only_ascii(&self) -> bool {
        self.has_json_c() && self.version < (12, 0)
    }
}

/// Whether a program can be started.
pub(crate) fn have(program: &str) -> Option<()> {
    match Command::new(program).arg("-V").output() {
        Ok(_) => Some(()),
        Err(_) => skipped(&format!("{program} is missing; install it")),
    }
}

fn skipped<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "must not be skipped: {why}");
    eprintln!("skipped: {why}");
    None
}

/// Mounts a file system, whose source has the same name as its type; or a directory with `MS_BIND`.
pub(crate) fn mount(
    source: Option<&str>,
    target: &str,
    flags: libc::c_ulong,
    options: Option<&str>,
) {
    let c = |text: &str| CString::new(text).expect("no NUL");
    let (source, target, options) = (source.map(c), c(target), options.map(c));
    let pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    let (from, data) = (pointer(&source), pointer(&options).cast());
    // SAFETY: every pointer is null or to a string that lives until the call returns.
    let result = unsafe { libc::mount(from, target.as_ptr(), from, flags, data) };
    check(result, "mount");
}

fn check(result: libc::c_int, what: &str) {
    assert_eq!(result, 0, "{what}: {}", io::Error::last_os_error());
}

/// Bytes as a part of a command line.
pub(crate) fn os(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

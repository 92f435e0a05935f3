//! What the tests of the command share.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The time in all tests, in seconds since the epoch.
pub(crate) const NOW: i64 = 1_700_000_000;

/// A directory of its own, in which `libvirt-nss` is the command under test at [`NOW`].
pub(crate) struct Sandbox {
    directory: PathBuf,
}

impl Sandbox {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{count}", std::process::id());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(directory.join("bin")).unwrap();
        fs::create_dir(directory.join("work")).unwrap();
        fs::create_dir(directory.join("here")).unwrap();
        for entry in fs::read_dir(fixtures()).unwrap() {
            let entry = entry.unwrap();
            let link = directory.join("here").join(entry.file_name());
            std::os::unix::fs::symlink(entry.path(), link).unwrap();
        }
        let sandbox = Self { directory };
        let wrapper = format!("#!/bin/sh\nexec {} --now {NOW} \"$@\"\n", Self::binary());
        sandbox.program("libvirt-nss", &wrapper);
        sandbox
    }

    /// The command under test.
    pub(crate) fn binary() -> &'static str {
        env!("CARGO_BIN_EXE_libvirt-nss")
    }

    /// Puts a program into its PATH, before the system's.
    pub(crate) fn program(&self, name: &str, text: &str) {
        // Not written by this process: a test beside could fork meanwhile, and what is open for writing can't be
        // executed (ETXTBSY).
        let path = self.directory.join("bin").join(name);
        let source = self.directory.join("program");
        fs::write(&source, text).unwrap();
        let status = Command::new("install").args(["-m", "0755"]).args([&source, &path]).status();
        assert!(status.unwrap().success(), "install {}", path.display());
    }

    /// Where commands run: it has links to all fixtures.
    pub(crate) fn here(&self) -> PathBuf {
        self.directory.join("here")
    }

    /// An empty directory for the test's own files; commands find its name in WORK.
    pub(crate) fn work(&self) -> PathBuf {
        self.directory.join("work")
    }

    /// A command in the surroundings of the tests: nothing of the caller's environment but PATH.
    pub(crate) fn command(&self, program: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.directory.join("bin");
        let mut command = Command::new(program);
        command
            .current_dir(self.here())
            .env_clear()
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("LANG", "C.UTF-8")
            .env("WORK", self.work())
            .stdin(Stdio::null());
        command
    }

    /// Runs a line of sh.
    pub(crate) fn run(&self, line: &str) -> Output {
        self.command("sh").args(["-c", &format!("umask 022\n{line}")]).output().unwrap()
    }

    /// See `tests/cli/golden.rs`.
    pub(crate) fn transcript(&self, line: &str) -> String {
        let output = self.run(line);
        let mut text = String::from_utf8(output.stdout).unwrap();
        if !text.is_empty() && !text.ends_with('\n') {
            text += "\\ no newline at the end\n";
        }
        for line in String::from_utf8(output.stderr).unwrap().lines() {
            text += &format!("! {line}\n");
        }
        match output.status.code() {
            Some(0) => {}
            Some(status) => text += &format!("? {status}\n"),
            None => text += &format!("? {}\n", output.status),
        }
        text
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where the files that the tests read are.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// The first line that differs, with the lines after it.
pub(crate) fn difference(expected: &str, real: &str) -> String {
    let (expected, real): (Vec<&str>, Vec<&str>) =
        (expected.split('\n').collect(), real.split('\n').collect());
    let same = expected.iter().zip(&real).take_while(|(a, b)| a == b).count();
    let show = |lines: &[&str], sign: &str| -> String {
        lines.iter().skip(same).take(12).map(|line| format!("{sign}{line}\n")).collect()
    };
    format!("from line {}:\n{}{}", same + 1, show(&expected, "-"), show(&real, "+"))
}

/// Whether the test runs as root. Where it doesn't, it says what is skipped; with CI=true in the
/// environment that is a failure.
pub(crate) fn is_root(what: &str) -> bool {
    rustix::process::geteuid().is_root() || skipped(&format!("{what}: needs root"))
}

/// Says what is skipped; always false.
pub(crate) fn skipped(what: &str) -> bool {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "skipped: {what}");
    eprintln!("skipped: {what}");
    false
}

//! `LIBVIRT_NSS_DEBUG`: the module writes to stderr what it reads, and why records are taken or skipped.

use std::ffi::CStr;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use abi::process::fork;
use abi::{Kind, Lease, MacMap, Module, Modules, Query, StateDir, sandbox, sandboxed};

use crate::support::*;

const WEB: &str = "52:54:00:00:00:01";
const OLD: &str = "52:54:00:00:00:02";
const VARIABLE: &CStr = c"LIBVIRT_NSS_DEBUG";

fn guests(state: &StateDir) {
    state.leases(
        "virbr0",
        &[
            Lease::v4("10.0.0.1", WEB, "web", later()),
            Lease::v4("10.0.0.66", OLD, "web", later()),
            Lease::v4("10.0.0.67", WEB, "web", now() - 100),
            Lease::v4("10.0.0.2", "52:54:00:00:00:03", "db", later()),
        ],
    );
    state
        .write("virbr1.status", "[{\"hostname\": \"web\", \"ip-address\": 7}]")
        .fifo("virbr2.status");
    state.macs("virbr0", &[MacMap::new("web-vm", &[WEB])]);
}

/// The output on stderr of a look-up in a child, with this value of the variable.
fn said(state: &StateDir, module: &Module, query: &Query, value: Option<&CStr>) -> String {
    let path = state.file("stderr");
    let stderr = fs::File::create(&path).expect("a file for stderr");
    fork(|| {
        match value {
            // SAFETY: the child has one thread.
            Some(value) => unsafe { libc::setenv(VARIABLE.as_ptr(), value.as_ptr(), 1) },
            // SAFETY: as above.
            None => unsafe { libc::unsetenv(VARIABLE.as_ptr()) },
        };
        // SAFETY: the child's stderr is its own.
        assert_eq!(unsafe { libc::dup2(stderr.as_raw_fd(), 2) }, 2);
        let _ = module.resolve(query);
    })
    .join();
    fs::read_to_string(&path).expect("text on stderr")
}

#[test]
fn messages_say_what_is_read_and_why_it_is_taken_or_skipped() {
    sandboxed(|state| {
        guests(state);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            let text = said(state, module, &Query::name4(name), Some(c"1"));
            println!("{text}");
            for word in [name, "virbr0.status", "virbr0.macs", "10.0.0.1", "10.0.0.67"] {
                assert!(text.contains(word), "{name}: {word} is missing in:\n{text}");
            }
        }
        let text = said(state, host(), &Query::name4("web"), Some(c"1"));
        for word in ["10.0.0.66", "virbr1.status", "virbr2.status", "expired"] {
            assert!(text.contains(word), "{word} is missing in:\n{text}");
        }
    });
}

#[test]
fn no_messages_without_the_variable() {
    sandboxed(|state| {
        guests(state);
        for (module, name) in [(host(), "web"), (guest(), "web-vm")] {
            for query in [Query::name4(name), Query::addr("10.0.0.1"), Query::Get] {
                assert_eq!(said(state, module, &query, None), "", "{query}");
            }
        }
    });
}

/// A guest's name must not be able to control the reader's terminal.
#[test]
fn control_characters_are_replaced() {
    sandboxed(|state| {
        state.leases(
            "virbr0",
            &[
                Lease::v4("10.0.0.1", WEB, "web", later()),
                Lease::v4("10.0.0.2", OLD, "web\u{1b}[2J\u{7}\r\u{9b}31m", later()),
                Lease::v4("10.0.0.3\u{1b}c", OLD, "web", later()),
            ],
        );
        state.macs("virbr0", &[MacMap::new("web\u{1b}]0;x\u{7}", &[WEB])]);
        state.write("\u{1b}[31m.status", "[]").write("\u{1b}[31m.macs", "[]");
        for (module, name) in [(host(), "web"), (guest(), "web"), (host(), "x\u{1b}[1m")] {
            for query in [Query::name4(name), Query::addr("10.0.0.1")] {
                let text = said(state, module, &query, Some(c"1"));
                let control = |c: &char| c.is_ascii_control() && *c != '\n';
                assert_eq!(text.chars().find(control), None, "{query}: {text:?}");
            }
        }
    });
}

/// The caller of a set-user-ID program must not be able to make it write messages.
#[test]
fn no_messages_in_set_user_id_programs() {
    sandboxed(|state| {
        guests(state);
        let (object, program) = (state.file("module"), state.file("program"));
        fs::copy(Modules::ours().path(Kind::Host), &object).expect("a copy of the module");
        fs::copy(env!("CARGO_BIN_EXE_abi-probe"), &program).expect("a copy of the probe");
        let run = || {
            let output = Command::new(&program)
                .arg(&object)
                .args([Kind::Host.service(), "web"])
                .env(VARIABLE.to_str().expect("ASCII"), "1")
                .output()
                .expect("the probe runs");
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stdout), "Success web 10.0.0.1\n");
            String::from_utf8_lossy(&output.stderr).into_owned()
        };
        assert!(run().contains("virbr0.status"), "the variable works in an ordinary program");

        if let Err(error) = chown(&program, Some(65534), None) {
            return sandbox::skip(&format!("no other user to run as: {error}"));
        }
        fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).expect("set-user-ID");
        let file = fs::metadata(&program).expect("it is there");
        assert_eq!((file.uid(), file.mode() & 0o7777), (65534, 0o4755));
        assert_eq!(run(), "");
    });
}

//! `libvirt-nss explain` compared with glibc: for every hosts line it must predict the result of getaddrinfo(3).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use abi::modules::target_directory;
use abi::{MacMap, Modules, StateDir};
use serde_json::Value;

use crate::glibc::{guests, resolve_program, with_hosts_line};

/// The action lists that a service on the line may have. SUCCESS=merge isn't among them: its effect on hosts differs
/// between versions of glibc, and `explain` says that it can't be predicted.
const LISTS: [&str; 6] = [
    "",
    " [NOTFOUND=return]",
    " [UNAVAIL=return]",
    " [!UNAVAIL=return]",
    " [SUCCESS=continue]",
    " [SUCCESS=continue NOTFOUND=return]",
];

/// A guest with both names and both families, a host name with only IPv4, a domain without an address, and a name that
/// doesn't exist.
const NAMES: [&str; 5] = ["web", "db", "db-vm", "idle-vm", "mail"];

const FAMILIES: [Option<&str>; 3] = [None, Some("-4"), Some("-6")];

/// The command, built from the present sources.
fn command() -> &'static Path {
    static COMMAND: OnceLock<PathBuf> = OnceLock::new();
    COMMAND.get_or_init(|| {
        let target = target_directory();
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
            .args(["build", "--quiet", "-p", "libvirt-nss", "--target-dir"])
            .arg(&target)
            .status()
            .expect("cargo");
        assert!(status.success(), "cargo build of the command failed");
        let triple = env::var_os("CARGO_BUILD_TARGET").unwrap_or_default();
        target.join(triple).join("debug/libvirt-nss")
    })
}

fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for first in LISTS {
        for second in LISTS {
            lines.push(format!("files libvirt{first} libvirt_guest{second}"));
            lines.push(format!("libvirt_guest{first} libvirt{second}"));
        }
        lines.push(format!("files{first} libvirt libvirt_guest"));
        lines.push(format!("libvirt{first}"));
        lines.push(format!("libvirt_guest{first} files"));
        lines.push(format!("libvirt{first} libvirt_guest files"));
    }
    lines
}

/// The result of getaddrinfo: addresses, sorted, or an error.
fn asked(name: &str, family: Option<&str>, modules: &Path) -> Vec<String> {
    let output = Command::new(resolve_program())
        .args(family)
        .arg(name)
        .env("LD_LIBRARY_PATH", modules)
        .output()
        .expect("the program");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// The same, as predicted by `explain`.
fn explained(name: &str, family: Option<&str>, modules: &Path) -> Vec<String> {
    let output = Command::new(command())
        .args(["explain", "--json", name])
        .args(family)
        .env("LD_LIBRARY_PATH", modules)
        .output()
        .expect("the command");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        json["open"],
        Value::Array(Vec::new()),
        "all services here can be predicted: {json}"
    );
    if let Some(error) = json["result_error"].as_str() {
        return vec![format!("error {error}")];
    }
    let addresses = json["addresses"].as_array().expect("addresses");
    let texts = addresses.iter().filter_map(|address| address["address"].as_str());
    let mut lines: Vec<String> = texts.map(str::to_owned).collect();
    lines.sort();
    lines
}

/// All differences, so that a pattern can be seen.
fn differences(lines: &[String], modules: &Path) -> Vec<String> {
    let mut differences = Vec::new();
    for line in lines {
        fs::write("/etc/nsswitch.conf", format!("hosts: {line}\n")).expect("the sandbox's own");
        for name in NAMES {
            for family in FAMILIES {
                let (real, predicted) =
                    (asked(name, family, modules), explained(name, family, modules));
                if real != predicted {
                    let family = family.unwrap_or_default();
                    differences
                        .push(format!("{line}: {name} {family}: {real:?}, not {predicted:?}"));
                }
            }
        }
    }
    differences
}

fn with_idle_guest(state: &StateDir) {
    guests(state);
    let idle = MacMap::new("idle-vm", &["52:54:00:00:00:09"]);
    let web = MacMap::new("web", &["52:54:00:00:00:01"]);
    let db = MacMap::new("db-vm", &["52:54:00:00:00:02"]);
    state.macs("virbr0", &[web, db, idle]);
}

#[test]
fn it_predicts_getaddrinfo() {
    with_hosts_line("files", |state| {
        with_idle_guest(state);
        let lines = lines();
        assert!(lines.len() > 90, "{}", lines.len());
        let differences = differences(&lines, Modules::ours().directory());
        let count = differences.len();
        assert!(differences.is_empty(), "{count} differences:\n{}", differences.join("\n"));
    });
}

/// If a module isn't installed, glibc has nothing to call.
#[test]
fn it_predicts_a_missing_module() {
    with_hosts_line("files", |state| {
        with_idle_guest(state);
        let only = state.file("modules");
        fs::create_dir(&only).expect("a directory");
        let ours = Modules::ours().path(abi::Kind::Host);
        fs::copy(ours, only.join(abi::Kind::Host.file())).expect("a copy");
        let lines = [
            "libvirt libvirt_guest",
            "libvirt_guest libvirt",
            "files libvirt libvirt_guest",
            "libvirt_guest [UNAVAIL=return] libvirt",
            "libvirt [NOTFOUND=return] libvirt_guest",
        ];
        let differences = differences(&lines.map(str::to_owned), &only);
        assert!(differences.is_empty(), "{}", differences.join("\n"));
    });
}

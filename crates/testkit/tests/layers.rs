//! Checks the arrows of docs/architecture.md: which crate may use which, and the layers of guest-names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Which of our crates each crate may use directly.
const MAY_USE: [(&str, &[&str]); 11] = [
    ("needle", &[]),
    ("guest-names", &["needle"]),
    ("nss-hosts", &["guest-names"]),
    ("nss-libvirt", &["nss-hosts"]),
    ("nss-libvirt-guest", &["nss-hosts"]),
    ("leaseshelper", &[]),
    ("guest-store", &["guest-names"]),
    ("libvirt-nss", &["guest-store", "guest-names"]),
    ("service", &[]),
    ("publish", &["service", "guest-store", "guest-names"]),
    ("daemon", &["service", "guest-store", "guest-names"]),
];

#[test]
fn crates_use_those_below_them() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let mut seen = 0;
    for package in packages {
        let Some((_, allowed)) = MAY_USE.iter().find(|(one, _)| *one == name(package)) else {
            // Tests and benchmarks may use everything.
            continue;
        };
        seen += 1;
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let used = dependencies.iter().filter(|dependency| dependency["kind"].is_null()).map(name);
        for used in used.filter(|used| ours.contains(used)) {
            let package = name(package);
            assert!(allowed.contains(&used.as_str()), "{package} must not use {used}");
        }
    }
    assert_eq!(seen, MAY_USE.len(), "a crate is missing from the workspace");
}

/// From the bottom up: a file uses only those before it.
const LAYERS: [&str; 26] = [
    "text",
    "address",
    "bridge",
    "name",
    "io",
    "window",
    "json",
    "needles",
    "records/lease",
    "records/mac_map",
    "scan",
    "candidate",
    "list",
    "snapshot/format",
    "snapshot/key",
    "snapshot/standing",
    "snapshot/read",
    "observe",
    "files/sought",
    "files/records",
    "files/state_files",
    "files/nics",
    "lookup/context",
    "lookup/rules",
    "lookup/by_name",
    "lookup/by_address",
];

/// `lookup/list` is the last; the `mod.rs` of a directory only names its files.
const LAST: &str = "lookup/list";

#[test]
fn files_of_guest_names_use_those_below_them() {
    let source = root().join("crates/guest-names/src");
    let place: BTreeMap<&str, usize> =
        LAYERS.into_iter().chain([LAST]).enumerate().map(|(at, file)| (file, at)).collect();
    let mut checked = BTreeSet::new();
    for (file, text) in files(&source, "") {
        if file == "lib" || file == "testing" || file.ends_with("/mod") {
            continue;
        }
        let own = *place.get(file.as_str()).unwrap_or_else(|| panic!("{file} has no layer"));
        // Code after this is that of unit tests.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in uses(&file, code) {
            let below = place.iter().filter(|(other, _)| {
                **other == used
                    || other.strip_prefix(used.as_str()).is_some_and(|rest| rest.starts_with('/'))
            });
            let highest = below.map(|(_, &at)| at).max();
            let highest =
                highest.unwrap_or_else(|| panic!("{file} uses {used}, which has no layer"));
            assert!(highest < own, "{file} uses {used}, which is not below it");
        }
        checked.insert(file);
    }
    assert_eq!(checked.len(), place.len(), "a layer has no file: {checked:?}");
}

/// The files below `directory`, without `.rs`, and their contents.
fn files(directory: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let entry = entry.expect("a file");
        let name = entry.file_name().into_string().expect("names are ASCII");
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), &format!("{prefix}{name}/")));
        } else if let Some(stem) = name.strip_suffix(".rs") {
            let text = fs::read_to_string(entry.path()).expect("a source file");
            found.push((format!("{prefix}{stem}"), text));
        }
    }
    found
}

/// The files, or directories of files, that `use` lines and paths in the code name.
fn uses(file: &str, code: &str) -> BTreeSet<String> {
    let directory = file.rsplit_once('/').map(|(directory, _)| directory);
    let mut used = BTreeSet::new();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    for (prefix, base) in [("crate::", None), ("super::", directory)] {
        for (at, _) in code.match_indices(prefix) {
            let path = &code[at + prefix.len()..];
            let mut words =
                path.split(|char: char| !(char.is_alphanumeric() || char == '_' || char == ':'));
            let mut parts =
                words.next().unwrap_or_default().split("::").filter(|part| !part.is_empty());
            let first = parts
                .next()
                .unwrap_or_else(|| panic!("{file}: {prefix}{{...}} hides what is used"));
            let second = parts.next();
            let name = base.map_or_else(|| first.to_owned(), |base| format!("{base}/{first}"));
            // A file in a directory, if the path continues to one.
            let is_file = |name: &String| LAYERS.contains(&name.as_str()) || name == LAST;
            let deeper = second.map(|second| format!("{name}/{second}")).filter(is_file);
            used.insert(deeper.unwrap_or(name));
        }
    }
    used
}

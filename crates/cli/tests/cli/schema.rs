//! Checks the output of each `--json` against docs/libvirt-nss.schema.json.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::snapshot;
use crate::support::{Sandbox, skipped};
use crate::watch::Ended;

/// Reads a list of [definition, command, value], and prints what a validator has against the values.
const VALIDATE: &str = r##"
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
for definition, command, value in json.load(sys.stdin):
    wanted = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    for error in Draft202012Validator(wanted).iter_errors(value):
        print(f"{command}: {error.json_path}: {error.message[:200]}")
"##;

fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/libvirt-nss.schema.json")
}

/// What the validator complains of; `None` without it. Debian's own Python has it (python3-jsonschema).
fn complaints(documents: &[Value]) -> Option<String> {
    let python = || {
        let mut command = Command::new("/usr/bin/python3");
        command.env_clear();
        command
    };
    if !python()
        .args(["-c", "import jsonschema"])
        .output()
        .is_ok_and(|found| found.status.success())
    {
        skipped("--json against its schema: needs python3-jsonschema");
        return None;
    }
    let mut child = python()
        .args(["-c", VALIDATE])
        .arg(schema())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let text = serde_json::to_vec(documents).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Names and addresses in `$name`, systems in `$root`.
const COMMANDS: [(&str, &str); 8] = [
    ("list", "list --json --all"),
    ("list", "export --format json"),
    ("resolve", "resolve --json $name"),
    ("resolve-reverse", "resolve --json --reverse $address"),
    ("wait", "wait --json --timeout 0 $name"),
    ("explain", "explain --json $name"),
    ("explain-address", "explain --json $address"),
    ("doctor", "doctor --json"),
];

const NAMES: [&str; 14] = [
    "web",
    "web-vm",
    "-6 web",
    "db",
    "build",
    "router",
    "app",
    "shop",
    "static-vm",
    "mute-vm",
    "old-web",
    "nobody",
    "localhost",
    "web.nowhere",
];

const ADDRESSES: [&str; 4] = ["10.0.0.1", "192.168.122.7", "127.0.0.1", "fd00:20::a4f"];

/// What `watch` prints of a system at first: a line for each row.
fn watched(sandbox: &Sandbox, root: &str) -> Vec<Value> {
    let list = sandbox.run(&format!("libvirt-nss --root {root} list --json --all")).stdout;
    let rows = serde_json::from_slice::<Vec<Value>>(&list).unwrap_or_default().len();
    let watch = format!("libvirt-nss --root {root} watch --all --json");
    let line = format!("exec {watch}");
    let child = sandbox.command("sh").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
    let mut child = Ended(child);
    let lines = BufReader::new(child.0.stdout.take().unwrap()).lines().take(rows);
    let read = |line: io::Result<String>| {
        let value: Value = serde_json::from_str(&line.unwrap()).expect(&watch);
        json!(["watch", watch, value])
    };
    lines.map(read).collect()
}

#[test]
fn every_output_is_described() {
    let sandbox = Sandbox::new("schema");
    snapshot::prepare(&sandbox);
    let prepared = sandbox.run(
        "for state in lab messy guests; do ./make-system $state && cp state/$state/* $state/var/lib/libvirt/dnsmasq/ \
         && echo '127.0.0.1 localhost' >$state/etc/hosts || exit; done; mkdir empty; \
         ./make-system merge && echo 'hosts: files [SUCCESS=merge] libvirt' >merge/etc/nsswitch.conf; \
         ./make-system unread && rm unread/var/lib/libvirt/dnsmasq/virbr0.status && \
         mkdir unread/var/lib/libvirt/dnsmasq/virbr0.status",
    );
    assert!(prepared.status.success(), "{prepared:?}");
    let roots = [
        "lab", "messy", "guests", "empty", "merge", "unread", "fresh", "beside", "fleet", "silent",
        "dead", "down", "broken", "short", "version",
    ];
    let mut documents = Vec::new();
    for root in roots {
        for (definition, line) in COMMANDS {
            let over: &[&str] = match () {
                () if line.contains("$name") => &NAMES,
                () if line.contains("$address") => &ADDRESSES,
                () => &[""],
            };
            for one in over {
                let line = line.replace("$name", one).replace("$address", one);
                let command = format!("libvirt-nss --root {root} {line}");
                let output = sandbox.run(&command);
                if output.stdout.is_empty() {
                    continue;
                }
                let value: Value = serde_json::from_slice(&output.stdout).expect(&command);
                documents.push(json!([definition, command, value]));
            }
        }
        documents.extend(watched(&sandbox, root));
    }
    let met: BTreeSet<&str> =
        documents.iter().map(|document| document[0].as_str().unwrap()).collect();
    let definitions: BTreeSet<&str> =
        COMMANDS.iter().map(|(definition, _)| *definition).chain(["watch"]).collect();
    assert_eq!(met, definitions);
    let Some(complaints) = complaints(&documents) else { return };
    assert!(complaints.is_empty(), "{complaints}");
}

/// A validator that passes everything would be of no use.
#[test]
fn the_validator_sees_what_is_wrong() {
    let documents = [
        json!(["wait", "a missing member", [{ "name": "web" }]]),
        json!(["wait", "one too many", [{ "name": "web", "address": "10.0.0.1", "more": 1 }]]),
        json!(["resolve-reverse", "a word", { "name": "web", "service": "dns", "address": "10.0.0.1" }]),
        json!(["list", "a row", [{ "domain": 5 }]]),
    ];
    let Some(complaints) = complaints(&documents) else { return };
    for what in ["a missing member", "one too many", "a word", "a row"] {
        assert!(complaints.contains(what), "{what} isn't seen: {complaints}");
    }
}

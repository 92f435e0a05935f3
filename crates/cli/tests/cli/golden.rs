//! Transcripts: each file of `tests/golden` holds command lines and what they print.
//!
//! A line that begins with `$ ` is run by sh in a directory of its own with links to what is in `tests/fixtures`;
//! `libvirt-nss` is the command under test at a fixed time. Below it is its standard output, then its standard error with `! ` before
//! each line, then `? STATUS` where that isn't 0. `## ` begins a comment. `GOLDEN=write cargo test` writes
//! what comes out into the files, to be read before it is committed.

use std::fs;
use std::path::Path;

use crate::snapshot;
use crate::support::{self, Sandbox};

#[test]
fn transcripts() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let write = std::env::var_os("GOLDEN").is_some_and(|mode| mode == "write");
    let mut names: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(!names.is_empty());
    let mut wrong = Vec::new();
    for path in names {
        let expected = fs::read_to_string(&path).unwrap();
        let sandbox = Sandbox::new("golden");
        if path.file_stem().is_some_and(|name| name == "snapshot") {
            snapshot::prepare(&sandbox);
        }
        let mut real = String::new();
        for line in expected.lines() {
            // Comments stay where they are.
            if let Some(command) = line.strip_prefix("$ ") {
                real += &format!("{line}\n{}", sandbox.transcript(command));
            } else if line.starts_with("## ") {
                real += &format!("{line}\n");
            }
        }
        if write {
            fs::write(&path, real).unwrap();
        } else if real != expected {
            wrong.push(format!("{}:\n{}", path.display(), support::difference(&expected, &real)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

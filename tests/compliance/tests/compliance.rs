//! Runs the program `compliance` as a test; it has to succeed.

use std::process::Command;

#[test]
fn our_modules_differ_from_libvirts_only_by_rule() {
    let output = Command::new(env!("CARGO_BIN_EXE_compliance")).output();
    let output = output.unwrap_or_else(|error| panic!("compliance: {error}"));
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "see above");
}

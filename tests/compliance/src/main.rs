//! `compliance`: runs the comparison and prints a table. `TEST_SEED=N` sets the first seed of the generated
//! directories, `TEST_ROUNDS=N` their number. `COMPLIANCE_STOCK=installed` uses libvirt's modules
//! as installed on this system.

use std::process::ExitCode;

use compliance::{peer, run};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first() {
        Some(first) if first == peer::SERVE => peer::serve(&arguments[1..]),
        Some(other) => {
            eprintln!("compliance takes no arguments, not {other}");
            ExitCode::FAILURE
        }
        None => run::main(),
    }
}

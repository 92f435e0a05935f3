//! `compliance`: runs the comparison and prints a table. `TEST_SEED=N` starts with another seed of the generated
//! directories, `TEST_ROUNDS=N` makes another number of them, `COMPLIANCE_STOCK=installed` takes libvirt's modules
//! as this system has them installed.

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

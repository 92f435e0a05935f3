//! `compliance`: runs the comparison and prints a table. `COMPLIANCE_SEED=N` runs the generated
//! directories of another seed, `COMPLIANCE_DIRECTORIES=N` another number of them.

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

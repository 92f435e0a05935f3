//! `abi-probe OBJECT SERVICE NAME...`: loads a module and prints what `gethostbyname4_r` answers to
//! each name, a line each. For tests that need a program of its own: with other privileges, say.

use std::path::Path;
use std::process::ExitCode;

use abi::{Module, Query};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [object, service, names @ ..] = arguments.as_slice() else {
        eprintln!("usage: abi-probe OBJECT SERVICE NAME...");
        return ExitCode::FAILURE;
    };
    let module = match Module::load(Path::new(object), service) {
        Ok(module) => module,
        Err(error) => {
            eprintln!("abi-probe: {error}");
            return ExitCode::FAILURE;
        }
    };
    for name in names {
        match module.resolve(&Query::name4(name)) {
            Some(answer) => println!("{answer}"),
            None => {
                eprintln!("abi-probe: {object} has no gethostbyname4_r");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

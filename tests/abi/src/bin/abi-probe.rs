//! `abi-probe [--all] OBJECT SERVICE NAME...`: loads a module and prints a line with the answer of `gethostbyname4_r`
//! for each name, and of `gethostbyaddr_r` for each address. With `--all`, it calls every entry point: for the names,
//! with buffers of growing length up to what the answer needs; for the addresses in the answers; and for the list of
//! all guests.
//!
//! For tests that need a separate program: one with other privileges, or one that another program traces.

use std::path::Path;
use std::process::ExitCode;

use abi::{How, Module, Query, Status};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let all = arguments.first().is_some_and(|first| first == "--all");
    if all {
        arguments.remove(0);
    }
    let [object, service, names @ ..] = arguments.as_slice() else {
        eprintln!("usage: abi-probe [--all] OBJECT SERVICE NAME...");
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
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        let query = if is_address { Query::addr(name) } else { Query::name4(name) };
        match module.resolve(&query) {
            Some(answer) => println!("{answer}"),
            None => {
                eprintln!("abi-probe: {object} has no entry point for {query}");
                return ExitCode::FAILURE;
            }
        }
        if all {
            ask_everything(&module, name);
        }
    }
    if all {
        list(&module);
    }
    ExitCode::SUCCESS
}

/// Calls every entry point that takes a name, and then those that take an address, with the addresses of the name.
fn ask_everything(module: &Module, name: &str) {
    for query in Query::every_by_name(name) {
        let answer = in_many_buffers(module, &query);
        for address in answer.into_iter().flat_map(|answer| answer.addresses) {
            let text = address.ip.to_string();
            in_many_buffers(module, &Query::addr(&text));
            in_many_buffers(module, &Query::addr2(&text));
        }
    }
}

/// With buffers from empty to large enough, at odd addresses.
fn in_many_buffers(module: &Module, query: &Query) -> Option<abi::Answer> {
    (0..1 << 16).step_by(13).find_map(|length| {
        let answer = module.ask(query, &How { length, offset: length % 16, ..How::default() })?;
        (!answer.wants_larger_buffer()).then_some(answer)
    })
}

/// Lists all guests, with a buffer that is too small before each entry.
fn list(module: &Module) {
    let (small, usual) = (How { length: 9, ..How::default() }, How::default());
    let _ = module.sethostent(&usual);
    while let Some(answer) = module.gethostent_r(&small).and_then(|_| module.gethostent_r(&usual)) {
        println!("{answer}");
        if answer.status != Status::Success {
            break;
        }
    }
    let _ = module.endhostent(&usual);
}

//! The daemon `libvirt-nssd`.

mod args;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use daemon::libvirt::{self, Libvirt};
use daemon::service::{log::Log, memory};
use daemon::source::Source;

/// Who tells of guests.
const LIBVIRT: Source = Source {
    start: |connections, outbox| {
        let libvirt = Libvirt::start(connections, move |update| outbox.put(update));
        let libvirt = libvirt.map_err(|error| error.to_string())?;
        Ok(Box::new(move || libvirt.stop()))
    },
    check: |connection, timeout| match libvirt::check(connection, timeout) {
        Ok(report) => Ok(report.to_string()),
        Err(error) => Err(error.to_string()),
    },
};

fn main() -> ExitCode {
    memory::set_up();
    let args = args::Args::parse();
    let log = Log::new();
    let outcome = if args.check {
        daemon::check::run(&args.options(), LIBVIRT, &mut io::stdout().lock())
            .map_err(|error| format!("cannot write the output: {}", guest_store::reason(&error)))
    } else {
        let run = daemon::daemon::run(&args.options(), LIBVIRT, log);
        run.map(|()| true).map_err(|error| error.to_string())
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            log.error(error);
            ExitCode::FAILURE
        }
    }
}

//! The daemon `libvirt-nssd`.

mod args;

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use daemon::backend::Backend;
use daemon::libvirt::{self, Agents, Libvirt};
use daemon::service::{log::Log, memory, user};

/// Where guests are known from.
const LIBVIRT: Backend = Backend {
    start: |connections, outbox| {
        let libvirt = Libvirt::start(connections, move |update| outbox.put(update));
        Ok(Box::new(libvirt.map_err(|error| error.to_string())?))
    },
    check: |connection, timeout| match libvirt::check(connection, timeout) {
        Ok(report) if matches!(report.agents, Agents::No(_)) => Err(report.to_string()),
        Ok(report) => Ok(report.to_string()),
        Err(error) => Err(error.to_string()),
    },
};

/// `EX_USAGE` of sysexits(3), as the command `libvirt-nss` has it.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    memory::set_up();
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing can be done where standard error can't be written to.
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let log = Log::new("libvirt-nssd");
    let outcome = if args.check {
        if let Err(error) = user::become_the_services() {
            log.error(error);
            return ExitCode::FAILURE;
        }
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

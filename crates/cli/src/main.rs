//! `libvirt-nss`: the command for people. It looks up names with the modules' own code, says why, waits
//! for guests, and edits nsswitch.conf.

mod answer;
mod args;
mod commands;
mod context;
mod daemon;
mod dns;
mod doctor;
mod error;
mod explain;
mod generate;
mod listing;
mod lookup;
mod modules;
mod nsswitch;
mod output;
mod paths;
mod pattern;
mod presence;
mod signals;
mod ssh;
mod state;
mod status;
mod waiting;
mod watch;
mod watcher;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use signal_hook::consts::SIGPIPE;
use signal_hook::low_level::emulate_default_handler;

use args::Cli;
use context::Context;
use status::Status;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    if let Some(ended) = ssh::serve(&arguments) {
        return ended;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A failure to write can't be reported anywhere.
            let _ = match error.kind() {
                // It would name the hidden ones, too.
                ErrorKind::MissingSubcommand => {
                    write!(io::stderr(), "{}", Cli::command().render_help())
                }
                _ => error.print(),
            };
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Status::Ok,
                _ => Status::Usage,
            }
            .into();
        }
    };
    let context = Context::new(&cli.global);
    match commands::run(&cli.command, &context) {
        Ok(ended) => ended,
        Err(error) => {
            if error.is_broken_pipe() {
                // End quietly, like any program whose reader is gone.
                let _ = emulate_default_handler(SIGPIPE);
            }
            context.warn(&error.to_string());
            Status::Failed.into()
        }
    }
}

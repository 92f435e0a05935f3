//! The subcommands.

mod doctor;
pub(crate) mod enable;
mod explain;
mod export;
pub(crate) mod list;
pub(crate) mod resolve;
mod restore;
mod switch;
mod wait;
mod watch;

use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::generate;
use crate::status::Status;

/// Does what the command line says.
///
/// # Errors
/// Any [`Error`].
pub(crate) fn run(command: &Command, context: &Context) -> Result<Status, Error> {
    match command {
        Command::List(options) => list::run(options, context),
        Command::Watch(options) => watch::run(options, context).map(|()| Status::Ok),
        Command::Resolve(options) => resolve::run(options, context),
        Command::Wait(options) => wait::run(options, context),
        Command::Explain(options) => explain::run(options, context),
        Command::Export(options) => export::run(options, context),
        Command::Doctor(options) => doctor::run(options, context),
        Command::Enable(options) => enable::enable(options, context),
        Command::Disable(options) => enable::disable(options, context),
        Command::Generate(options) => generate::run(options).map(|()| Status::Ok),
    }
}

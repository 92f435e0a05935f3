//! The subcommands.

pub(crate) mod dns;
mod doctor;
pub(crate) mod enable;
mod explain;
mod export;
mod list;
mod publish;
pub(crate) mod resolve;
mod restore;
mod ssh;
mod ssh_config;
mod ssh_setup;
pub(crate) mod switch;
mod wait;
mod watch;

use std::process::ExitCode;

use crate::args::{Command, PublishCommand, SshSetup};
use crate::context::Context;
use crate::error::Error;
use crate::generate;
use crate::ssh::{behind, known_hosts, proxy};
use crate::status::Status;

/// Does what the command line says.
///
/// # Errors
/// Any [`Error`].
pub(crate) fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    let paths = &context.paths;
    let status = match command {
        Command::List(options) => list::run(options, context),
        Command::Watch(options) => watch::run(options, context).map(|()| Status::Ok),
        Command::Resolve(options) => resolve::run(options, context),
        Command::Wait(options) => wait::run(options, context),
        Command::Explain(options) => explain::run(options, context),
        Command::Export(options) => export::run(options, context),
        Command::Doctor(options) => doctor::run(options, context),
        Command::Enable(options) => enable::enable(options, context),
        Command::Disable(options) => enable::disable(options, context),
        Command::Ssh(options) => match &options.setup {
            None => ssh::run(options, context),
            Some(SshSetup::Enable(options)) => ssh_setup::enable(options, context),
            Some(SshSetup::Disable(_)) => ssh_setup::disable(context),
            Some(SshSetup::Status(_)) => ssh_setup::status(context),
        },
        Command::Publish(options) => match &options.command {
            PublishCommand::Status(options) => publish::status(options, context),
        },
        Command::SshConfig(_) => ssh_config::run(context).map(|()| Status::Ok),
        Command::SshKnownHosts(options) => {
            return Ok(known_hosts::run(&options.arguments, paths, context.clock));
        }
        Command::SshBehind(options) => return Ok(behind(&options.name, paths, context.clock)),
        Command::SshProxy(options) => {
            proxy::run(&options.name, options.port, paths, context.clock.now())
                .map(|()| Status::Failed)
        }
        Command::Dns(options) => dns::run(options, context),
        Command::Generate(options) => generate::run(options).map(|()| Status::Ok),
    };
    status.map(ExitCode::from)
}

//! The options and the help of `libvirt-nss publish`.

use clap::{Args, Subcommand};

/// Shows how the names of guests are published in the site's DNS
///
/// libvirt-nss-publish(8) publishes them, if it is set up.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss publish status")]
pub(crate) struct Publish {
    #[command(subcommand)]
    pub(crate) command: PublishCommand,
}

/// What `publish` does.
#[derive(Debug, Subcommand)]
pub(crate) enum PublishCommand {
    Status(PublishStatus),
}

/// Says which zones are up to date, and what to do about those that are not
///
/// For each zone, it shows how many names this host has published there, what the server refuses and why, and which names
/// other hosts have; then, which guests are not published. The exit status is 0 if all is well, and 3 if something isn't or
/// the service isn't running.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  libvirt-nss publish status")]
pub(crate) struct PublishStatus {}

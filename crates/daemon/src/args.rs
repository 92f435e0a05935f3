//! The command line.

use std::path::PathBuf;

use clap::Parser;
use daemon::daemon::Options;
use guest_store::paths::{RUNTIME_DIRECTORY, STATE_DIRECTORY};

/// Compiles what libvirt knows of guests into the snapshot that the NSS modules read.
#[derive(Debug, Parser)]
#[command(name = "libvirt-nssd", version, about, max_term_width = 100)]
pub(crate) struct Args {
    /// Read the configuration from FILE [default: /etc/libvirt-nss.toml, which need not exist]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Read libvirt's leases in DIR
    #[arg(long, value_name = "DIR", default_value = STATE_DIRECTORY)]
    state_dir: PathBuf,

    /// Write the snapshot into DIR; the modules only use the one in /run/libvirt-nss
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIRECTORY)]
    snapshot: PathBuf,

    /// Read the configuration, try every connection, print the results, and write nothing. When root runs this, it
    /// is done as the service's user, libvirt-nssd
    #[arg(long)]
    pub(crate) check: bool,
}

impl Args {
    pub(crate) fn options(&self) -> Options {
        Options {
            config: self.config.clone(),
            state_directory: self.state_dir.clone(),
            snapshot_directory: self.snapshot.clone(),
        }
    }
}

//! The program `libvirt-nss-publish`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use publish::prune::prune;
use publish::service::{Configured, Directories, Error, run};
use service::log::Log;

/// `EX_USAGE` and `EX_CONFIG` of sysexits(3): a restart won't help.
const USAGE: u8 = 64;
const CONFIG: u8 = 78;

/// Keeps the names of this host's libvirt guests in the site's DNS, with dynamic updates.
#[derive(Debug, Parser)]
#[command(name = "libvirt-nss-publish", version, about, max_term_width = 100)]
struct Args {
    /// Read the configuration from FILE [default: /etc/libvirt-nss.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Read libvirt-nssd's snapshot in DIR
    #[arg(long, value_name = "DIR", default_value = guest_store::paths::RUNTIME_DIRECTORY)]
    snapshot: PathBuf,

    /// Keep the journal of what was published in DIR
    #[arg(long, value_name = "DIR", default_value = "/var/lib/libvirt-nss-publish")]
    journal: PathBuf,

    /// Write the status for 'libvirt-nss publish status' to FILE
    #[arg(long, value_name = "FILE", default_value = guest_store::publish_status::PATH)]
    status: PathBuf,

    /// Read the configuration, say what it publishes where, and exit
    #[arg(long, conflicts_with = "prune")]
    check: bool,

    /// Remove the names of HOST, which is gone, and exit. Without NAME, all of them are removed; for that, the server must allow
    /// transfers of the zones with the key
    #[arg(long, value_name = "HOST")]
    prune: Option<String>,

    /// With --prune: remove only the names of these guests
    #[arg(value_name = "NAME", requires = "prune")]
    names: Vec<String>,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // If standard error can't be written to, nothing can be done about it.
            let _ = error.print();
            return if error.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let log = Log::new("libvirt-nss-publish");
    let outcome = match &args.prune {
        Some(host) => prune_host(&args, host, log),
        None if args.check => check(&args),
        None => {
            let Args { config, snapshot, journal, status, .. } = args;
            run(&Directories { config, snapshot, journal, status }, log)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.error(&error);
            match error {
                Error::Configuration(_) => CONFIG.into(),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn check(args: &Args) -> Result<(), Error> {
    let Configured { settings, plan, .. } = Configured::read(args.config.as_deref())?;
    let mut zones = vec![settings.zone];
    zones.extend(settings.reverse_zones);
    let (host, zones, server) = (plan.host, zones.join(", "), settings.server);
    writeln!(io::stdout(), "{host} publishes in {zones} on {server}, port {}", settings.port)
        .map_err(|error| {
            Error::System(format!("cannot write the output: {}", guest_store::reason(&error)))
        })
}

fn prune_host(args: &Args, host: &str, log: Log) -> Result<(), Error> {
    let Configured { client, plan, .. } = Configured::read(args.config.as_deref())?;
    let host = host.to_ascii_lowercase();
    if host == plan.host && args.status.exists() {
        log.warning(
            "these are this host's own names, and libvirt-nss-publish is running: it will publish them again when it is restarted",
        );
    }
    prune(&client, &plan, &host, &args.names, &mut io::stdout().lock())
        .map_err(|error| Error::System(error.text(&client, &host)))
}

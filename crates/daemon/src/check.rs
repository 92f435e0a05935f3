//! `libvirt-nssd --check`: whether the daemon would work with this configuration.

use std::io::{self, Write};
use std::time::Duration;

use crate::backend::Backend;
use crate::config::{self, Config};
use crate::daemon::Options;
use crate::service::log::count;
use crate::service::user;
use crate::state::Files;

/// How long one connection may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Tries everything, and prints one line for each to `out`. `true` if there is no problem.
///
/// # Errors
/// `out` can't be written to.
pub fn run(options: &Options, backend: Backend, out: &mut dyn Write) -> io::Result<bool> {
    let config = match config::read(options.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            writeln!(out, "{error}")?;
            return Ok(false);
        }
    };
    writeln!(out, "user: {}", user::describe())?;
    if config.has_publish_table {
        writeln!(out, "publish: not checked here; run 'libvirt-nss-publish --check'")?;
    }
    let leases = leases(options, out)?;
    let connections = connections(&config, backend, out)?;
    Ok(leases && connections)
}

fn leases(options: &Options, out: &mut dyn Write) -> io::Result<bool> {
    let directory = &options.state_directory;
    let place = directory.display();
    match Files::read(directory) {
        Ok(files) => {
            let leases = count(files.contents.leases.len(), "lease");
            let bridges = count(files.contents.bridges().count(), "bridge");
            let unread = files.unread();
            writeln!(out, "leases: {place}: {leases} on {bridges}")?;
            for unread in &unread {
                writeln!(out, "leases: {place}/{}: {}", unread.name, unread.why)?;
            }
            Ok(unread.is_empty())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let step = "libvirt creates it with its first network";
            writeln!(out, "leases: {place} does not exist, so there are none; {step}")?;
            Ok(true)
        }
        Err(error) => {
            writeln!(out, "leases: {place}: {}", guest_store::reason(&error))?;
            Ok(false)
        }
    }
}

/// All at the same time, so that one that hangs delays no other.
fn connections(config: &Config, backend: Backend, out: &mut dyn Write) -> io::Result<bool> {
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let tries: Vec<_> = config
            .connections
            .iter()
            .map(|connection| scope.spawn(|| (backend.check)(&connection.config, TIMEOUT)))
            .collect();
        tries.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let mut well = true;
    for (connection, outcome) in config.connections.iter().zip(outcomes) {
        let (name, uri) = (&connection.config.name, &connection.config.uri);
        let text = match outcome {
            Ok(Ok(report)) => report,
            Ok(Err(reason)) => {
                well = false;
                reason
            }
            Err(_) => {
                well = false;
                String::from("the check panicked; please report this with the command's output")
            }
        };
        writeln!(out, "{name}: {uri}: {text}")?;
    }
    Ok(well)
}

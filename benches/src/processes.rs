//! A whole getent(1): the cost for a program that looks up one name and exits.

use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::process::{Command, Stdio};

use crate::Bench;
use crate::clock::Samples;
use crate::contender::{Kind, OURS, STOCK};
use crate::error::{Context, Error, Result};
use crate::state::Scene;
use crate::table::{Table, time, times};

/// The exit status of getent(1) for a name that no host has.
const NOT_FOUND: i32 = 2;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Table>> {
    let mut header = vec!["", "libvirt's", "ours", "to libvirt's", "without any module"];
    let others = &bench.contenders[STOCK + 1..];
    header.extend(others.iter().map(|other| other.name.as_str()));
    let title = "One getent process (getent hosts NAME), processor time";
    let mut table = Table::new("processes", title, &header);
    for scene in [Scene::SMALLEST, Scene::USUAL] {
        let asked = scene.set()?;
        for kind in Kind::BOTH {
            let name = match kind {
                Kind::Host => &asked.single.host,
                Kind::Guest => &asked.single.domain,
            };
            let mut samples = vec![Vec::new(); bench.contenders.len() + 1];
            bench.sandbox.hosts_line(kind.service())?;
            for _ in 0..bench.repetitions() {
                for (contender, samples) in bench.contenders.iter().zip(&mut samples) {
                    samples.push(getent(name, contender.directory.as_ref(), 0)?);
                }
            }
            // Nothing can take turns with this, as there is only one nsswitch.conf.
            bench.sandbox.hosts_line("files")?;
            for _ in 0..bench.repetitions() {
                samples[bench.contenders.len()].push(getent(name, OsStr::new("/"), NOT_FOUND)?);
            }
            let samples = Samples(samples);
            let mut cells = vec![
                format!("{}, {}", kind.service(), scene.label()),
                time(samples.median(STOCK)),
                time(samples.median(OURS)),
                times(samples.ratio(OURS, STOCK)),
                time(samples.median(bench.contenders.len())),
            ];
            cells.extend((STOCK + 1..bench.contenders.len()).map(|at| time(samples.median(at))));
            table.row(cells);
        }
    }
    Ok(vec![table])
}

/// The processor time of one process, in seconds.
fn getent(name: &str, libraries: &OsStr, expected: i32) -> Result<f64> {
    let mut command = Command::new("getent");
    command.args(["hosts", name]).env("LD_LIBRARY_PATH", libraries).stdout(Stdio::null());
    let child = command.spawn().context("getent (Debian: libc-bin)")?;
    let pid = libc::pid_t::try_from(child.id()).context("getent's process")?;
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: a child of ours that nothing else waits for, and room for both.
    if unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) } != pid {
        return Err(std::io::Error::last_os_error()).context("waiting for getent");
    }
    if !libc::WIFEXITED(status) || libc::WEXITSTATUS(status) != expected {
        return Err(Error::new(format!("getent hosts {name} ended with wait status {status:#x}")));
    }
    // SAFETY: all zeros are a valid usage, and wait4 has filled it.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

//! Measures the modules beside libvirt's own, in one run: look-ups and their floor, look-ups with the daemon's
//! snapshot, loading, a whole getent(1) process, memory, size, instructions.
//!
//! Everything happens in a private mount namespace with its own state directory. Contenders take turns, so that noise
//! affects all alike. Processor time is measured rather than elapsed time, as the machine may be busy.

mod child;
mod clock;
mod contender;
mod docs;
mod drive;
mod error;
mod floor;
mod instructions;
mod loading;
mod lookups;
mod memory;
mod module;
mod options;
mod plot;
mod processes;
mod sandbox;
mod snapshot;
mod state;
mod system;
mod table;

use std::process::ExitCode;

use crate::contender::Contender;
use crate::error::{Error, Result};
use crate::options::{Command, Options, Part, USAGE};
use crate::sandbox::Sandbox;
use crate::state::Scene;
use crate::table::Table;

/// What every part needs.
struct Bench {
    options: Options,
    sandbox: Sandbox,
    /// Ours, libvirt's, and any others.
    contenders: Vec<Contender>,
}

impl Bench {
    /// Processor time for each comparison, in seconds.
    fn seconds(&self) -> f64 {
        if self.options.quick { 0.02 } else { 1.5 }
    }

    /// How often to repeat measurements that need a process each.
    fn repetitions(&self) -> usize {
        if self.options.quick { 5 } else { 200 }
    }

    fn scenes(&self) -> Vec<Scene> {
        let scenes = Scene::ALL.iter().copied();
        scenes.filter(|scene| !self.options.quick || scene.leases <= 2500).collect()
    }

    /// Measures one part.
    fn part(&self, part: Part) -> Result<Vec<Table>> {
        match part {
            Part::Lookups => Ok(lookups::measure(self)?.tables(self)),
            Part::Floor => floor::measure(self),
            Part::Snapshot => snapshot::measure(self),
            Part::Loading => loading::measure(self),
            Part::Processes => processes::measure(self),
            Part::Memory => memory::measure(self),
            Part::Instructions => instructions::measure(self),
        }
    }
}

fn run(options: Options) -> Result<()> {
    let objects = contender::read(&options)?;
    let sandbox = Sandbox::enter()?;
    let contenders = contender::install(&sandbox, objects)?;
    let bench = Bench { options, sandbox, contenders };
    println!("{}", system::description());
    let (mut tables, mut failed) = (Vec::new(), 0);
    for &part in &bench.options.parts {
        let made = match bench.part(part) {
            Ok(made) => made,
            // A quick run checks that everything works, so the other parts count too.
            Err(error) if bench.options.quick => {
                eprintln!("bench: {error}");
                failed += 1;
                continue;
            }
            Err(error) => return Err(error),
        };
        made.iter().for_each(|table| println!("\n{}", table.for_terminal()));
        tables.extend(made);
    }
    if let Some(folder) = &bench.options.write {
        docs::write(folder, &tables, &bench.options.stock)?;
    }
    if bench.options.quick {
        let passed = bench.options.parts.len() - failed;
        println!("\n{passed} passed, {failed} failed, 0 skipped");
    }
    if failed == 0 { Ok(()) } else { Err(Error::new("some parts can't be measured here")) }
}

fn main() -> ExitCode {
    let result = match options::read(std::env::args_os().skip(1)) {
        Ok(Command::Help) => {
            print!("{USAGE}");
            Ok(())
        }
        Ok(Command::Drive(drive)) => drive::run(&drive),
        Ok(Command::Plot(folder)) => docs::plot(&folder),
        Ok(Command::Measure(options)) => run(options),
        Err(error) => {
            eprintln!("bench: {error}; see bench --help");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

//! The command line.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::drive::Drive;
use crate::error::{Error, Result};

pub(crate) const USAGE: &str = "\
usage: bench [OPTION]...

Measures this project's modules beside libvirt's own. Needs root, or a kernel that gives any user a
mount namespace.

  --modules DIR     this project's modules (default: target/release)
  --stock DIR       libvirt's modules, anywhere below DIR (default: target/stock, made by tests/setup)
  --daemon FILE     the daemon (default: target/release/libvirt-nssd)
  --also NAME=DIR   other modules, anywhere below DIR; may be repeated
  --only PART,...   only these parts: lookups, floor, snapshot, loading, processes, memory, instructions
  --quick           check that everything works, in seconds; the figures mean nothing, and the last
                    line counts the parts that work
  --write DIR       write the tables of benchmarks.md, and benchmarks.svg from them, both in DIR
  --plot DIR        measure nothing: write benchmarks.svg from the tables of benchmarks.md, both in DIR
  --help            this text
";

/// What to do.
pub(crate) enum Command {
    Help,
    /// Run a single look-up, while another program counts the instructions.
    Drive(Drive),
    /// Draw the plot in this directory, from the page in it.
    Plot(PathBuf),
    Measure(Options),
}

/// A part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Lookups,
    Floor,
    Snapshot,
    Loading,
    Processes,
    Memory,
    Instructions,
}

const PARTS: [(&str, Part); 7] = [
    ("lookups", Part::Lookups),
    ("floor", Part::Floor),
    ("snapshot", Part::Snapshot),
    ("loading", Part::Loading),
    ("processes", Part::Processes),
    ("memory", Part::Memory),
    ("instructions", Part::Instructions),
];

pub(crate) struct Options {
    pub(crate) modules: PathBuf,
    pub(crate) stock: PathBuf,
    pub(crate) daemon: PathBuf,
    pub(crate) also: Vec<(String, PathBuf)>,
    pub(crate) parts: Vec<Part>,
    pub(crate) quick: bool,
    pub(crate) write: Option<PathBuf>,
}

pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Command> {
    let mut arguments = arguments.peekable();
    if arguments.peek().is_some_and(|first| first == "--drive") {
        arguments.next();
        return Drive::read(arguments).map(Command::Drive);
    }
    let mut options = Options {
        modules: "target/release".into(),
        stock: "target/stock".into(),
        daemon: "target/release/libvirt-nssd".into(),
        also: Vec::new(),
        parts: PARTS.iter().map(|&(_, part)| part).collect(),
        quick: false,
        write: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let missing = || Error::new(format!("{} needs a value", argument.to_string_lossy()));
            arguments.next().ok_or_else(missing)
        };
        match argument.to_str() {
            Some("--help") => return Ok(Command::Help),
            Some("--modules") => options.modules = value()?.into(),
            Some("--stock") => options.stock = value()?.into(),
            Some("--daemon") => options.daemon = value()?.into(),
            Some("--also") => options.also.push(also(&value()?)?),
            Some("--only") => options.parts = parts(&value()?)?,
            Some("--quick") => options.quick = true,
            Some("--plot") => return Ok(Command::Plot(value()?.into())),
            Some("--write") => options.write = Some(value()?.into()),
            _ => {
                return Err(Error::new(format!("unknown option '{}'", argument.to_string_lossy())));
            }
        }
    }
    if options.quick && options.write.is_some() {
        return Err(Error::new("--quick yields no figures to write; leave out --write"));
    }
    Ok(Command::Measure(options))
}

fn also(value: &OsStr) -> Result<(String, PathBuf)> {
    let named = value.to_str().and_then(|text| text.split_once('='));
    match named {
        Some((name, directory)) if !name.is_empty() => Ok((name.to_owned(), directory.into())),
        _ => Err(Error::new(format!("--also needs NAME=DIR, not '{}'", value.to_string_lossy()))),
    }
}

fn parts(value: &OsStr) -> Result<Vec<Part>> {
    let text = value.to_string_lossy();
    let one = |name: &str| {
        let known = PARTS.iter().find(|(known, _)| *known == name);
        known.map(|&(_, part)| part).ok_or_else(|| Error::new(format!("unknown part '{name}'")))
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command> {
        read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_are_parsed() {
        let Ok(Command::Measure(options)) = parse("--only memory,floor --also new=/x --quick")
        else {
            panic!("the options are valid");
        };
        assert_eq!(options.parts, [Part::Memory, Part::Floor]);
        assert_eq!(options.also, [("new".to_owned(), PathBuf::from("/x"))]);
        assert!(options.quick && options.write.is_none());
    }

    #[test]
    fn errors_name_what_is_wrong() {
        for (line, named) in [
            ("--only speed", "speed"),
            ("--also /x", "NAME=DIR"),
            ("--stock", "--stock"),
            ("--fast", "--fast"),
            ("--quick --write docs", "--write"),
        ] {
            let Err(error) = parse(line) else { panic!("{line} was accepted") };
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}

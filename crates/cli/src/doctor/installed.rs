//! The modules: there, for this machine, loadable, whose.

use std::fs;
use std::path::Path;

use super::{Finding, Level, System};
use crate::modules::elf::{self, Machine};
use crate::modules::{self, Installed, Maker, loader};
use crate::nsswitch::OURS;

const CHECK: &str = "modules";

const INSTALL: &str =
    "install it: 'sudo make install' in libvirt-nss, or your distribution's package";

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let on_line = system.services();
    let none = !OURS.iter().any(|ours| on_line.iter().any(|name| name == ours));
    let mut findings = Vec::new();
    for service in OURS {
        let needed = none || on_line.iter().any(|name| name == service);
        let level = if needed { Level::Error } else { Level::Note };
        findings.push(module(system, service, level));
    }
    findings.extend(other_architectures(system));
    findings
}

fn module(system: &System<'_>, service: &str, missing: Level) -> Finding {
    let name = modules::file_name(service);
    let installed = modules::installed(service, system.paths);
    if system.paths.is_this_system() {
        match loader::load(&name) {
            Ok(path) => return whose(service, &path, fs::read(&path).ok().as_deref()),
            Err(why) => {
                let machine =
                    fs::read("/proc/self/exe").ok().and_then(|own| elf::machine(&own).ok());
                let why = machine.and_then(|machine| wrong(&installed, machine)).unwrap_or(why);
                return not_loadable(service, missing, &installed, &why);
            }
        }
    }
    // Nothing of another system can be loaded here; its C library tells what it needs.
    let directories = modules::library_directories(system.paths);
    let fits = installed.iter().find(|module| {
        let machine = module.content.as_ref().ok().and_then(|bytes| elf::machine(bytes).ok());
        let directory = module.path.parent().unwrap_or(Path::new("/"));
        machine.is_some_and(|machine| modules::is_searched(directory, machine))
    });
    match fits {
        Some(module) => {
            whose(service, &module.path, module.content.as_ref().ok().map(Vec::as_slice))
        }
        None => {
            let machines = directories.iter().filter_map(|directory| machine_of(directory));
            let why = machines.into_iter().next().and_then(|machine| wrong(&installed, machine));
            not_loadable(service, missing, &installed, &why.unwrap_or_default())
        }
    }
}

fn whose(service: &str, path: &Path, bytes: Option<&[u8]>) -> Finding {
    let path = path.display();
    match bytes.map(|bytes| modules::maker(bytes, service)) {
        Some(Maker::Libvirt) => Finding::new(
            CHECK,
            Level::Note,
            format!("{service}: {path} is libvirt's own, not the one of libvirt-nss"),
        )
        .remedy(
            "what this command tells holds for libvirt-nss; libvirt's own module answers otherwise \
             in some cases. 'sudo make install' in libvirt-nss puts ours in its place",
        ),
        _ => Finding::ok(CHECK, format!("{service}: {path}")),
    }
}

fn not_loadable(service: &str, level: Level, installed: &[Installed], why: &str) -> Finding {
    // dlerror(3): there is no such file in any directory that is searched.
    let nowhere = why.is_empty() || why.contains("cannot open shared object file");
    if installed.is_empty() && nowhere {
        let name = modules::file_name(service);
        return Finding::new(CHECK, level, format!("{service}: {name} isn't installed"))
            .remedy(INSTALL);
    }
    let text = format!("{service}: the module can't be loaded: {why}");
    Finding::new(CHECK, level, text).remedy(INSTALL)
}

/// What is wrong with the files, where they tell it themselves.
fn wrong(installed: &[Installed], machine: Machine) -> Option<String> {
    let reasons = installed.iter().map(|module| {
        let path = module.path.display();
        match &module.content {
            Err(error) => Some(format!("{path}: {}", crate::error::reason(error))),
            Ok(bytes) => match elf::machine(bytes) {
                Err(broken) => Some(format!("{path}: {broken}")),
                Ok(other) if other != machine => {
                    Some(format!("{path} is for {other}, and programs here are for {machine}"))
                }
                Ok(_) => {
                    let directory = module.path.parent()?;
                    (!modules::is_searched(directory, machine)).then(|| {
                        format!(
                            "{path} lies where the dynamic linker doesn't look (see ld.so(8), \
                             ldconfig(8))"
                        )
                    })
                }
            },
        }
    });
    let reasons: Vec<String> = reasons.flatten().collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// What programs whose C library lies in this directory are for.
fn machine_of(directory: &Path) -> Option<Machine> {
    elf::machine(&fs::read(directory.join("libc.so.6")).ok()?).ok()
}

/// Programs of another architecture, 32-bit ones as a rule, need modules of their own.
fn other_architectures(system: &System<'_>) -> Vec<Finding> {
    let mut known: Vec<(Machine, bool)> = Vec::new();
    for directory in modules::library_directories(system.paths) {
        let Some(machine) = machine_of(&directory) else { continue };
        let has = OURS.iter().any(|service| {
            let module = fs::read(directory.join(modules::file_name(service)));
            module.is_ok_and(|bytes| elf::machine(&bytes) == Ok(machine))
        });
        match known.iter_mut().find(|(other, _)| *other == machine) {
            Some((_, other_has)) => *other_has |= has,
            None => known.push((machine, has)),
        }
    }
    if !known.iter().any(|&(_, has)| has) {
        return Vec::new();
    }
    let without = known.iter().filter(|&&(_, has)| !has);
    without
        .map(|(machine, _)| {
            let text = format!("programs for {machine} have no module here, and don't find guests");
            Finding::new(CHECK, Level::Note, text)
                .remedy("build and install the modules for that architecture too, if you need it")
        })
        .collect()
}

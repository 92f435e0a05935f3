//! Checks the modules: whether they are installed, for this machine, loadable, and whose they are.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Finding, Level, System};
use crate::modules::{self, Architecture, Installed, Maker, loader};
use crate::nsswitch::OURS;

const CHECK: &str = "modules";

const INSTALL: &str =
    "install the package libvirt-nss-modules, or run 'make install' in the sources of libvirt-nss";

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
    let installed = modules::installed(service, system.paths);
    if system.paths.is_this_system() {
        return match loader::load(&modules::file_name(service)) {
            Ok(path) => whose(service, &path, fs::read(&path).ok().as_deref()),
            Err(why) => not_loadable(service, missing, &installed, &why),
        };
    }
    // Nothing of another system can be loaded here; its C libraries show what it needs.
    match installed.iter().find(|module| wrong(module).is_none()) {
        Some(module) => {
            whose(service, &module.path, module.content.as_ref().ok().map(Vec::as_slice))
        }
        None => {
            let reasons: Vec<String> = installed.iter().filter_map(wrong).collect();
            not_loadable(service, missing, &installed, &reasons.join("; "))
        }
    }
}

fn whose(service: &str, path: &Path, bytes: Option<&[u8]>) -> Finding {
    let path = path.display();
    match bytes.map(|bytes| modules::maker(bytes, service)) {
        Some(Maker::Libvirt) => Finding::new(
            CHECK,
            Level::Note,
            format!("{service}: {path} is libvirt's own, not that of libvirt-nss"),
        )
        .remedy(
            "this command shows what the module of libvirt-nss does; libvirt's own differs in some cases",
        ),
        _ => Finding::ok(CHECK, format!("{service}: {path}")),
    }
}

fn not_loadable(service: &str, level: Level, installed: &[Installed], why: &str) -> Finding {
    // As dlerror(3) says that no directory that is searched has the file.
    let nowhere = why.is_empty() || why.contains("cannot open shared object file");
    if installed.is_empty() && nowhere {
        let name = modules::file_name(service);
        return Finding::new(CHECK, level, format!("{service}: {name} isn't installed"))
            .remedy(INSTALL);
    }
    let text = format!("{service}: the module can't be loaded: {why}");
    Finding::new(CHECK, level, text).remedy(INSTALL)
}

/// Why programs of another system can't load the file, as far as that is visible from outside.
fn wrong(module: &Installed) -> Option<String> {
    let path = module.path.display();
    let bytes = match &module.content {
        Err(error) => return Some(format!("{path}: {}", crate::error::reason(error))),
        Ok(bytes) => bytes,
    };
    let Some(own) = Architecture::of(bytes) else {
        return Some(format!("{path} is not a shared library"));
    };
    match module.path.parent().and_then(Architecture::searching) {
        Some(searching) if searching == own => None,
        Some(_) => Some(format!("{path} is for another architecture than the C library beside it")),
        None => {
            Some(format!("the dynamic linker doesn't look for {path} (see ld.so(8), ldconfig(8))"))
        }
    }
}

/// Programs of another architecture, 32-bit ones as a rule, need modules of their own.
fn other_architectures(system: &System<'_>) -> Vec<Finding> {
    let mut known: Vec<(Architecture, PathBuf, bool)> = Vec::new();
    for directory in modules::library_directories(system.paths) {
        let Some(architecture) = Architecture::searching(&directory) else { continue };
        let has = OURS.iter().any(|service| {
            let module = fs::read(directory.join(modules::file_name(service)));
            module.is_ok_and(|bytes| Architecture::of(&bytes) == Some(architecture))
        });
        match known.iter_mut().find(|(other, ..)| *other == architecture) {
            Some((.., other_has)) => *other_has |= has,
            None => known.push((architecture, directory, has)),
        }
    }
    if !known.iter().any(|&(.., has)| has) {
        return Vec::new();
    }
    let without = known.iter().filter(|(.., has)| !has);
    without
        .map(|(_, directory, _)| {
            let library = directory.join("libc.so.6");
            let text = format!(
                "programs of another architecture, which use {}, have no modules and don't find guests",
                library.display()
            );
            Finding::new(CHECK, Level::Note, text)
                .remedy("install the modules of that architecture too, if you need them there")
        })
        .collect()
}

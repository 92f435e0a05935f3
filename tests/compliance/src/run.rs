//! Running all cases and telling what came of them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use abi::modules::target_directory;
use abi::{Kind, Modules, StateDir, sandbox};

use crate::cases::{self, Case};
use crate::generate::generate;
use crate::model::Situation;
use crate::peer::{Ask, Peer};
use crate::rules::{Rule, Rules, Section, sections};
use crate::stock;
use crate::world::World;

/// Directories of a run.
const DIRECTORIES: u64 = 1000;

/// Failures that are told one by one.
const TOLD: usize = 20;

/// Generated leases end at least ten seconds from the time that they are made for; a directory that
/// took longer than this is made once more.
const MARGIN: i64 = 5;

/// Runs everything and prints a table and the failures.
#[must_use]
pub fn main() -> ExitCode {
    let (seed, directories) = match (number("COMPLIANCE_SEED"), number("COMPLIANCE_DIRECTORIES")) {
        (Ok(seed), Ok(directories)) => {
            (seed.unwrap_or_else(seed_of_the_day), directories.unwrap_or(DIRECTORIES))
        }
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("compliance: {error}");
            return ExitCode::FAILURE;
        }
    };
    let stock = match stock::modules(&target_directory()) {
        Ok(stock) => stock,
        Err(error) => return skip(&error),
    };
    let ours = Modules::ours();
    let state = match sandbox::enter() {
        Ok(state) => state,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return again(&error),
        Err(error) => {
            eprintln!("compliance: a private mount namespace: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = Sides::new(&stock, ours).and_then(|mut sides| {
        let mut tally = Tally::default();
        written(&state, &mut sides, &mut tally)?;
        generated(&state, &mut sides, &mut tally, seed, directories)?;
        Ok(tally)
    });
    match result {
        Ok(mut tally) => {
            tally.check_rules();
            tally.print(seed, directories);
            if tally.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("compliance: {error}");
            ExitCode::FAILURE
        }
    }
}

fn number(variable: &str) -> Result<Option<u64>, String> {
    match env::var(variable) {
        Ok(text) => text.parse().map(Some).map_err(|error| format!("{variable}={text}: {error}")),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{variable}: {error}")),
    }
}

/// Another one each run, short enough to be typed.
fn seed_of_the_day() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    elapsed.as_millis() as u64 % 1_000_000_000
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Under `CI=true` what can't run has failed.
fn skip(reason: &str) -> ExitCode {
    let failed = env::var_os("CI").is_some_and(|ci| ci == "true");
    println!("skipped: the comparison with libvirt's modules: {reason}");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs this program once more, as root of a user namespace.
fn again(error: &io::Error) -> ExitCode {
    if sandbox::is_in_user_namespace() {
        return skip(&format!("no mount namespace even in a user namespace: {error}"));
    }
    match sandbox::in_user_namespace(&mut Command::new("/proc/self/exe")).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => skip(&format!("neither root nor an unprivileged user namespace: {error}")),
    }
}

/// Both sides, both modules.
struct Sides {
    stock: [Peer; 2],
    ours: [Peer; 2],
}

impl Sides {
    fn new(stock: &Modules, ours: &Modules) -> io::Result<Sides> {
        let program = env::current_exe()?;
        let peers = |modules: &Modules| {
            Kind::BOTH.map(|kind| Peer::new(&program, modules.directory(), kind))
        };
        Ok(Sides { stock: peers(stock), ours: peers(ours) })
    }

    /// What each side answers to each call.
    fn ask(&mut self, kind: Kind, asks: &[Ask]) -> io::Result<Vec<(String, String)>> {
        let which = usize::from(kind == Kind::Guest);
        let stock = self.stock[which].ask(asks)?;
        let ours = self.ours[which].ask(asks)?;
        Ok(stock.into_iter().zip(ours).collect())
    }
}

/// How often a rule made the difference.
#[derive(Default)]
struct Uses {
    written: u64,
    generated: u64,
}

#[derive(Default)]
struct Tally {
    same: Uses,
    differ: Uses,
    rules: BTreeMap<Rule, Uses>,
    /// The names of the cases that show a rule.
    shown: BTreeMap<Rule, Vec<&'static str>>,
    passed: u64,
    failures: Vec<String>,
}

fn written(state: &StateDir, sides: &mut Sides, tally: &mut Tally) -> io::Result<()> {
    for case in cases::all() {
        state.clear();
        (case.setup)(state, now());
        for call in &case.calls {
            let outcomes = sides.ask(case.kind, std::slice::from_ref(&call.ask))?;
            for (stock, ours) in outcomes {
                tally.add_written(&case, call, &stock, &ours);
            }
        }
    }
    Ok(())
}

fn generated(
    state: &StateDir,
    sides: &mut Sides,
    tally: &mut Tally,
    first: u64,
    directories: u64,
) -> io::Result<()> {
    for seed in first..first + directories {
        let (made, now, outcomes) = loop {
            let now = now();
            let mut made = generate(seed, now);
            state.clear();
            made.world.write(state);
            sort_as_listed(&mut made.world, state)?;
            let mut outcomes = Vec::new();
            for kind in Kind::BOTH {
                let asks: Vec<Ask> = made.asks_of(kind).cloned().collect();
                outcomes.push(sides.ask(kind, &asks)?);
            }
            if self::now() - now <= MARGIN {
                break (made, now, outcomes);
            }
        };
        for (kind, outcomes) in Kind::BOTH.into_iter().zip(outcomes) {
            for (ask, (stock, ours)) in made.asks_of(kind).zip(outcomes) {
                let situation = Situation { world: &made.world, kind, ask, now };
                tally.add_generated(seed, &situation, &stock, &ours);
            }
        }
    }
    Ok(())
}

/// Puts the bridges into the order in which the directory is listed: both modules go by it.
fn sort_as_listed(world: &mut World, state: &StateDir) -> io::Result<()> {
    let mut listed = Vec::new();
    for entry in fs::read_dir(state.path())? {
        listed.push(entry?.file_name().to_string_lossy().into_owned());
    }
    world.bridges.sort_by_key(|bridge| {
        let file = format!("{}.status", bridge.name);
        listed.iter().position(|name| *name == file)
    });
    Ok(())
}

impl Tally {
    fn add_written(&mut self, case: &Case, call: &cases::Call, stock: &str, ours: &str) {
        let differ = stock != ours;
        let as_told = matches(stock, call.stock) && matches(ours, call.ours);
        if !as_told || differ != call.rule.is_some() {
            let rule = call.rule.map_or("the same".to_owned(), |rule| rule.to_string());
            self.failures.push(format!(
                "case `{}`, {:?} {} with {} bytes, {rule}\n  libvirt: {stock}\n     told: {}\n     \
                 ours: {ours}\n     told: {}",
                case.name, case.kind, call.ask.query, call.ask.length, call.stock, call.ours
            ));
            return;
        }
        self.passed += 1;
        match call.rule {
            None => self.same.written += 1,
            Some(rule) => {
                self.differ.written += 1;
                self.rules.entry(rule).or_default().written += 1;
                let shown = self.shown.entry(rule).or_default();
                if !shown.contains(&case.name) {
                    shown.push(case.name);
                }
            }
        }
    }

    fn add_generated(&mut self, seed: u64, situation: &Situation<'_>, stock: &str, ours: &str) {
        let told = [situation.predict(Rules::NONE), situation.predict(Rules::all())];
        let needed = situation.needed();
        // The model leaves the order of what ends in the same second open. The modules agree on it, but
        // for guests with leases on several bridges: libvirt's goes by the `.status` files' order in
        // the directory, ours by that of the `.macs` files.
        let open = !needed.is_empty() || situation.kind == Kind::Guest;
        let agree = open || stock == ours;
        if !told[0].is(stock) || !told[1].is(ours) || !agree {
            self.failures.push(format!(
                "seed {seed}, {:?} {} with {} bytes, rules {:?}\n  libvirt: {stock}\n     told: \
                 {:?}\n     ours: {ours}\n     told: {:?}\n  again: COMPLIANCE_SEED={seed} \
                 COMPLIANCE_DIRECTORIES=1 make compliance",
                situation.kind,
                situation.ask.query,
                situation.ask.length,
                needed.iter().map(|rule| rule.number()).collect::<Vec<_>>(),
                told[0],
                told[1],
            ));
            return;
        }
        self.passed += 1;
        let total = if needed.is_empty() { &mut self.same } else { &mut self.differ };
        total.generated += 1;
        for rule in needed {
            self.rules.entry(rule).or_default().generated += 1;
        }
    }

    /// Every rule has a section in the document and a case that shows it, and the other way round.
    fn check_rules(&mut self) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                self.failures.push(format!("{}: {error}", path.display()));
                return;
            }
        };
        let sections = sections(&text);
        let mut failures = Vec::new();
        for rule in Rule::ALL {
            let shown = self.shown.get(&rule).map_or(&[][..], Vec::as_slice);
            let number = rule.number();
            match sections.iter().find(|section| section.number == number) {
                _ if shown.is_empty() => {
                    failures.push(format!("{rule}: no case needs it any more"))
                }
                None => failures.push(format!("docs/differences.md has no section {number}")),
                Some(section) => failures.extend(unshown(section, shown)),
            }
        }
        for section in &sections {
            if !Rule::ALL.iter().any(|rule| rule.number() == section.number) {
                failures.push(format!("docs/differences.md, {}: no such rule", section.number));
            }
        }
        self.failures.append(&mut failures);
    }

    fn print(&self, seed: u64, directories: u64) {
        println!("{:<80} {:>7} {:>9}", "", "written", "generated");
        let line = |what: &str, uses: &Uses| {
            println!("{what:<80} {:>7} {:>9}", uses.written, uses.generated);
        };
        line("same", &self.same);
        line("differ", &self.differ);
        let titles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
        let titles = sections(&fs::read_to_string(titles).unwrap_or_default());
        for (rule, uses) in &self.rules {
            let title = titles.iter().find(|section| section.number == rule.number());
            let title = title.map_or("", |section| &section.title);
            line(&format!("  by rule {:>2}: {title}", rule.number()), uses);
        }
        println!("\n{directories} generated directories from seed {seed} on");
        for failure in self.failures.iter().take(TOLD) {
            println!("\nFAILED {failure}");
        }
        if self.failures.len() > TOLD {
            println!("\nand {} failures more", self.failures.len() - TOLD);
        }
        println!("\n{} calls went as told, {} did not", self.passed, self.failures.len());
    }
}

/// What is wrong with the cases that a section of the document names.
fn unshown(section: &Section, shown: &[&str]) -> Vec<String> {
    let at = format!("docs/differences.md, {}", section.number);
    let named = |name: &&&str| section.cases.iter().any(|case| case == **name);
    let mut wrong: Vec<String> = section
        .cases
        .iter()
        .filter(|case| !shown.contains(&case.as_str()))
        .map(|case| format!("{at}: `{case}` is no case of this rule"))
        .collect();
    if shown.iter().filter(named).count() == 0 {
        wrong.push(format!("{at}: names none of the cases {shown:?}"));
    }
    wrong
}

/// Whether an outcome is the one that a case tells of. How exactly a module breaks the contract is
/// a matter of chance.
fn matches(outcome: &str, told: &str) -> bool {
    outcome == told || (told == BREAKS && outcome.starts_with(BREAKS))
}

/// The outcome where a module broke the contract with glibc; see `abi::Module::ask`.
pub const BREAKS: &str = "breaks the contract";

//! Running all cases and reporting the outcome.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
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
use crate::nsstest::Table;
use crate::peer::{Ask, Peer};
use crate::rules::{Rule, Rules, sections};
use crate::stock::{Stock, Version};
use crate::world::World;

/// The number of generated directories, unless `TEST_ROUNDS` is set. In that many, a rule that the written cases show
/// also makes a difference about a dozen times.
const ROUNDS: u64 = 100;

/// The first directory's seed, unless `TEST_SEED` says otherwise.
const SEED: u64 = 1;

/// How many failures are printed in full.
const PRINTED: usize = 20;

/// Generated leases end at least ten seconds after the time that they are made for. A directory whose calls took longer
/// than this is generated again.
const MARGIN: i64 = 5;

/// Runs everything and prints a table and the failures.
#[must_use]
pub fn main() -> ExitCode {
    let (seed, rounds) = match (number("TEST_SEED"), number("TEST_ROUNDS")) {
        (Ok(seed), Ok(rounds)) => (seed.unwrap_or(SEED), rounds.unwrap_or(ROUNDS)),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("compliance: {error}");
            return ExitCode::FAILURE;
        }
    };
    let target = target_directory();
    let stock = match Stock::find(&target) {
        Ok(stock) => stock,
        Err(error) => return skip("the comparison with libvirt's modules", &error),
    };
    // In another mount namespace the kernel reports another path.
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            eprintln!("compliance: the path of this program: {error}");
            return ExitCode::FAILURE;
        }
    };
    let state = match sandbox::enter() {
        Ok(state) => state,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return again(&error),
        Err(error) => {
            eprintln!("compliance: a private mount namespace: {error}");
            return ExitCode::FAILURE;
        }
    };
    let table = Table::read(&target);
    let mut sides = Sides::new(&program, &stock, Modules::ours());
    let mut tally = Tally::new(stock.version);
    let result = written(&state, &mut sides, &mut tally)
        .and_then(|()| match &table {
            Ok(table) => libvirts_own(&state, &mut sides, &mut tally, table),
            Err(_) => Ok(()),
        })
        .and_then(|()| generated(&state, &mut sides, &mut tally, seed, rounds));
    if let Err(error) = result {
        eprintln!("compliance: {error}");
        return ExitCode::FAILURE;
    }
    tally.check_rules();
    tally.print(seed, rounds);
    match table {
        _ if !tally.failures.is_empty() => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => skip("the table of libvirt's nsstest", &error),
    }
}

fn number(variable: &str) -> Result<Option<u64>, String> {
    match env::var(variable) {
        Ok(text) => text.parse().map(Some).map_err(|error| format!("{variable}={text}: {error}")),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(format!("{variable}: {error}")),
    }
}

fn now() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// With `CI=true`, a test that can't run is a failure.
fn skip(what: &str, reason: &str) -> ExitCode {
    let failed = env::var_os("CI").is_some_and(|ci| ci == "true");
    println!("skipped: {what}: {reason}");
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs this program again, as root of a user namespace.
fn again(error: &io::Error) -> ExitCode {
    let what = "the comparison with libvirt's modules";
    if sandbox::is_in_user_namespace() {
        return skip(what, &format!("no mount namespace even in a user namespace: {error}"));
    }
    match sandbox::in_user_namespace(&mut Command::new("/proc/self/exe")).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            skip(what, &format!("not root, and no unprivileged user namespaces: {error}"))
        }
    }
}

/// Both modules of both sides.
struct Sides {
    stock: [Peer; 2],
    ours: [Peer; 2],
}

impl Sides {
    fn new(program: &Path, stock: &Stock, ours: &Modules) -> Sides {
        let stocks =
            Kind::BOTH.map(|kind| Peer::new(program, &stock.modules, &stock.libraries, kind));
        let ours = Kind::BOTH.map(|kind| Peer::new(program, ours, OsStr::new(""), kind));
        Sides { stock: stocks, ours }
    }

    /// The answer of each side to each call.
    fn ask(&mut self, kind: Kind, asks: &[Ask]) -> io::Result<Vec<(String, String)>> {
        let which = usize::from(kind == Kind::Guest);
        let stock = self.stock[which].ask(asks)?;
        let ours = self.ours[which].ask(asks)?;
        Ok(stock.into_iter().zip(ours).collect())
    }
}

/// How often a rule made a difference.
#[derive(Default)]
struct Uses {
    written: u64,
    generated: u64,
}

struct Tally {
    /// The version of libvirt's modules.
    version: Version,
    same: Uses,
    differ: Uses,
    rules: BTreeMap<Rule, Uses>,
    /// The names of the cases that show a rule.
    shown: BTreeMap<Rule, Vec<&'static str>>,
    passed: u64,
    failures: Vec<String>,
    /// The rows of libvirt's own table, and how many of them pass with libvirt's module and with ours.
    table: Option<(usize, [usize; 2])>,
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

/// Whether all rows of libvirt's own table pass with both.
fn libvirts_own(
    state: &StateDir,
    sides: &mut Sides,
    tally: &mut Tally,
    table: &Table,
) -> io::Result<()> {
    state.clear();
    table.write(state);
    let mut held = [0; 2];
    for row in &table.rows {
        for (stock, ours) in sides.ask(row.kind, &[Ask::new(row.query.clone())])? {
            held[0] += usize::from(stock == row.answer);
            held[1] += usize::from(ours == row.answer);
            if stock != row.answer || ours != row.answer {
                tally.failures.push(format!(
                    "libvirt's nsstest, {:?} {}\n   expected: {}\n    libvirt: {stock}\n       ours: {ours}",
                    row.kind, row.query, row.answer
                ));
            }
        }
    }
    tally.table = Some((table.rows.len(), held));
    Ok(())
}

fn generated(
    state: &StateDir,
    sides: &mut Sides,
    tally: &mut Tally,
    first: u64,
    rounds: u64,
) -> io::Result<()> {
    for seed in first..first + rounds {
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
                let version = tally.version;
                let situation = Situation { world: &made.world, kind, ask, now, version };
                tally.add_generated(seed, &situation, &stock, &ours);
            }
        }
    }
    Ok(())
}

/// Sorts the bridges in the order in which the directory is listed, which both modules follow.
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
    fn new(version: Version) -> Tally {
        Tally {
            version,
            same: Uses::default(),
            differ: Uses::default(),
            rules: BTreeMap::new(),
            shown: BTreeMap::new(),
            passed: 0,
            failures: Vec::new(),
            table: None,
        }
    }

    fn add_written(&mut self, case: &Case, call: &cases::Call, stock: &str, ours: &str) {
        let expected = call.stock(self.version);
        let as_expected = matches(stock, expected) && matches(ours, call.ours);
        let rule = if stock == ours { None } else { call.rule };
        if !as_expected || (stock != ours && rule.is_none()) {
            let rule = call.rule.map_or("the same".to_owned(), |rule| rule.to_string());
            self.failures.push(format!(
                "case `{}`, {:?} {} with {} bytes, {rule}\n    libvirt: {stock}\n   expected: {expected}\n       \
                 ours: {ours}\n   expected: {}",
                case.name, case.kind, call.ask.query, call.ask.length, call.ours
            ));
            return;
        }
        self.passed += 1;
        match rule {
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
        let expected = [situation.predict(Rules::NONE), situation.predict(Rules::all())];
        let needed = situation.needed();
        // Leases that end in the same second may come in any order; but unless a rule concerns them, both modules must
        // return the same order.
        let open = !needed.is_empty() || situation.kind == Kind::Guest;
        let agree = open || stock == ours;
        if !expected[0].is(stock) || !expected[1].is(ours) || !agree {
            self.failures.push(format!(
                "seed {seed}, {:?} {} with {} bytes, rules {:?}\n    libvirt: {stock}\n   expected: \
                 {:?}\n       ours: {ours}\n   expected: {:?}\n  again: make compliance TEST_SEED={seed} \
                 TEST_ROUNDS=1",
                situation.kind,
                situation.ask.query,
                situation.ask.length,
                needed.iter().map(|rule| rule.number()).collect::<Vec<_>>(),
                expected[0],
                expected[1],
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

    /// Checks that every rule has a section in the document and a case that shows it, and the reverse. If the section
    /// names versions of libvirt, exactly those must differ.
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
        let version = self.version.to_string();
        let all = cases::all();
        for rule in Rule::ALL {
            let shown = self.shown.get(&rule).map_or(&[][..], Vec::as_slice);
            let Some(section) = sections.iter().find(|it| it.number == rule.number()) else {
                self.failures.push(format!("docs/differences.md has no section {}", rule.number()));
                continue;
            };
            let differs = section.versions.is_empty() || section.versions.contains(&version);
            match (differs, shown.is_empty()) {
                (true, true) => self.failures.push(format!("{rule}: no case shows it")),
                (false, false) => self.failures.push(format!(
                    "docs/differences.md, {}: doesn't name libvirt {version}, but {shown:?} show it",
                    rule.number()
                )),
                (false, true) => {}
                (true, false) if !shown.iter().any(|case| section.names(case)) => {
                    self.failures.push(format!(
                        "docs/differences.md, {}: names none of the cases {shown:?}",
                        rule.number()
                    ));
                }
                (true, false) => {}
            }
            let of_rule = |case: &&Case| case.calls.iter().any(|call| call.rule == Some(rule));
            let cases: Vec<&str> = all.iter().filter(of_rule).map(|case| case.name).collect();
            for name in section.cases.iter().filter(|name| !cases.contains(&name.as_str())) {
                self.failures.push(format!(
                    "docs/differences.md, {}: `{name}` is not a case of this rule",
                    rule.number()
                ));
            }
        }
        for section in &sections {
            if !Rule::ALL.iter().any(|rule| rule.number() == section.number) {
                self.failures
                    .push(format!("docs/differences.md, {}: no such rule", section.number));
            }
        }
    }

    fn print(&self, seed: u64, rounds: u64) {
        println!("beside libvirt {}'s modules:", self.version);
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
        println!("\n{rounds} generated directories, seeds from {seed} on");
        if let Some((rows, [stock, ours])) = self.table {
            println!(
                "libvirt's own nsstest: {ours} of {rows} hold for ours, {stock} for libvirt's"
            );
        }
        for failure in self.failures.iter().take(PRINTED) {
            println!("\nFAILED {failure}");
        }
        if self.failures.len() > PRINTED {
            println!("\nand {} more failures", self.failures.len() - PRINTED);
        }
        println!("\n{} calls as expected, {} failures", self.passed, self.failures.len());
    }
}

/// Whether an outcome is the expected one. The details of a broken contract may vary.
fn matches(outcome: &str, expected: &str) -> bool {
    outcome == expected || (expected == BREAKS && outcome.starts_with(BREAKS))
}

/// The outcome if a module broke the contract with glibc; see `abi::Module::ask`.
pub const BREAKS: &str = "breaks the contract";

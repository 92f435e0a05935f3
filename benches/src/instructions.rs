//! Instructions of a look-up, counted by valgrind's callgrind: they are the same in each run, whatever else the machine
//! does. Two runs differ in the number of look-ups, and only the difference counts, so
//! the program's start isn't included.

use std::env;
use std::path::Path;
use std::process::Command;

use crate::Bench;
use crate::contender::{Kind, OURS, STOCK};
use crate::drive::Drive;
use crate::error::{Context, Error, Result};
use crate::lookups::{self, Question};
use crate::module::Call;
use crate::state::{Scene, thousands};
use crate::table::{Table, times};

/// How many look-ups the two runs make.
const FEW: usize = 1;
const MORE: usize = 3;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Table>> {
    let mut header = vec!["leases, name or address", "libvirt's", "ours", "libvirt's to ours"];
    let others = &bench.contenders[STOCK + 1..];
    header.extend(others.iter().map(|other| other.name.as_str()));
    let title = "Instructions of a look-up, without those of the kernel";
    let mut table = Table::new("instructions", title, &header);
    for scene in scenes(bench) {
        let asked = scene.set()?;
        for kind in Kind::BOTH {
            for question in lookups::forward(kind, &asked)? {
                // The two entry points differ only in packing.
                if !matches!(question.call, Call::Both(_)) {
                    continue;
                }
                let mut counts = Vec::new();
                for contender in &bench.contenders {
                    counts.push(count(&contender.path(kind), &question)?);
                }
                table.row(cells(scene, &question, &counts));
            }
            for question in lookups::reverse(kind, &asked) {
                let ours = count(&bench.contenders[OURS].path(kind), &question)?;
                table.row(cells(scene, &question, &[ours]));
            }
        }
    }
    Ok(vec![table])
}

/// Valgrind is slow.
fn scenes(bench: &Bench) -> Vec<Scene> {
    let all = [Scene::SMALLEST, Scene::USUAL, Scene::MANY, Scene::LARGEST];
    all.into_iter().filter(|scene| !bench.options.quick || *scene == Scene::SMALLEST).collect()
}

fn cells(scene: Scene, question: &Question, counts: &[usize]) -> Vec<String> {
    let label = format!("{}, {}, {}", scene.label(), question.kind.service(), question.label);
    let ours = counts[OURS];
    let mut cells = vec![label];
    match counts.get(STOCK) {
        Some(&stock) => {
            let ratio = stock as f64 / ours as f64;
            cells.extend([thousands(stock), thousands(ours), times(ratio)]);
        }
        None => cells.extend(["-".to_owned(), thousands(ours), "-".to_owned()]),
    }
    cells.extend(counts.iter().skip(STOCK + 1).map(|&count| thousands(count)));
    cells
}

fn count(object: &Path, question: &Question) -> Result<usize> {
    let run = |times| {
        let Question { kind, ref call, addresses, .. } = *question;
        let drive = Drive { object: object.to_owned(), kind, call: call.clone(), addresses, times };
        callgrind(&drive)
    };
    let (few, more) = (run(FEW)?, run(MORE)?);
    Ok(more.saturating_sub(few) / (MORE - FEW))
}

/// Instructions of a whole run.
fn callgrind(drive: &Drive) -> Result<usize> {
    let program = env::current_exe().context("this program")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(drive.arguments())
        .output()
        .context("valgrind (Debian: valgrind)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let failure = || Error::new(format!("callgrind of {drive:?} has failed:\n{said}"));
    if !output.status.success() {
        return Err(failure());
    }
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).ok_or_else(failure)
}

//! `libvirt-nss doctor`: prints what is wrong, and fixes what can be fixed safely.

use std::io::{self, BufRead as _, BufWriter, IsTerminal as _, Write};

use serde::Serialize;

use crate::args::Doctor;
use crate::context::Context;
use crate::doctor::fix::Fix;
use crate::doctor::{Finding, Level, System};
use crate::error::Error;
use crate::output::escape::{printable, write_json};
use crate::output::paint::Tone;
use crate::output::wrap::wrap;
use crate::status::Status;

pub(crate) fn run(options: &Doctor, context: &Context) -> Result<Status, Error> {
    let findings = System::read(&context.paths, context.clock.now()).examine();
    if options.json {
        print_json(&findings)?;
        return Ok(status_of(&findings));
    }
    print(&findings, context)?;
    if options.fix && fix(&findings, options, context)? {
        let findings = System::read(&context.paths, context.clock.now()).examine();
        context.print("")?;
        context.print("After that:")?;
        print(&findings, context)?;
        return Ok(status_of(&findings));
    }
    Ok(status_of(&findings))
}

pub(super) fn status_of(findings: &[Finding]) -> Status {
    match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Error) => Status::Errors,
        Some(Level::Warning) => Status::Warnings,
        _ => Status::Ok,
    }
}

/// Shows the fixes and applies them if that is wanted. Returns whether it did.
fn fix(findings: &[Finding], options: &Doctor, context: &Context) -> Result<bool, Error> {
    let mut fixes: Vec<&Fix> = Vec::new();
    for fix in findings.iter().filter_map(|finding| finding.fix.as_ref()) {
        if !fixes.contains(&fix) {
            fixes.push(fix);
        }
    }
    context.print("")?;
    if fixes.is_empty() {
        context.print("None of this can be fixed automatically.")?;
        return Ok(false);
    }
    context.print("Proposed change:")?;
    for fix in &fixes {
        fix.run(true, context)?;
    }
    if !options.yes && !agreed()? {
        context.print("Nothing was changed.")?;
        return Ok(false);
    }
    for fix in &fixes {
        fix.run(false, context)?;
    }
    Ok(true)
}

/// Asks, if there is a terminal to ask on.
fn agreed() -> Result<bool, Error> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        writeln!(io::stdout(), "Use --yes to apply it.")?;
        return Ok(false);
    }
    write!(io::stdout(), "Apply it? [y/N] ")?;
    io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn print(findings: &[Finding], context: &Context) -> Result<(), Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (tone, headline) = headline(findings);
    writeln!(out, "{}\n", context.paint.paint(tone, &headline))?;
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    // Those of one weight stay in the order of the checks.
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    out.flush()?;
    drop(out);
    print_findings(&sorted, context)
}

/// Prints each with what to do about it.
pub(super) fn print_findings(findings: &[&Finding], context: &Context) -> Result<(), Error> {
    let mut out = BufWriter::new(io::stdout().lock());
    let width = context.width.unwrap_or(80).min(100);
    for finding in findings {
        let tone = match finding.level {
            Level::Ok => Tone::Good,
            Level::Note => Tone::Strong,
            Level::Warning => Tone::Warning,
            Level::Error => Tone::Bad,
        };
        let mut label = context.paint.paint(tone, &format!("{:<9}", finding.level.word()));
        for line in wrap(&printable(&finding.text), width.saturating_sub(9)) {
            writeln!(out, "{label}{line}")?;
            label = " ".repeat(9);
        }
        if let Some(remedy) = &finding.remedy {
            let mut label = format!("{:9}> ", "");
            for line in wrap(&printable(remedy), width.saturating_sub(11)) {
                writeln!(out, "{label}{line}")?;
                label = " ".repeat(11);
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// The answer to whether guests' names work here.
fn headline(findings: &[Finding]) -> (Tone, String) {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let plural =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => (Tone::Good, "No problems found.".into()),
        (0, warnings) => {
            (Tone::Warning, format!("Names resolve, with {}.", plural(warnings, "warning")))
        }
        (errors, warnings) => (
            Tone::Bad,
            format!(
                "Not all names of guests resolve: {}, {}.",
                plural(errors, "error"),
                plural(warnings, "warning")
            ),
        ),
    }
}

#[derive(Serialize)]
struct JsonReport<'f> {
    /// `ok`, `warnings` or `errors`.
    status: &'static str,
    findings: Vec<JsonFinding<'f>>,
}

#[derive(Serialize)]
struct JsonFinding<'f> {
    check: &'f str,
    level: &'static str,
    text: &'f str,
    remedy: Option<&'f str>,
    /// Whether `--fix` can fix it.
    fixable: bool,
}

fn print_json(findings: &[Finding]) -> Result<(), Error> {
    let report = JsonReport {
        status: match status_of(findings) {
            Status::Errors => "errors",
            Status::Warnings => "warnings",
            _ => "ok",
        },
        findings: findings
            .iter()
            .map(|finding| JsonFinding {
                check: finding.check,
                level: finding.level.word(),
                text: &finding.text,
                remedy: finding.remedy.as_deref(),
                fixable: finding.fix.is_some(),
            })
            .collect(),
    };
    let mut out = io::stdout().lock();
    write_json(&mut out, &report)?;
    Ok(())
}

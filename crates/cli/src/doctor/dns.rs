//! Checks the names for programs without NSS, if `dns enable` has been run.

use super::{Finding, Level, System};
use crate::dns::report::report;

const CHECK: &str = "dns";

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    let report = report(system.paths);
    if report.problems.is_empty() {
        let ok = |way: crate::dns::way::Way| {
            Finding::ok(CHECK, format!("programs without NSS find guests: {}", way.text()))
        };
        return report.way.map(ok).into_iter().collect();
    }
    let problem = |problem: &(String, String)| {
        let (text, next) = problem.clone();
        Finding::new(CHECK, Level::Warning, text).remedy(next)
    };
    report.problems.iter().map(problem).collect()
}

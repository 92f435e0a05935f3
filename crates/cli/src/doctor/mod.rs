//! What is wrong with names of guests on this host, and what to do about it.

mod cache;
mod daemon;
mod dns;
pub(crate) mod fix;
mod guests;
mod helper;
mod installed;
mod look_up;
pub(crate) mod publish;
mod ssh;
mod state_files;
mod switch;

use std::io;

use guest_store::contents::Contents;

use crate::daemon::{Reading, read};
use crate::error::Error;
use crate::nsswitch::file::{self, Conf};
use crate::nsswitch::line::parse;
use crate::paths::Paths;
use crate::state::rows::{Row, all_rows};
use fix::Fix;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Could be better.
    Warning,
    /// Because of it, guests' names don't resolve, or not all of them.
    Error,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a check found.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Which check it was, for programs: the words don't change.
    pub(crate) check: &'static str,
    pub(crate) level: Level,
    pub(crate) text: String,
    /// What to do about it.
    pub(crate) remedy: Option<String>,
    /// What this command can do about it.
    pub(crate) fix: Option<Fix>,
}

impl Finding {
    fn new(check: &'static str, level: Level, text: impl Into<String>) -> Self {
        Self { check, level, text: text.into(), remedy: None, fix: None }
    }

    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Level::Ok, text)
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// What the checks look at.
pub(crate) struct System<'s> {
    paths: &'s Paths,
    /// Seconds since the epoch.
    now: i64,
    conf: Result<Conf, Error>,
    contents: io::Result<Contents>,
    snapshot: Reading,
    rows: Vec<Row>,
}

impl<'s> System<'s> {
    pub(crate) fn read(paths: &'s Paths, now: i64) -> Self {
        let contents = Contents::read(&paths.state_directory());
        let snapshot = read(paths);
        let rows = all_rows(contents.as_ref().ok(), paths, &snapshot, now);
        Self { paths, now, conf: file::read(paths), contents, snapshot, rows }
    }

    /// The names of the services on the hosts line; none where that isn't known.
    fn services(&self) -> Vec<String> {
        let line = self.conf.as_ref().ok().and_then(|conf| parse(&conf.text).ok());
        let services = line.map(|line| line.services).unwrap_or_default();
        services.into_iter().map(|service| service.name).collect()
    }

    /// Makes every check.
    pub(crate) fn examine(&self) -> Vec<Finding> {
        let checks: [fn(&System<'_>) -> Vec<Finding>; 11] = [
            installed::check,
            switch::check,
            look_up::check,
            cache::check,
            helper::check,
            state_files::check,
            daemon::check,
            dns::check,
            guests::check,
            publish::check,
            ssh::check,
        ];
        checks.iter().flat_map(|check| check(self)).collect()
    }
}

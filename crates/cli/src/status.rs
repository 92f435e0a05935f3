//! The exit statuses. Each number has the same meaning for all subcommands.

use std::process::ExitCode;

/// How the command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Success.
    Ok = 0,
    /// Failure; standard error says why.
    Failed = 1,
    /// `resolve`, `explain`, `ssh`: no guest has the name or the address. As getent(1).
    NotFound = 2,
    /// `doctor`, `ssh status`, `publish status`: warnings and no errors.
    Warnings = 3,
    /// `doctor`: errors.
    Errors = 4,
    /// `wait`, `ssh`: timed out, and a guest has no address.
    NoAddress = 5,
    /// `wait`, `ssh`: timed out; every guest has an address, and a port doesn't answer.
    PortClosed = 6,
    /// Usage error. `EX_USAGE` of sysexits(3).
    Usage = 64,
}

impl Status {
    /// For the manual pages.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Ok => "Success.",
            Self::Failed => "Failure; standard error says why, and what to do.",
            Self::NotFound => {
                "No guest has the name or the address, or it has no address of the requested family."
            }
            Self::Warnings => "Warnings, but no errors.",
            Self::Errors => "Errors.",
            Self::NoAddress => "Timed out; a guest has no address.",
            Self::PortClosed => "Timed out; every guest has an address, but a port doesn't answer.",
            Self::Usage => "Usage error.",
        }
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

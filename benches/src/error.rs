//! Why a measurement failed.

use std::fmt::{self, Display};

/// What was tried, why it failed, and what to do about it.
#[derive(Debug)]
pub(crate) struct Error(String);

pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Adds what the error is about.
pub(crate) trait Context<T> {
    fn context(self, about: impl Display) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, about: impl Display) -> Result<T> {
        self.map_err(|error| Error::new(format!("{about}: {error}")))
    }
}

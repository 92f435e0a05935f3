//! Colours, if standard output is a terminal.

use std::io::IsTerminal;

use crate::args::Color;

/// The meaning of a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// All is well.
    Good,
    /// Could be better.
    Warning,
    /// Wrong.
    Bad,
    /// Less important.
    Faint,
    /// A heading, or the answer.
    Strong,
}

impl Tone {
    /// The attributes of SGR (ECMA-48, 8.3.117).
    fn attributes(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "32",
            Self::Warning => "33",
            Self::Bad => "31",
            Self::Faint => "2",
            Self::Strong => "1",
        }
    }
}

#[cfg(test)]
impl Paint {
    /// Always.
    pub(crate) fn always() -> Self {
        Self(true)
    }
}

/// Reverse video, for the row under the cursor: not a colour, so it is used without colours too.
pub(crate) fn reversed(text: &str) -> String {
    format!("\x1b[7m{text}\x1b[0m")
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paint(bool);

impl Paint {
    /// `auto`: on a terminal that isn't dumb, unless NO_COLOR is set and not empty (no-color.org).
    pub(crate) fn new(color: Color, stream: &impl IsTerminal) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self(match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => stream.is_terminal() && !dumb && !set("NO_COLOR"),
        })
    }

    /// Never any.
    pub(crate) fn none() -> Self {
        Self(false)
    }

    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        if self.0 && tone != Tone::Plain && !text.is_empty() {
            format!("\x1b[{}m{text}\x1b[0m", tone.attributes())
        } else {
            text.to_owned()
        }
    }
}

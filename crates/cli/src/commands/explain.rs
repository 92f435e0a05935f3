//! `libvirt-nss explain`: says what a name or an address resolves to, and why.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;

use crate::args::Explain;
use crate::context::Context;
use crate::error::Error;
use crate::explain::json::Json;
use crate::explain::reverse::{self, ReverseExplanation};
use crate::explain::text::{self, Style};
use crate::explain::walk::End;
use crate::explain::{self, Explanation};
use crate::output::escape::write_json;
use crate::status::Status;

pub(crate) fn run(options: &Explain, context: &Context) -> Result<Status, Error> {
    let style = Style {
        verbose: options.verbose || options.all,
        all: options.all,
        ..Style::new(context.width.unwrap_or(80).min(100), context)
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let found = match options.name.to_str().and_then(|name| name.parse().ok()) {
        Some(address) => {
            let explanation = reverse::explain(address, context)?;
            print_reverse(&explanation, options.json, &style, &mut out)?;
            explanation.is_a_guests()
        }
        None => {
            let explanation =
                explain::explain(options.name.as_bytes(), options.families.family(), context)?;
            print(&explanation, options.json, &style, &mut out)?;
            matches!(explanation.walk.end, End::Answered(_))
        }
    };
    out.flush()?;
    Ok(if found { Status::Ok } else { Status::NotFound })
}

fn print(
    explanation: &Explanation,
    as_json: bool,
    style: &Style,
    out: &mut impl Write,
) -> Result<(), Error> {
    if as_json {
        write_json(out, &Json::new(explanation, style.now))?;
        return Ok(());
    }
    for line in text::lines(explanation, style) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn print_reverse(
    explanation: &ReverseExplanation,
    as_json: bool,
    style: &Style,
    out: &mut impl Write,
) -> Result<(), Error> {
    if as_json {
        write_json(out, &explanation.json())?;
        return Ok(());
    }
    for line in text::conclusion_lines(&explanation.conclusion, style) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

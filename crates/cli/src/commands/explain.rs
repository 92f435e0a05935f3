//! `libvirt-nss explain`.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;

use guest_names::name::NameKind;

use crate::args::Explain;
use crate::context::Context;
use crate::daemon;
use crate::error::Error;
use crate::explain::json::Json;
use crate::explain::reverse;
use crate::explain::story::Story;
use crate::explain::text::{self, Style};
use crate::explain::walk::{End, Walk};
use crate::explain::{Explanation, Ours, Question};
use crate::lookup;
use crate::modules::{self, loader};
use crate::nsswitch::file;
use crate::output::escape::write_json;
use crate::presence::Presence;
use crate::state::lossy;
use crate::status::Status;

pub(crate) fn run(options: &Explain, context: &Context) -> Result<Status, Error> {
    let conf = file::read(&context.paths);
    let name = options.name.as_bytes();
    if let Some(address) = options.name.to_str().and_then(|name| name.parse().ok()) {
        return reverse::run(address, options, &conf, &style(options, context), context);
    }
    let question = Question { name: lossy(name), family: options.families.family() };
    let ours: Vec<Ours> = [NameKind::HostName, NameKind::Domain]
        .into_iter()
        .map(|source| ask(source, options, context))
        .collect::<Result<_, Error>>()?;
    let walk = Walk::new(&conf, &question, &ours, &context.paths);
    let status = match walk.end {
        End::Answered(_) => Status::Ok,
        _ => Status::NotFound,
    };
    let now = context.clock.now();
    let sources = [NameKind::HostName, NameKind::Domain];
    let presence = Presence::read(&context.paths, name, &sources, now);
    let explanation = Explanation {
        question,
        walk,
        ours,
        told: daemon::read(&context.paths),
        presence: Some(presence),
        other_family: other_family(name, options, context)?,
        nscd: context.paths.nscd_socket().exists(),
        options: context.paths.options(),
    };

    let mut out = BufWriter::new(io::stdout().lock());
    if options.json {
        write_json(&mut out, &Json::new(&explanation, now))?;
    } else {
        for line in text::lines(&explanation, &style(options, context)) {
            writeln!(out, "{line}")?;
        }
    }
    out.flush()?;
    Ok(status)
}

fn style(options: &Explain, context: &Context) -> Style {
    Style {
        paint: context.paint,
        width: context.width.unwrap_or(80).min(100),
        verbose: options.verbose || options.all,
        all: options.all,
        now: context.clock.now(),
        directory: context.paths.state_directory().display().to_string(),
    }
}

/// The addresses of the family that isn't asked for.
fn other_family(name: &[u8], options: &Explain, context: &Context) -> Result<Vec<String>, Error> {
    let Some(family) = options.families.family() else { return Ok(Vec::new()) };
    let mut others = Vec::new();
    for source in [NameKind::HostName, NameKind::Domain] {
        let now = context.clock.now();
        let answered = lookup::by_name(&context.paths, source, name, None, now, None)?;
        let other = answered
            .candidates
            .iter()
            .filter(|one| one.address.is_some_and(|address| address.family() != family));
        others.extend(other.map(lookup::address_text));
    }
    others.sort();
    others.dedup();
    Ok(others)
}

fn ask(source: NameKind, options: &Explain, context: &Context) -> Result<Ours, Error> {
    let mut story = Story::default();
    let answered = lookup::by_name(
        &context.paths,
        source,
        options.name.as_bytes(),
        options.families.family(),
        context.clock.now(),
        Some(&mut story),
    )?;
    story.sort(source);
    // Elsewhere the module that programs load is none of this machine's.
    let not_loadable = if context.paths.are_the_systems() {
        loader::load(&modules::file_name(lookup::service(source))).err()
    } else {
        None
    };
    Ok(Ours { source, found: answered.found, addresses: answered.candidates, story, not_loadable })
}

//! `libvirt-nss explain`.

use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;

use guest_names::forward::Source;

use crate::args::Explain;
use crate::context::Context;
use crate::daemon;
use crate::error::Error;
use crate::explain::json::Json;
use crate::explain::story::Story;
use crate::explain::text::{self, Style};
use crate::explain::walk::{End, Walk};
use crate::explain::{Explanation, Ours, Question};
use crate::lookup;
use crate::modules::{self, loader};
use crate::nsswitch::file;
use crate::output::paint::Tone;
use crate::state::lossy;
use crate::status::Status;

pub(crate) fn run(options: &Explain, context: &Context) -> Result<Status, Error> {
    let conf = file::read(&context.paths);
    let question =
        Question { name: lossy(options.name.as_bytes()), family: options.families.family() };
    let ours: Vec<Ours> = [Source::HostName, Source::Domain]
        .into_iter()
        .map(|source| ask(source, options, context))
        .collect::<Result<_, Error>>()?;
    let walk = Walk::new(&conf, &question, &ours, &context.paths);
    let status = match walk.end {
        End::Answered(_) => Status::Ok,
        _ => Status::NotFound,
    };
    let told = daemon::read(&context.paths);
    let explanation = Explanation { question, walk, ours, told };

    let mut out = BufWriter::new(io::stdout().lock());
    if options.json {
        serde_json::to_writer_pretty(&mut out, &Json::new(&explanation, context.clock.now()))
            .map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let style = Style {
            paint: context.paint,
            width: context.width.unwrap_or(80).min(100),
            all: options.all,
            now: context.clock.now(),
            directory: context.paths.state_directory().display().to_string(),
        };
        for line in text::lines(&explanation, &style) {
            writeln!(out, "{line}")?;
        }
        if context.paths.nscd_socket().exists() {
            let note = "nscd answers programs here, and may have kept another answer for a while.";
            writeln!(out, "  {}", context.paint.paint(Tone::Warning, note))?;
        }
    }
    out.flush()?;
    Ok(status)
}

fn ask(source: Source, options: &Explain, context: &Context) -> Result<Ours, Error> {
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

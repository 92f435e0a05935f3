//! Gathering an explanation: the modules' code does the look-ups, and an observer notes what it did.

use guest_names::address::Family;
use guest_names::name::NameKind;

use super::story::Story;
use super::walk::Walk;
use super::{Explanation, ModuleAnswer, Question};
use crate::context::Context;
use crate::daemon;
use crate::error::Error;
use crate::lookup;
use crate::modules::{self, loader};
use crate::nsswitch::file;
use crate::presence::Presence;
use crate::state::lossy;

const KINDS: [NameKind; 2] = [NameKind::HostName, NameKind::Domain];

/// Explains the look-up of a name, in one family or in both.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn explain(
    name: &[u8],
    family: Option<Family>,
    context: &Context,
) -> Result<Explanation, Error> {
    let conf = file::read(&context.paths);
    let question = Question { name: lossy(name), bytes: name.to_vec(), family };
    let ours: Vec<ModuleAnswer> = KINDS
        .into_iter()
        .map(|kind| ask(kind, &question, context))
        .collect::<Result<_, Error>>()?;
    let walk = Walk::new(&conf, &question, &ours, &context.paths);
    let presence = Presence::read(&context.paths, name, &KINDS, context.clock.now());
    Ok(Explanation {
        other_family: other_family(&question, context)?,
        question,
        walk,
        ours,
        snapshot: daemon::read(&context.paths),
        presence,
        nscd: context.paths.nscd_socket().exists(),
        paths: context.paths.clone(),
    })
}

/// The addresses of the other family, if one is requested.
fn other_family(question: &Question, context: &Context) -> Result<Vec<String>, Error> {
    let Some(family) = question.family else { return Ok(Vec::new()) };
    let mut others = Vec::new();
    for kind in KINDS {
        let now = context.clock.now();
        let answered = lookup::by_name(&context.paths, kind, &question.bytes, None, now, None)?;
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

fn ask(kind: NameKind, question: &Question, context: &Context) -> Result<ModuleAnswer, Error> {
    let mut story = Story::default();
    let answered = lookup::by_name(
        &context.paths,
        kind,
        &question.bytes,
        question.family,
        context.clock.now(),
        Some(&mut story),
    )?;
    story.sort(kind);
    // With --root, programs load a module of another system.
    let not_loadable = if context.paths.are_the_systems() {
        loader::load(&modules::file_name(lookup::service(kind))).err()
    } else {
        None
    };
    Ok(ModuleAnswer {
        kind,
        found: answered.found,
        addresses: answered.candidates,
        story,
        not_loadable,
    })
}

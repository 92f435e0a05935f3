//! The answer to a look-up of a name: its addresses, or why it has none.

use guest_names::address::Family;
use guest_names::candidate::Candidate;
use guest_names::name::NameKind;

use crate::context::Context;
use crate::error::Error;
use crate::lookup;
use crate::presence::Presence;

/// What a name comes to.
pub(crate) enum Answer {
    /// The addresses that the module for this kind of name returns.
    Addresses(NameKind, Vec<Candidate>),
    /// None in the family that was asked for, but this one in the other.
    OtherFamily(Family, Candidate),
    /// None at all.
    Absent(Presence),
}

/// Looks up a name, for the first kind that has an address.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn ask(
    context: &Context,
    name: &[u8],
    kinds: &[NameKind],
    family: Option<Family>,
) -> Result<Answer, Error> {
    match ask_once(context, name, kinds, family)? {
        // The address came after the look-up and before the state was read for the reason.
        Answer::Absent(presence) if presence.has_address => ask_once(context, name, kinds, family),
        answer => Ok(answer),
    }
}

fn ask_once(
    context: &Context,
    name: &[u8],
    kinds: &[NameKind],
    family: Option<Family>,
) -> Result<Answer, Error> {
    if let Some((kind, candidates)) = addresses(context, name, kinds, family)? {
        return Ok(Answer::Addresses(kind, candidates));
    }
    if let Some(family) = family {
        if let Some((_, others)) = addresses(context, name, kinds, None)? {
            return Ok(Answer::OtherFamily(family, others[0]));
        }
    }
    let now = context.clock.now();
    Ok(Answer::Absent(Presence::read(&context.paths, name, kinds, now)))
}

/// The addresses that the module for the first kind of name returns that has any.
///
/// # Errors
/// [`Error::Exhausted`].
pub(crate) fn addresses(
    context: &Context,
    name: &[u8],
    kinds: &[NameKind],
    family: Option<Family>,
) -> Result<Option<(NameKind, Vec<Candidate>)>, Error> {
    for &kind in kinds {
        let now = context.clock.now();
        let answered = lookup::by_name(&context.paths, kind, name, family, now, None)?;
        if !answered.candidates.is_empty() {
            return Ok(Some((kind, answered.candidates)));
        }
    }
    Ok(None)
}

//! Which candidates are in the answer, and in which order.

use crate::address::Family;
use crate::bridge::Bridge;
use crate::candidate::{Attached, Candidate, Precedence};
use crate::files::StateFiles;
use crate::io::{Exhausted, StateDir, System};
use crate::list::sort;
use crate::name::NameKind;
use crate::observe::{Fate, Observer};

/// Parameters of the rules.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) kind: NameKind,
    /// See `Query::family`.
    pub(super) family: Option<Family>,
    /// See `Query::scopes`.
    pub(super) scopes: bool,
}

/// Moves the candidates that are in the answer to the front, in the order of the answer. Returns their number.
#[inline(never)] // in all, 2 KB less code
pub(super) fn settle<D: StateDir, S: System>(
    files: &mut StateFiles<'_, D, S>,
    candidates: &mut [Candidate],
    rules: Rules,
) -> Result<usize, Exhausted> {
    // Guests of other connections come before the files or after them.
    let first = candidates.iter().map(|candidate| candidate.precedence).min();
    let candidates = keep(candidates, &mut files.observer, &mut |candidate| match candidate {
        _ if Some(candidate.precedence) == first => None,
        _ if first == Some(Precedence::BeforeFiles) => Some(Fate::BehindConnection),
        _ => Some(Fate::BehindFiles),
    });

    // If a domain has exactly the name, others that differ in case are left out.
    let exact = rules.kind == NameKind::Domain
        && candidates.iter().any(|candidate| candidate.address.is_none() && candidate.exact);
    let candidates = if exact {
        keep(candidates, &mut files.observer, &mut |candidate| {
            (!candidate.exact).then_some(Fate::OtherCase)
        })
    } else {
        candidates
    };
    let candidates = with_address(candidates);

    // If a running guest has the name, leases that destroyed guests left behind are left out.
    let candidates = if rules.kind == NameKind::HostName && !are_of_one_nic(candidates) {
        files.attach(candidates, None)?;
        let any = candidates.iter().any(|candidate| candidate.attached == Attached::Yes);
        keep(candidates, &mut files.observer, &mut |candidate| {
            (any && candidate.attached != Attached::Yes).then_some(Fate::LeftBehind)
        })
    } else {
        candidates
    };

    let candidates = keep_freshest_clients(candidates, &mut files.observer);

    // Link-local addresses are a last resort, and need a scope.
    let is_better = |candidate: &Candidate| !candidate.is_link_local();
    let any_better = candidates.iter().any(is_better);
    let candidates = keep(candidates, &mut files.observer, &mut |candidate| {
        let family = candidate.address.map(|address| address.family());
        let has_scope = rules.scopes && candidate.bridge != Bridge::NONE;
        if rules.family.is_some() && family != rules.family {
            Some(Fate::OtherFamily)
        } else if candidate.is_link_local() && (any_better || !has_scope) {
            Some(Fate::LinkLocal)
        } else {
            None
        }
    });

    sort(candidates, &Candidate::by_address);
    let mut last = None;
    let candidates = keep(candidates, &mut files.observer, &mut |candidate| {
        let is_new = last != candidate.address;
        last = candidate.address;
        if is_new { None } else { Some(Fate::Duplicate) }
    });
    sort(candidates, &Candidate::by_rank);
    for candidate in candidates.iter() {
        report(&mut files.observer, candidate, Fate::Taken);
    }
    Ok(candidates.len())
}

/// Of the leases of one NIC and family, keeps those of the client that has the freshest with a client id. The others are left
/// over from a boot loader or from an earlier system. A lease without a client id may belong to any client, and is kept.
fn keep_freshest_clients<'c>(
    candidates: &'c mut [Candidate],
    observer: &mut Option<&mut dyn Observer>,
) -> &'c mut [Candidate] {
    if candidates.len() < 2 {
        return candidates;
    }
    sort(candidates, &Candidate::by_lease);
    let mut freshest: Option<Candidate> = None;
    keep(candidates, observer, &mut |candidate| match freshest {
        Some(freshest) if freshest.client != 0 && candidate.shares_nic_with(&freshest) => {
            let is_other = candidate.client != 0 && candidate.client != freshest.client;
            is_other.then_some(Fate::OtherClient)
        }
        _ => {
            freshest = Some(*candidate);
            None
        }
    })
}

/// Moves the candidates without a `fate` to the front, in their order, and reports the others.
#[inline(never)] // in all, 2 KB less code
fn keep<'c>(
    candidates: &'c mut [Candidate],
    observer: &mut Option<&mut dyn Observer>,
    fate: &mut dyn FnMut(&Candidate) -> Option<Fate>,
) -> &'c mut [Candidate] {
    let mut kept = 0;
    for at in 0..candidates.len() {
        let Some(candidate) = candidates.get(at) else { break };
        match fate(candidate) {
            Some(fate) => report(observer, candidate, fate),
            None => {
                if kept < at {
                    let candidate = *candidate;
                    if let Some(place) = candidates.get_mut(kept) {
                        *place = candidate;
                    }
                }
                kept += 1;
            }
        }
    }
    candidates.get_mut(..kept).unwrap_or(&mut [])
}

/// Keeps the candidates that have an address. The others are not reported.
fn with_address(candidates: &mut [Candidate]) -> &mut [Candidate] {
    keep(candidates, &mut None, &mut |candidate| match candidate.address {
        Some(_) => None,
        None => Some(Fate::Duplicate),
    })
}

fn report(observer: &mut Option<&mut dyn Observer>, candidate: &Candidate, fate: Fate) {
    if let (Some(observer), Some(_)) = (observer, candidate.address) {
        observer.candidate(candidate, fate);
    }
}

/// Whether all have the same NIC, so that all are attached or none is, and the MAC map isn't needed.
fn are_of_one_nic(candidates: &[Candidate]) -> bool {
    let first = candidates.first().map(Candidate::nic);
    candidates.iter().all(|candidate| Some(candidate.nic()) == first)
}

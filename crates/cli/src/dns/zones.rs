//! The zones in which guests have names.

use guest_names::name::is_host_name;

use super::way::Way;
use crate::daemon;
use crate::error::Error;
use crate::paths::Paths;

/// The zones in which libvirt-nssd has names; the first is the zone of all guests.
pub(crate) fn zones(paths: &Paths) -> Result<Vec<String>, Error> {
    let zones = match daemon::read(paths) {
        Ok(Some(known)) => known.info().zones.clone(),
        Ok(None) => Vec::new(),
        Err(unusable) => return Err(Error::Refused(unusable.to_string())),
    };
    // The daemon's user writes the snapshot, and root writes the zones into units and configurations.
    if let Some(other) =
        zones.iter().find(|zone| !zone.is_empty() && !is_host_name(zone.as_bytes()))
    {
        return Err(Error::Refused(format!(
            "libvirt-nssd's snapshot has a zone that is not a domain name ({other:?}): 'systemctl restart \
             libvirt-nssd', and run this again"
        )));
    }
    if zones.first().is_none_or(String::is_empty) {
        return Err(Error::Refused(
            "libvirt-nssd has no snapshot, so guests' zones aren't known: 'systemctl enable --now libvirt-nssd', \
             and run this again"
                .into(),
        ));
    }
    Ok(zones)
}

/// What the user is told where the resolver doesn't take all zones.
pub(crate) fn left_out(way: Way, zones: &[String]) -> Option<String> {
    let (most, all) = (way.takes(zones), zones.len());
    (most < all).then(|| {
        format!("the resolver takes only {most} of {all} zones: addresses in the last ones have no name there")
    })
}

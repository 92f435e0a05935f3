//! Which rows are shown: the filters that `list`, `watch` and `export` share.

use std::collections::BTreeSet;

use crate::args::Filter;
use crate::pattern::Pattern;
use crate::state::rows::Row;

impl Filter {
    /// If no row matches the requested network: which networks and bridges there are.
    pub(crate) fn unknown_network(&self, rows: &[Row]) -> Option<String> {
        let pattern = self.network.as_ref()?;
        let places = rows.iter().filter_map(|row| Some((row.bridge()?, row.network.as_deref())));
        let places: BTreeSet<_> = places.collect();
        let known = |place: &(&str, Option<&str>)| {
            pattern.matches(place.0) || place.1.is_some_and(|network| pattern.matches(network))
        };
        if places.iter().any(known) {
            return None;
        }
        let names: Vec<String> = places
            .into_iter()
            .map(|(bridge, network)| match network {
                Some(network) => format!("{network} ({bridge})"),
                None => bridge.to_owned(),
            })
            .collect();
        Some(match names.as_slice() {
            [] => "; no network has guests or leases".into(),
            names => format!("; these networks have guests or leases: {}", names.join(", ")),
        })
    }

    pub(crate) fn lets_through(&self, row: &Row) -> bool {
        let matches = |pattern: &Option<Pattern>, texts: &[Option<&str>]| {
            pattern
                .as_ref()
                .is_none_or(|pattern| texts.iter().flatten().any(|text| pattern.matches(text)))
        };
        let mac = row.mac.map(|mac| mac.to_string());
        matches(&self.network, &[row.network.as_deref(), Some(&row.bridge)])
            && matches(&self.domain, &[row.domain.as_deref()])
            && self.name.as_ref().is_none_or(|name| row.host_names().any(|own| name.matches(own)))
            && matches(&self.mac, &[mac.as_deref()])
    }
}

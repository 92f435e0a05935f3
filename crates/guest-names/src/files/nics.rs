//! The MAC maps: which NICs a domain has, and which guest has a NIC.

use super::records::MacMaps;
use super::sought::GuestMac;
use super::state_files::StateFiles;
use crate::bridge::Bridge;
use crate::candidate::{Attached, Candidate, mac_key};
use crate::io::{Exhausted, StateDir, System};
use crate::list::{List, lower_bound, sort};
use crate::name::Wanted;
use crate::text::Text;

impl<D: StateDir, S: System> StateFiles<'_, D, S> {
    /// The MAC map of a bridge, all of it.
    pub(crate) fn all_mac_maps(&mut self, bridge: Bridge) -> MacMaps<'_, D::File> {
        self.needles.clear();
        self.mac_maps(bridge)
    }

    /// Replaces `macs` by the NICs that the domains called `wanted` have on the bridge, sorted by MAC, and adds a candidate
    /// without an address for each of these domains.
    #[inline(never)] // in all, 340 bytes less stack
    pub(crate) fn macs_of_guest(
        &mut self,
        bridge: Bridge,
        wanted: &Wanted<'_>,
        macs: &mut List<'_, GuestMac, S>,
        candidates: &mut List<'_, Candidate, S>,
    ) -> Result<(), Exhausted> {
        macs.truncate(0);
        self.needles.clear();
        self.needles.add_name(wanted);
        let mut maps = self.mac_maps(bridge);
        while let Some(map) = maps.next() {
            let Some(fit) = wanted.fit(map.domain.as_bytes()) else { continue };
            if fit.is_whole() {
                candidates.push(Candidate { exact: fit.exact, ..Candidate::EMPTY })?;
            }
            for &mac in map.macs() {
                macs.push(GuestMac { mac, fit })?;
            }
            maps.set_wanted();
        }
        maps.close()?;
        sort(macs.as_mut_slice(), &|a, b| a.key() < b.key());
        Ok(())
    }

    /// Finds out for each of `candidates` whether a running guest has its NIC, and sorts them by NIC. The name of that
    /// guest's domain goes to `domain`, which only makes sense for a single candidate.
    #[inline(never)] // in all, 340 bytes less stack
    pub(crate) fn attach(
        &mut self,
        candidates: &mut [Candidate],
        mut domain: Option<&mut Text>,
    ) -> Result<(), Exhausted> {
        sort(candidates, &|a, b| a.nic() < b.nic());
        let mut rest = candidates;
        while let Some(&Candidate { bridge, .. }) = rest.first() {
            let here = rest.iter().take_while(|candidate| candidate.bridge == bridge).count();
            let Some((here, others)) = rest.split_at_mut_checked(here) else { break };
            self.attach_on(bridge, here, domain.as_deref_mut())?;
            rest = others;
        }
        Ok(())
    }

    /// The same for candidates of one bridge, sorted by MAC.
    #[inline(never)] // in all, 340 bytes less stack
    fn attach_on(
        &mut self,
        bridge: Bridge,
        candidates: &mut [Candidate],
        mut domain: Option<&mut Text>,
    ) -> Result<(), Exhausted> {
        self.needles.clear();
        let mut any = false;
        for candidate in candidates.iter().filter(|candidate| is_open(candidate)) {
            any = true;
            candidate.mac.into_iter().for_each(|mac| self.needles.add_mac(mac));
        }
        if !any {
            return Ok(());
        }
        let mut maps = self.mac_maps(bridge);
        while let Some(map) = maps.next() {
            let mut is_owner = false;
            for &mac in map.macs() {
                let key = mac_key(Some(mac));
                let from = lower_bound(candidates, |other| mac_key(other.mac) < key);
                let same = candidates.get_mut(from..).unwrap_or(&mut []).iter_mut();
                for candidate in same.take_while(|candidate| candidate.mac == Some(mac)) {
                    is_owner |= is_open(candidate);
                    if is_open(candidate) {
                        candidate.attached = Attached::Yes;
                    }
                }
            }
            if is_owner {
                if let Some(domain) = &mut domain {
                    domain.set(map.domain.as_bytes());
                }
                maps.set_wanted();
            }
        }
        maps.close()?;
        // MACs that are not in the map belong to no running guest.
        for candidate in candidates.iter_mut().filter(|candidate| is_open(candidate)) {
            candidate.attached = Attached::No;
        }
        Ok(())
    }
}

fn is_open(candidate: &Candidate) -> bool {
    candidate.attached == Attached::Unknown
}

//! `libvirt-nss publish status`: prints what libvirt-nss-publish last reported.

use guest_store::publish_status;

use super::doctor::{print_findings, status_of};
use crate::args::PublishStatus;
use crate::context::Context;
use crate::doctor::publish::{findings, unreadable};
use crate::error::Error;
use crate::output::duration;
use crate::status::Status;

pub(crate) fn status(_: &PublishStatus, context: &Context) -> Result<Status, Error> {
    let path = context.paths.below(publish_status::PATH);
    let status = match publish_status::read(&path) {
        Ok(Some(status)) => status,
        Ok(None) => {
            context.print(
                "libvirt-nss-publish does not run: the names of guests are not published. See \
                 libvirt-nss-publish(8) to set it up, or 'systemctl status libvirt-nss-publish'",
            )?;
            return Ok(Status::Warnings);
        }
        Err(error) => {
            let finding = unreadable(&path, &error);
            print_findings(&[&finding], context)?;
            return Ok(Status::Warnings);
        }
    };
    let now = context.clock.now();
    let changed = duration::short(now.saturating_sub(status.written).max(0));
    context.print(&format!("libvirt-nss-publish runs; its last change was {changed} ago."))?;
    context.print("")?;
    let findings = findings(&status, now);
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    print_findings(&sorted, context)?;
    Ok(status_of(&findings))
}

//! `libvirt-nss-publish`: publishes the names of this host's guests in the site's DNS with dynamic updates (RFC 2136).
//!
//! [`zone`] decides what to send, without any I/O. A journal records what may be on the server. nsupdate(1) signs and sends
//! updates, dig(1) reads records.

pub mod backoff;
pub mod client;
pub mod failure;
pub mod journal;
mod process;
pub mod prune;
pub mod publisher;
pub mod record;
pub mod select;
pub mod service;
pub mod settings;
pub mod signer;
pub mod update;
pub mod zone;

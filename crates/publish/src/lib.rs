//! `libvirt-nss-publish`: keeps the names of this host's guests in the site's DNS, by dynamic updates (RFC 2136).
//!
//! Values in, values out: [`zone`] decides what is sent, and a journal keeps what may be on the server. nsupdate(1) signs and
//! sends, dig(1) reads.

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
pub mod update;
pub mod zone;

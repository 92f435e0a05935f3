//! `libvirt-nssd`: compiles what libvirt knows of guests into the snapshot that look-ups read.

pub mod backend;
pub mod check;
pub mod compiler;
pub mod config;
pub mod daemon;
pub mod facts;
pub mod host;
pub mod inbox;
pub mod libvirt;
pub mod model;
pub mod names;
pub mod neighbours;
pub mod outlets;
mod rtnetlink;
pub mod service;
pub mod snapshot;
pub mod starts;
pub mod state;

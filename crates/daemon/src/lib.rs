//! `libvirt-nssd`: compiles what libvirt knows of guests into the snapshot that look-ups read.

pub mod cdb;
pub mod config;
pub mod model;
pub mod state;
#[cfg(test)]
mod testing;

//! The snapshot that `libvirt-nssd` compiles: names and addresses of all guests in one file, where each is
//! found with a handful of reads.

pub mod format;

//! The daemon `libvirt-nssd`.

fn main() {}

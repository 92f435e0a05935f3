//! Compares the modules with libvirt's own.

//! How both modules are linked. All arguments are known to GNU ld and to lld.

use std::env;

/// The architectures that module.ld was tried on. Elsewhere the linker's own layout is used: on powerpc64, for instance,
/// `.plt` is data.
const LAID_OUT: [&str; 6] = ["aarch64", "arm", "riscv64", "s390x", "x86", "x86_64"];

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../nss-hosts/module.ld");
    println!("cargo:rerun-if-changed={script}");
    let package = env::var("CARGO_PKG_NAME").expect("cargo sets it");
    link_with(&format!("-Wl,-soname,lib{}.so.2", package.replace('-', "_")));
    for argument in [
        // An undefined symbol is a link error: see the panic handler.
        "-Wl,-z,defs",
        "-Wl,-z,now",
        "-Wl,--as-needed",
        "-Wl,-s",
        // Nothing is to be done when the object is loaded or unloaded.
        "-nostartfiles",
        "-Wl,--no-eh-frame-hdr",
    ] {
        link_with(argument);
    }
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo sets it");
    if LAID_OUT.contains(&architecture.as_str()) {
        link_with("-T");
        link_with(script);
    } else {
        // Two segments here as well.
        link_with("-Wl,-z,noseparate-code");
    }
}

fn link_with(argument: &str) {
    println!("cargo:rustc-cdylib-link-arg={argument}");
}

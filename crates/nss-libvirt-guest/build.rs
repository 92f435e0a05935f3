//! How the object is linked. All arguments are known to GNU ld and to lld.

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../nss-hosts/module.ld");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={script}");
    for arg in [
        "-Wl,-soname,libnss_libvirt_guest.so.2",
        // An undefined symbol is a link error: see nss-hosts, panic.rs.
        "-Wl,-z,defs",
        "-Wl,-z,now",
        "-Wl,--as-needed",
        "-Wl,-s",
        // Nothing is to be done when the object is loaded or unloaded.
        "-nostartfiles",
        "-Wl,--no-eh-frame-hdr",
        "-T",
        script,
    ] {
        println!("cargo:rustc-cdylib-link-arg={arg}");
    }
}

//! Gives the object its SONAME and makes an undefined symbol a link error.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for arg in ["-soname,libnss_libvirt.so.2", "-z,defs", "-z,now", "--as-needed", "-s"] {
        println!("cargo:rustc-cdylib-link-arg=-Wl,{arg}");
    }
}

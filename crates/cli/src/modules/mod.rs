//! The NSS modules as they are installed.

pub(crate) mod loader;

/// The file that glibc loads for a service (nss/nss_module.c).
pub(crate) fn file_name(service: &str) -> String {
    format!("libnss_{service}.so.2")
}

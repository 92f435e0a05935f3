//! The names under which glibc finds a module.

/// Exports all entry points of the service `$service`, which look up names of this kind.
///
/// Each is as glibc's `nss/nss.h` declares it.
#[macro_export]
macro_rules! export {
    ($service:literal, $kind:expr) => {
        mod entry_points {
            use ::core::ffi::{c_char, c_int, c_void};

            use $crate::abi::{AddrTuple, HostEnt, Status};
            use $crate::hosts::{self, Caller};

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostbyname_r"))]
            unsafe extern "C" fn gethostbyname_r(
                name: *const c_char,
                result: *mut HostEnt,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                let (none, no_name) = (::core::ptr::null_mut(), ::core::ptr::null_mut());
                // SAFETY: glibc passes what its declaration says.
                unsafe {
                    hosts::by_name($kind, name, hosts::AF_INET, result, &caller, none, no_name)
                }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostbyname2_r"))]
            unsafe extern "C" fn gethostbyname2_r(
                name: *const c_char,
                af: c_int,
                result: *mut HostEnt,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                let (none, no_name) = (::core::ptr::null_mut(), ::core::ptr::null_mut());
                // SAFETY: glibc passes what its declaration says.
                unsafe { hosts::by_name($kind, name, af, result, &caller, none, no_name) }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostbyname3_r"))]
            unsafe extern "C" fn gethostbyname3_r(
                name: *const c_char,
                af: c_int,
                result: *mut HostEnt,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
                ttlp: *mut i32,
                canonp: *mut *mut c_char,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                // SAFETY: glibc passes what its declaration says.
                unsafe { hosts::by_name($kind, name, af, result, &caller, ttlp, canonp) }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostbyname4_r"))]
            unsafe extern "C" fn gethostbyname4_r(
                name: *const c_char,
                pat: *mut *mut AddrTuple,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
                ttlp: *mut i32,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                // SAFETY: glibc passes what its declaration says.
                unsafe { hosts::tuples_by_name($kind, name, pat, &caller, ttlp) }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostbyaddr_r"))]
            unsafe extern "C" fn gethostbyaddr_r(
                address: *const c_void,
                len: u32,
                af: c_int,
                result: *mut HostEnt,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                let none = ::core::ptr::null_mut();
                // SAFETY: glibc passes what its declaration says.
                unsafe { hosts::by_address($kind, address, len, af, result, &caller, none) }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostbyaddr2_r"))]
            unsafe extern "C" fn gethostbyaddr2_r(
                address: *const c_void,
                len: u32,
                af: c_int,
                result: *mut HostEnt,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
                ttlp: *mut i32,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                // SAFETY: glibc passes what its declaration says.
                unsafe { hosts::by_address($kind, address, len, af, result, &caller, ttlp) }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_sethostent"))]
            unsafe extern "C" fn sethostent(_stay_open: c_int) -> Status {
                // SAFETY: glibc holds its lock.
                unsafe { hosts::rewind() }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_endhostent"))]
            unsafe extern "C" fn endhostent() -> Status {
                // SAFETY: glibc holds its lock.
                unsafe { hosts::rewind() }
            }

            #[unsafe(export_name = concat!("_nss_", $service, "_gethostent_r"))]
            unsafe extern "C" fn gethostent_r(
                result: *mut HostEnt,
                buffer: *mut c_char,
                buflen: usize,
                errnop: *mut c_int,
                h_errnop: *mut c_int,
            ) -> Status {
                // SAFETY: glibc passes what its declaration says.
                let caller = unsafe { Caller::new(buffer, buflen, errnop, h_errnop) };
                // SAFETY: glibc passes what its declaration says, and holds its lock.
                unsafe { hosts::next($kind, result, &caller) }
            }
        }
    };
}

//! Loading a module as glibc does. All `unsafe` of the command is here.

use std::ffi::{CStr, CString};
use std::fs;
use std::path::PathBuf;

/// Loads a library by its file name, as glibc loads the module of a service (nss/nss_module.c: dlopen with
/// RTLD_NOW), and says which file that was. It stays loaded.
///
/// # Errors
/// What dlerror(3) says.
pub(crate) fn load(file_name: &str) -> Result<PathBuf, String> {
    let name = CString::new(file_name).map_err(|_| "a NUL in its name".to_owned())?;
    // SAFETY: the name is a C string. Our own modules and libvirt's run no code when they are loaded that
    // depends on anything here.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
    if handle.is_null() {
        return Err(error());
    }
    Ok(mapped(file_name).unwrap_or_else(|| file_name.into()))
}

/// What dlerror(3) has to say.
fn error() -> String {
    // SAFETY: takes nothing.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "the dynamic linker doesn't say why".into();
    }
    // SAFETY: it is a C string, and there until the next call of the dynamic linker's functions.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

/// The file of that name that is mapped into this process (proc(5)).
fn mapped(file_name: &str) -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let ending = format!("/{file_name}");
    let line = maps.lines().find(|line| line.ends_with(&ending))?;
    line.find('/').map(|at| PathBuf::from(&line[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_and_what_is_not() {
        let path = load("libc.so.6").unwrap();
        assert!(path.is_absolute() && path.ends_with("libc.so.6"), "{}", path.display());
        let why = load("libnss_no_such_service.so.2").unwrap_err();
        assert!(why.contains("cannot open shared object file"), "{why}");
    }
}

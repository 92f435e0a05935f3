//! `--port`: a number, or the name of a service.

use std::ffi::{CStr, CString};

/// Parses a port.
///
/// # Errors
/// Why it isn't one, for people.
pub(crate) fn parse(text: &str) -> Result<u16, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let port = text.parse().ok().filter(|&port: &u16| port > 0);
        return port.ok_or_else(|| "a port is a number from 1 to 65535".into());
    }
    let unknown = || format!("services(5) has no TCP service '{text}'; give its number");
    by_name(&CString::new(text).map_err(|_| unknown())?).ok_or_else(unknown)
}

fn by_name(name: &CStr) -> Option<u16> {
    // SAFETY: both are strings that end with a NUL. The answer is in static memory, which nothing else uses: the command
    // line is parsed before the first thread starts.
    let service = unsafe { libc::getservbyname(name.as_ptr(), c"tcp".as_ptr()) };
    // SAFETY: it is null or points to a whole answer.
    let service = unsafe { service.as_ref() }?;
    // In network byte order, in the low half of an int.
    Some(u16::from_be(service.s_port as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        assert_eq!(parse("22"), Ok(22));
        for bad in ["0", "65536", "", "-1", "no such service"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        // If services(5) has it, its number is this.
        assert!(matches!(parse("ssh"), Ok(22) | Err(_)));
    }
}

//! Checks whether a caching daemon answers look-ups instead of glibc.

use std::fs;
use std::os::unix::net::UnixStream;

use super::fix::Fix;
use super::{Finding, Level, System};

const CHECK: &str = "cache";

/// Seconds for which nscd remembers that a name is unknown, where nscd.conf doesn't say
/// (nscd.conf(5): negative-time-to-live; glibc's own file has 20 for hosts).
const NEGATIVE: &str = "20";

pub(super) fn check(system: &System<'_>) -> Vec<Finding> {
    if !answers(system) {
        return vec![Finding::ok(CHECK, "no nscd caches look-ups")];
    }
    if system.paths.is_this_system() && runs("nsncd") {
        let text = "nsncd answers look-ups: it loads the modules, programs don't";
        return vec![
            Finding::new(CHECK, Level::Note, text)
                .remedy("it must find the modules; restart it after they are installed or changed"),
        ];
    }
    let conf = fs::read_to_string(system.paths.nscd_conf()).unwrap_or_default();
    let option = |name: &str| {
        conf.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let found = words.next() == Some(name) && words.next() == Some("hosts");
            found.then(|| words.next().unwrap_or_default().to_owned())
        })
    };
    if option("enable-cache").is_some_and(|value| value == "no") {
        let text = "nscd runs, but doesn't cache host names";
        return vec![
            Finding::new(CHECK, Level::Note, text)
                .remedy("restart it after the modules are installed or changed"),
        ];
    }
    let seconds = option("negative-time-to-live").unwrap_or_else(|| NEGATIVE.into());
    let text = format!(
        "nscd caches look-ups: a name that was looked up before its guest had an address stays \
         unknown for {seconds} seconds"
    );
    vec![
        Finding::new(CHECK, Level::Warning, text)
            .remedy(
                "clear its cache ('sudo nscd -i hosts'), or put 'enable-cache hosts no' into \
                 /etc/nscd.conf; restart it after the modules are installed or changed",
            )
            .fix(Fix::ForgetHosts),
    ]
}

/// Whether something listens on the socket; for another system, whether the socket is there. A stale socket does no
/// harm, as glibc then does the look-up itself.
fn answers(system: &System<'_>) -> bool {
    let socket = system.paths.nscd_socket();
    match system.paths.is_this_system() {
        true => UnixStream::connect(socket).is_ok(),
        false => socket.exists(),
    }
}

/// Whether a process of that name runs (proc(5)).
fn runs(name: &str) -> bool {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut names = processes.filter_map(|process| {
        let digits = process.file_name().to_str()?.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| fs::read_to_string(process.path().join("comm")).ok())?
    });
    names.any(|comm| comm.trim_end() == name)
}

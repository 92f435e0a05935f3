//! A module in a separate process and mount namespace, called over a pipe.
//!
//! The process is this program again, started with [`SERVE`]. Each input line is a call, and each output line an
//! outcome. A module that ends the process, or never answers, has that as its outcome.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::run::BREAKS;
use abi::answer::{errno_name, h_errno_name};
use abi::c::NO_RECOVERY;
use abi::{Answer, How, Kind, Module, Modules, Query, Status, sandbox, seccomp};

/// The first argument of a serving process.
pub const SERVE: &str = "serve";

/// How long a module may take for one call.
const PATIENCE: Duration = Duration::from_secs(5);

/// A call: the query, the buffer's length, and whether the process is out of descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The query.
    pub query: Query,
    /// Length of the buffer in bytes.
    pub length: usize,
    /// How many bytes the buffer starts past a multiple of 16.
    pub offset: usize,
    /// Whether every open(2) of the call fails with ENFILE.
    pub no_descriptors: bool,
}

impl Ask {
    /// With a buffer that is large enough for every answer.
    #[must_use]
    pub fn new(query: Query) -> Ask {
        Ask { query, length: 1 << 16, offset: 0, no_descriptors: false }
    }
}

/// A serving process.
pub struct Peer {
    program: PathBuf,
    object: PathBuf,
    libraries: OsString,
    kind: Kind,
    process: Option<Process>,
}

struct Process {
    child: Child,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Peer {
    /// Serves the module of this kind from `modules`. `libraries` is the `LD_LIBRARY_PATH` that it needs, `program` the
    /// path of `compliance`.
    #[must_use]
    pub fn new(program: &Path, modules: &Modules, libraries: &OsStr, kind: Kind) -> Peer {
        Peer {
            program: program.to_owned(),
            object: modules.path(kind),
            libraries: libraries.to_owned(),
            kind,
            process: None,
        }
    }

    /// The module's answer to each call, as text: see [`outcome`]. If the module ends its process or doesn't return, it
    /// is started again for the next call.
    ///
    /// # Errors
    ///
    /// If the process can't be started, or communication with it fails.
    pub fn ask(&mut self, asks: &[Ask]) -> io::Result<Vec<String>> {
        let mut outcomes = Vec::new();
        while outcomes.len() < asks.len() {
            let process = match &mut self.process {
                Some(process) => process,
                None => self.process.insert(self.start()?),
            };
            let rest = &asks[outcomes.len()..];
            let lines: String = rest.iter().map(|ask| encode(ask) + "\n").collect();
            // If the process is gone, the answers show it.
            let _ = process.input.write_all(lines.as_bytes());
            for _ in rest {
                match process.answers.recv_timeout(PATIENCE) {
                    Ok(answer) if answer.starts_with(BREAKS) => {
                        // The process ends after that.
                        self.process = None;
                        outcomes.push(answer);
                        break;
                    }
                    Ok(answer) => outcomes.push(answer),
                    Err(error) => {
                        outcomes.push(self.end(error)?);
                        break;
                    }
                }
            }
        }
        Ok(outcomes)
    }

    fn start(&self) -> io::Result<Process> {
        let mut child = Command::new(&self.program)
            .arg(SERVE)
            .arg(&self.object)
            .arg(self.kind.service())
            .env("LD_LIBRARY_PATH", &self.libraries)
            .env_remove("LIBVIRT_NSS_DEBUG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a child without pipes"));
        };
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            // The thread ends with the process; the receiver then sees the end of the channel.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Process { child, input, answers })
    }

    /// Ends a process that doesn't answer any more, and says how it ended.
    fn end(&mut self, error: RecvTimeoutError) -> io::Result<String> {
        let Some(Process { mut child, .. }) = self.process.take() else {
            return Err(io::Error::other("no process to end"));
        };
        if error == RecvTimeoutError::Timeout {
            child.kill()?;
            child.wait()?;
            return Ok("never returns".to_owned());
        }
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        let status = child.wait()?;
        match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(libc::SIGABRT | libc::SIGSEGV) => Ok("ends the process".to_owned()),
            _ => Err(io::Error::other(format!("{}: {status}: {said}", self.object.display()))),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if let Some(Process { mut child, input, .. }) = self.process.take() {
            drop(input);
            // The process ends at the end of its input.
            let _ = child.wait();
        }
    }
}

/// The node name of a serving process.
pub const NODE_NAME: &str = "vmhost.lab.example";

/// Gives the process a mount namespace of its own, and a fixed view of whatever else modules ask the system about: a
/// node name, and no network interface except `lo`.
fn private_system() -> io::Result<()> {
    sandbox::private_mounts()?;
    sandbox::private_network()?;
    // SAFETY: it takes a number.
    if unsafe { libc::unshare(libc::CLONE_NEWUTS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the bytes of the name.
    match unsafe { libc::sethostname(NODE_NAME.as_ptr().cast(), NODE_NAME.len()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The serving process: `serve OBJECT SERVICE`, in new namespaces.
#[must_use]
pub fn serve(arguments: &[String]) -> ExitCode {
    let [object, service] = arguments else {
        eprintln!("usage: compliance {SERVE} OBJECT SERVICE");
        return ExitCode::FAILURE;
    };
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload();
        let message = message.downcast_ref::<String>().map(String::as_str);
        println!("{BREAKS}: {}", message.unwrap_or("a panic").replace('\n', " "));
        std::process::exit(0);
    }));
    let served = private_system().map_err(|error| error.to_string()).and_then(|()| {
        let module = Module::load(Path::new(object), service)?;
        for line in io::stdin().lines() {
            let line = line.map_err(|error| error.to_string())?;
            let ask = decode(&line).ok_or_else(|| format!("not a call: {line}"))?;
            let how = How { length: ask.length, offset: ask.offset, ..How::default() };
            let answer = if ask.no_descriptors {
                let refused = [(libc::SYS_openat, libc::ENFILE)];
                seccomp::with_failing(&refused, || module.ask(&ask.query, &how))
            } else {
                module.ask(&ask.query, &how)
            };
            println!("{}", answer.map_or("no such function".to_owned(), |answer| outcome(&answer)));
        }
        Ok(())
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compliance {SERVE}: {object}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// An answer as a line: `NAME: ADDRESS...` or `STATUS ERRNO H_ERRNO`. With libvirt's NO_RECOVERY, errno is whatever the
/// last system call left, so it is printed as `-`.
#[must_use]
pub fn outcome(answer: &Answer) -> String {
    if answer.status != Status::Success {
        let status = match answer.status {
            Status::TryAgain => "TRYAGAIN",
            Status::Unavail => "UNAVAIL",
            _ => "NOTFOUND",
        };
        let chance = answer.h_errno == NO_RECOVERY && answer.errno != libc::EAFNOSUPPORT;
        let errno = if chance { "-".to_owned() } else { errno_name(answer.errno) };
        return format!("{status} {errno} {}", h_errno_name(answer.h_errno));
    }
    let mut text =
        answer.names.first().map_or(String::new(), |name| name.escape_ascii().to_string());
    text.push(':');
    for address in answer.addresses_text() {
        write!(text, " {address}").expect("writing to a String succeeds");
    }
    // Values that are the same in every good answer are printed only if they differ.
    let family = answer
        .addresses
        .first()
        .map(|address| if address.ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 });
    let odd = [
        ("errno", answer.errno != 0 || answer.h_errno != 0),
        ("TTL", answer.ttl.is_some_and(|ttl| ttl != 0)),
        ("aliases", !answer.aliases.is_empty()),
        ("family", answer.family.is_some() && answer.family != family),
        (
            "canonical name",
            answer.canonical.is_some() && answer.canonical.as_ref() != answer.names.first(),
        ),
    ];
    for (what, _) in odd.iter().filter(|(_, odd)| *odd) {
        write!(text, " (odd {what})").expect("writing to a String succeeds");
    }
    text
}

fn encode(ask: &Ask) -> String {
    let none = String::new();
    let (entry, family, bytes) = match &ask.query {
        Query::Name(name) => ("name", 0, hex(name)),
        Query::Name2(name, family) => ("name2", *family, hex(name)),
        Query::Name3(name, family) => ("name3", *family, hex(name)),
        Query::Name4(name) => ("name4", 0, hex(name)),
        Query::Addr(address, family) => ("addr", *family, hex(address)),
        Query::Addr2(address, family) => ("addr2", *family, hex(address)),
        Query::Set => ("set", 0, none),
        Query::Get => ("get", 0, none),
        Query::End => ("end", 0, none),
    };
    let no_descriptors = u8::from(ask.no_descriptors);
    format!("{} {} {no_descriptors} {entry} {family} {bytes}", ask.length, ask.offset)
}

fn decode(line: &str) -> Option<Ask> {
    let [length, offset, no_descriptors, entry, family, bytes] =
        line.splitn(6, ' ').collect::<Vec<_>>().try_into().ok()?;
    let family = family.parse().ok()?;
    let bytes = unhex(bytes)?;
    let query = match entry {
        "name" => Query::Name(bytes),
        "name2" => Query::Name2(bytes, family),
        "name3" => Query::Name3(bytes, family),
        "name4" => Query::Name4(bytes),
        "addr" => Query::Addr(bytes, family),
        "addr2" => Query::Addr2(bytes, family),
        "set" => Query::Set,
        "get" => Query::Get,
        "end" => Query::End,
        _ => return None,
    };
    let (length, offset) = (length.parse().ok()?, offset.parse().ok()?);
    Some(Ask { query, length, offset, no_descriptors: no_descriptors == "1" })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Ask, decode, encode};
    use abi::Query;

    #[test]
    fn calls_survive_the_pipe() {
        let mut queries = Query::every_by_name("größe 1");
        queries.extend([Query::addr("10.0.0.1"), Query::addr2("fd00::1")]);
        queries.extend([Query::Set, Query::Get, Query::End, Query::name2("", -5)]);
        for query in queries {
            for no_descriptors in [false, true] {
                let ask = Ask { query: query.clone(), length: 77, offset: 3, no_descriptors };
                assert_eq!(decode(&encode(&ask)), Some(ask));
            }
        }
    }
}

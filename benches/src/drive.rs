//! A run of a single look-up, of which callgrind counts the instructions.

use std::ffi::OsString;
use std::hint::black_box;
use std::path::PathBuf;

use crate::contender::Kind;
use crate::error::{Context, Error, Result};
use crate::module::{Call, Module};

/// `--drive OBJECT SERVICE ENTRY-POINT NAME-OR-ADDRESS ADDRESSES TIMES`
#[derive(Debug)]
pub(crate) struct Drive {
    pub(crate) object: PathBuf,
    pub(crate) kind: Kind,
    pub(crate) call: Call,
    /// How many addresses the answer must have.
    pub(crate) addresses: usize,
    pub(crate) times: usize,
}

impl Drive {
    pub(crate) fn arguments(&self) -> [OsString; 7] {
        [
            "--drive".into(),
            self.object.clone().into(),
            self.kind.service().into(),
            self.call.entry_point().into(),
            self.call.argument().into(),
            self.addresses.to_string().into(),
            self.times.to_string().into(),
        ]
    }

    /// Parses the arguments that [`Drive::arguments`] made, without the first.
    pub(crate) fn read(arguments: impl Iterator<Item = OsString>) -> Result<Self> {
        let arguments: Vec<OsString> = arguments.collect();
        let text = |at: usize| arguments.get(at).and_then(|argument| argument.to_str());
        let words = (text(0), text(1), text(2), text(3), text(4), text(5));
        let (
            Some(object),
            Some(service),
            Some(entry_point),
            Some(argument),
            Some(addresses),
            Some(times),
        ) = words
        else {
            return Err(Error::new("--drive needs six values"));
        };
        let kind = Kind::of_service(service);
        Ok(Self {
            object: object.into(),
            kind: kind.ok_or_else(|| Error::new(format!("no service '{service}'")))?,
            call: Call::parse(entry_point, argument)?,
            addresses: addresses.parse().context(addresses)?,
            times: times.parse().context(times)?,
        })
    }
}

pub(crate) fn run(drive: &Drive) -> Result<()> {
    let module = Module::load(&drive.object, drive.kind)?;
    let mut call = module.prepare(&drive.call)?;
    for _ in 0..drive.times {
        let addresses = black_box(call());
        if addresses != drive.addresses {
            return Err(Error::new(format!(
                "{addresses} addresses in the answer to {:?}, not {}",
                drive.call, drive.addresses
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_can_be_read_again() {
        let call = Call::parse("gethostbyaddr_r", "fd00::1").expect("it is a call");
        let drive = Drive { object: "/x".into(), kind: Kind::Guest, call, addresses: 1, times: 7 };
        let read = Drive::read(drive.arguments().into_iter().skip(1)).expect("they are right");
        assert_eq!(read.arguments(), drive.arguments());
        assert!(Drive::read(["/x".into()].into_iter()).is_err());
    }
}

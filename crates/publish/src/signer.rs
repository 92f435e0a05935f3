//! What messages to the name server are signed with.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;

/// Signs messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signer {
    /// The key in this file (TSIG), as tsig-keygen(8) writes it.
    Key(PathBuf),
    /// Kerberos tickets (GSS-TSIG) that nsupdate gets with this keytab.
    Keytab(PathBuf),
    /// Kerberos tickets that someone else keeps up to date, at this place (`KRB5CCNAME` of our environment).
    Tickets(String),
}

impl Signer {
    /// Whether it is GSS-TSIG.
    #[must_use]
    pub fn is_kerberos(&self) -> bool {
        !matches!(self, Self::Key(_))
    }

    /// Has nsupdate(1) sign with it.
    ///
    /// # Errors
    /// The file can't be read. Without a key, nsupdate would send messages unsigned; without a keytab, it doesn't say that this
    /// is what is missing.
    pub(crate) fn sign(&self, nsupdate: &mut Command) -> Result<(), Failure> {
        match self {
            Self::Key(path) => nsupdate.arg("-k").arg(path),
            // Each process gets tickets of its own. So none expires, and none was made for a key that the server no longer has.
            Self::Keytab(path) => {
                nsupdate.arg("-g").env("KRB5_CLIENT_KTNAME", path).env("KRB5CCNAME", "MEMORY:")
            }
            Self::Tickets(_) => nsupdate.arg("-g"),
        };
        match self {
            Self::Key(path) | Self::Keytab(path) => match File::open(path) {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::Unreadable(guest_store::reason(&error))),
            },
            Self::Tickets(_) => Ok(()),
        }
    }

    /// Has dig(1) sign with it. It can't do so with Kerberos.
    pub(crate) fn sign_query(&self, dig: &mut Command) {
        if let Self::Key(path) = self {
            dig.arg("-k").arg(path);
        }
    }
}

//! What can go wrong between the publisher and a name server, and what to do about it.

use std::fmt;

use crate::signer::Signer;

/// Why a zone could not be updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection. Holds nsupdate's message.
    Unreachable(String),
    /// No answer in time.
    TimedOut,
    /// SERVFAIL.
    ServerFailed,
    /// BADKEY.
    UnknownKey,
    /// BADSIG.
    WrongSecret,
    /// BADTIME.
    WrongClock,
    /// The answer isn't signed, or not with the key.
    Unsigned,
    /// NOTAUTH.
    NotAuthoritative,
    /// REFUSED.
    Refused,
    /// NOTZONE.
    NotZone,
    /// NOTIMP.
    NotImplemented,
    /// A query was answered with this response code.
    Query(String),
    /// Another response code, or another message of nsupdate(1) or dig(1).
    Other(String),
    /// The key or the keytab can't be read. Holds the reason.
    Unreadable(String),
    /// There is no Kerberos ticket for the server. Holds the reason, as the Kerberos library says it.
    NoTicket(String),
    /// The server doesn't accept the Kerberos ticket. Holds nsupdate's message.
    TicketRefused(String),
    /// A program can't be run.
    Program {
        /// Its name.
        program: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// What a failure is about, for its messages.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// The server, as it is in the configuration.
    pub server: &'a str,
    /// The zone.
    pub zone: &'a str,
    /// What messages are signed with, with the paths that the administrator knows.
    pub signer: &'a Signer,
}

impl Failure {
    /// The server's response code, if there was one (RFC 2136, section 2.2; RFC 8945, section 3), else our own word in lower
    /// case.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timeout",
            Self::ServerFailed => "SERVFAIL",
            Self::UnknownKey => "BADKEY",
            Self::WrongSecret => "BADSIG",
            Self::WrongClock => "BADTIME",
            Self::Unsigned => "unsigned",
            Self::NotAuthoritative => "NOTAUTH",
            Self::Refused => "REFUSED",
            Self::NotZone => "NOTZONE",
            Self::NotImplemented => "NOTIMP",
            Self::Query(code) | Self::Other(code) => code,
            Self::Unreadable(_) => "unreadable",
            Self::NoTicket(_) => "no ticket",
            Self::TicketRefused(_) => "ticket refused",
            Self::Program { .. } => "program",
        }
    }

    /// The failure for a response code to an update, as printed by nsupdate(1).
    #[must_use]
    pub fn from_code(code: &str) -> Self {
        match code {
            "SERVFAIL" => Self::ServerFailed,
            "NOTAUTH(BADKEY)" | "BADKEY" => Self::UnknownKey,
            "NOTAUTH(BADSIG)" | "BADSIG" | "BADVERS" => Self::WrongSecret,
            "NOTAUTH(BADTIME)" | "BADTIME" => Self::WrongClock,
            "NOTAUTH" => Self::NotAuthoritative,
            "REFUSED" => Self::Refused,
            "NOTZONE" => Self::NotZone,
            "NOTIMP" => Self::NotImplemented,
            other => Self::Other(other.into()),
        }
    }

    /// Whether the server may have applied the message in spite of the failure.
    #[must_use]
    pub fn may_have_been_applied(&self) -> bool {
        match self {
            Self::TimedOut | Self::ServerFailed | Self::Unsigned | Self::Other(_) => true,
            // A connection that broke later may have delivered the message.
            Self::Unreachable(why) => !why.contains("refused") && !why.contains("unreachable"),
            _ => false,
        }
    }

    /// Whether it may pass by itself. All other failures need a person, and are retried less often.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::ServerFailed => true,
            Self::NoTicket(why) => why.starts_with(NO_KDC),
            _ => false,
        }
    }

    /// What failed, in one sentence without a full stop.
    #[must_use]
    pub fn what(&self, about: About<'_>) -> String {
        let About { server, zone, signer } = about;
        let key = key_text(signer);
        match self {
            Self::Unreachable(why) => format!("cannot reach {server}: {why}"),
            // nsupdate doesn't say for which of them it waits.
            Self::TimedOut if signer.is_kerberos() => {
                format!("{server} or a KDC does not answer")
            }
            Self::TimedOut => format!("{server} does not answer"),
            Self::ServerFailed => {
                format!("{server} cannot serve or update {zone} at the moment (SERVFAIL)")
            }
            Self::UnknownKey => {
                format!("{server} does not know {key}, or does not allow it to do this (BADKEY)")
            }
            Self::WrongSecret => format!("{server} has a different secret for {key} (BADSIG)"),
            Self::WrongClock => {
                format!("the clocks of this host and {server} differ too much (BADTIME)")
            }
            Self::Unsigned => format!("the answer of {server} is not signed correctly with {key}"),
            Self::NotAuthoritative => format!(
                "{server} is not the primary server of {zone}, or does not accept {key} (NOTAUTH)"
            ),
            Self::Refused => format!("{server} refuses updates of {zone} with {key} (REFUSED)"),
            Self::NotZone => {
                format!("{server} does not have all names below {zone} in that zone (NOTZONE)")
            }
            Self::NotImplemented => format!("{server} does not support updates (NOTIMP)"),
            Self::Query(code) => format!("{server} answers queries for {zone} with {code}"),
            Self::Other(words) => format!("{server} did not update {zone}: {words}"),
            Self::Unreadable(why) => format!("cannot read {key}: {why}"),
            Self::NoTicket(why) => {
                let is_keytab = matches!(signer, Signer::Keytab(_));
                let why = match why.strip_prefix(NO_CREDENTIALS) {
                    Some(_) if is_keytab => "it has no key",
                    Some(_) => "there are none",
                    None => why,
                };
                let action = if is_keytab { "get a Kerberos ticket with" } else { "use" };
                format!("cannot {action} {key}: {why}")
            }
            Self::TicketRefused(why) => {
                format!("{server} does not accept this host's Kerberos ticket: {why}")
            }
            Self::Program { program, why } => format!("{program} cannot be used: {why}"),
        }
    }

    /// What to do next, as a command or an instruction. Servers use the same code for different things, so the most likely one
    /// comes first.
    #[must_use]
    pub fn next_step(&self, about: About<'_>) -> String {
        let About { server, zone, signer } = about;
        match self {
            Self::Unreachable(_) | Self::TimedOut => {
                let step = format!(
                    "check 'server' and 'port' in libvirt-nss.toml, and that {server} accepts DNS over UDP and TCP from here: \
                     dig @{server} {zone} SOA"
                );
                match self {
                    Self::TimedOut if signer.is_kerberos() => {
                        format!("{step}; and that a KDC answers: {}", kinit(signer))
                    }
                    _ => step,
                }
            }
            Self::ServerFailed => format!(
                "see the log of {server}: the server could not load {zone}, cannot write its journal or database or, as a \
                 secondary server, cannot reach the primary server"
            ),
            Self::UnknownKey => format!(
                "compare the key's name and algorithm on both sides; in Knot, also allow the key to update {zone} (acl)"
            ),
            Self::WrongSecret => match signer {
                Signer::Key(key) => format!(
                    "copy the server's key to {}, then: systemctl restart libvirt-nss-publish",
                    key.display()
                ),
                _ => format!("see the log of {server}"),
            },
            Self::WrongClock => String::from("synchronize both clocks; see timedatectl(1)"),
            Self::Unsigned if signer.is_kerberos() => format!(
                "update {server} if it is Samba, whose signatures are wrong in 4.17 and right in 4.22; otherwise check that nothing \
                 between here and {server} modifies DNS messages, and see its log"
            ),
            Self::Unsigned => format!(
                "check that nothing between here and {server} modifies DNS messages, and see its log"
            ),
            Self::NotAuthoritative => format!(
                "run: dig +norecurse @{server} {zone} SOA; without the flag aa in the answer, set 'server' and 'zone' in \
                 libvirt-nss.toml to the primary server and its zone; with it, compare the key's name and algorithm on both \
                 sides, and allow the key to update {zone} (acl in Knot)"
            ),
            Self::Refused if signer.is_kerberos() => format!(
                "allow updates of {zone} by this principal: update-policy in BIND, the permissions of the zone and its records in \
                 Active Directory; a secondary server may refuse all updates"
            ),
            Self::Refused => format!(
                "allow updates of {zone} with this key: update-policy in BIND; TSIG-ALLOW-DNSUPDATE, dnsupdate and \
                 allow-dnsupdate-from in PowerDNS, which also refuses a wrong key or clock this way; a secondary server may \
                 refuse all updates"
            ),
            Self::NotZone => String::from(
                "set 'zone' and 'reverse-zones' in libvirt-nss.toml to the server's zones",
            ),
            Self::NotImplemented => format!(
                "set 'server' in libvirt-nss.toml to the primary server of {zone} (see: dig {zone} SOA); resolvers don't \
                 support updates"
            ),
            Self::Query(_) if signer.is_kerberos() => format!(
                "check that {server} has the zone {zone}, and allows this host to query it by its address (allow-query in BIND), as \
                 queries are not signed with Kerberos"
            ),
            Self::Query(_) => format!(
                "check that {server} has the zone {zone}, and allows this host to query it with the key (allow-query in BIND)"
            ),
            Self::Other(_) => format!("see the log of {server}"),
            Self::Unreadable(_) => {
                let made = if signer.is_kerberos() { "ktadd of kadmin" } else { "tsig-keygen" };
                format!(
                    "put it there, as {made} writes it, then: systemctl restart libvirt-nss-publish"
                )
            }
            Self::NoTicket(why) => next_step_for_a_ticket(why, about),
            Self::TicketRefused(_) => format!(
                "give {server} the present key of {} (in BIND: tkey-gssapi-keytab), and see its log",
                service_principal(zone)
            ),
            Self::Program { program, .. } => {
                format!("install {program} (Debian: bind9-dnsutils)")
            }
        }
    }
}

/// How messages of MIT Kerberos begin when no KDC answers, and when there is neither a key nor a ticket to begin with.
const NO_KDC: &str = "Cannot contact any KDC";
const NO_CREDENTIALS: &str = "SPNEGO cannot find mechanisms";

fn next_step_for_a_ticket(why: &str, about: About<'_>) -> String {
    let try_it = kinit(about.signer);
    if why.starts_with(NO_KDC) {
        return format!(
            "check that /etc/krb5.conf or the DNS names the realm's KDCs, and that they run; try: {try_it}"
        );
    }
    if why.starts_with("Server ") {
        return format!(
            "create {} in the realm, and give its key to {}",
            service_principal(about.zone),
            about.server
        );
    }
    match about.signer {
        Signer::Tickets(_) => String::from("renew the tickets there (kinit)"),
        _ => format!(
            "try: {try_it}; if that fails, renew the keytab, then: systemctl restart libvirt-nss-publish"
        ),
    }
}

/// The command that gets a ticket.
fn kinit(signer: &Signer) -> String {
    match signer {
        Signer::Keytab(keytab) => {
            let keytab = keytab.display();
            format!("kinit -k -t {keytab} PRINCIPAL, with one of: klist -k {keytab}")
        }
        _ => String::from("kinit"),
    }
}

/// The principal for which nsupdate(1) wants a ticket.
fn service_principal(zone: &str) -> String {
    format!(
        "the principal DNS/NAME, where NAME is the primary server's in the SOA record of {zone}"
    )
}

fn key_text(signer: &Signer) -> String {
    match signer {
        Signer::Key(path) => format!("the key in {}", path.display()),
        Signer::Keytab(path) => format!("the keytab {}", path.display()),
        Signer::Tickets(cache) => format!("the Kerberos tickets in {cache}"),
    }
}

/// Only the code. Messages for the user need [`About`].
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl std::error::Error for Failure {}

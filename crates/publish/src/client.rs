//! Talks to the name server with BIND's programs: nsupdate(1) sends updates, dig(1) reads records.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::process::Command;
use std::time::Duration;

use crate::failure::Failure;
use crate::process::{self, Output};
use crate::record::{DnsRecord, canonical, owned_name, owner_name, owner_of};
use crate::signer::Signer;
use crate::update::Message;
use crate::zone::{Answer, Seen, Server};

/// How long a message may take: nsupdate's own limit, with three tries over UDP.
const MESSAGE_SECONDS: u64 = 12;

/// How long a server may take to answer one query of dig, in seconds.
const QUERY_SECONDS: &str = "3";

/// The number of names in one run of dig, with up to three queries for each.
const NAMES_AT_ONCE: usize = 200;

/// How long one run of dig may take.
const LOOK: Duration = Duration::from_secs(20);

/// How long the transfer of a zone may take.
const TRANSFER: Duration = Duration::from_secs(120);

/// How to reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// A host name or an address.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// What messages are signed with.
    pub signer: Signer,
    /// The records' TTL in seconds.
    pub ttl: u32,
}

impl Client {
    fn nsupdate(&self, message: &Message) -> Result<Command, Failure> {
        let mut command = Command::new("nsupdate");
        self.signer.sign(&mut command)?;
        command.args(["-t", &MESSAGE_SECONDS.to_string(), "-u", "3", "-r", "2"]);
        if message.wants_tcp() {
            command.arg("-v");
        }
        Ok(command)
    }

    fn dig(&self) -> Command {
        let mut command = Command::new("dig");
        // Ignore any .digrc.
        command.arg("-r").arg(format!("@{}", self.server)).args(["-p", &self.port.to_string()]);
        // BIND may show the zone only to clients with the key (views).
        self.signer.sign_query(&mut command);
        let time = format!("+time={QUERY_SECONDS}");
        let options = ["+tcp", "+tries=1", "+norecurse", "+noedns", "+noall", "+comments"];
        // With the additional section, dig prints the signature's error.
        command.args(options).args(["+answer", "+additional", &time]);
        command
    }

    /// Transfers all records of a zone, by name.
    ///
    /// # Errors
    /// The server doesn't answer, or refuses the transfer.
    pub fn transfer(&self, zone: &str) -> Result<BTreeMap<String, Seen>, Failure> {
        let mut command = self.dig();
        command.args([&format!("{zone}."), "AXFR"]);
        let output = run(&mut command, "", TRANSFER)?;
        let mut seen = BTreeMap::new();
        let failed = output.stdout.lines().any(|line| line.contains("Transfer failed"));
        read_answers(&output.stdout, &mut seen)?;
        match output.status {
            Some(status) if status.success() && !failed => Ok(seen),
            Some(_) => Err(unread(&output)),
            None => Err(Failure::TimedOut),
        }
    }
}

impl Server for Client {
    fn send(&mut self, message: &Message) -> Answer {
        let mut nsupdate = match self.nsupdate(message) {
            Ok(nsupdate) => nsupdate,
            Err(failure) => return Answer::Failed(failure),
        };
        let server = format!("server {} {}\n", self.server, self.port);
        let script = server + &message.script(self.ttl);
        let limit = Duration::from_secs(MESSAGE_SECONDS + 3);
        match run(&mut nsupdate, &script, limit) {
            Ok(output) => answer(&output, &self.signer),
            Err(failure) => Answer::Failed(failure),
        }
    }

    fn look(&mut self, names: &[&str]) -> Result<BTreeMap<String, Seen>, Failure> {
        let mut seen: BTreeMap<String, Seen> =
            names.iter().map(|name| ((*name).to_owned(), Seen::default())).collect();
        for names in names.chunks(NAMES_AT_ONCE) {
            let questions: Vec<String> = names.iter().flat_map(|name| questions(name)).collect();
            let mut command = self.dig();
            command.args(["+keepopen", "-f", "-"]);
            let output = run(&mut command, &(questions.join("\n") + "\n"), LOOK)?;
            let answers = read_answers(&output.stdout, &mut seen)?;
            if output.status.is_none() {
                return Err(Failure::TimedOut);
            }
            if answers != questions.len() {
                return Err(unread(&output));
            }
        }
        Ok(seen)
    }
}

/// The queries for a name.
fn questions(name: &str) -> Vec<String> {
    let kinds: &[&str] = if name.ends_with(".arpa") { &["PTR"] } else { &["A", "AAAA"] };
    let records = kinds.iter().map(|kind| format!("{name}. {kind}"));
    records.chain([format!("{}. TXT", owner_name(name))]).collect()
}

fn run(command: &mut Command, input: &str, limit: Duration) -> Result<Output, Failure> {
    process::run(command, input, limit).map_err(|error| {
        let program = if command.get_program() == OsStr::new("dig") { "dig" } else { "nsupdate" };
        let why = match error.kind() {
            io::ErrorKind::NotFound => String::from("not installed"),
            _ => guest_store::reason(&error),
        };
        Failure::Program { program, why }
    })
}

/// The result of a message, from nsupdate's output.
fn answer(output: &Output, signer: &Signer) -> Answer {
    let lines = || output.stderr.lines().map(str::trim);
    let after = |prefix: &str| lines().find_map(|line| line.strip_prefix(prefix));
    let code = after("update failed: ");
    let is_signed = after("; TSIG error with server: ").is_none();
    if let Some(line) = lines().find(|line| line.starts_with("could not read key")) {
        return Answer::Failed(Failure::Unreadable(line.to_owned()));
    }
    if let Some(failure) = lines().find_map(kerberos_failure) {
        return Answer::Failed(failure);
    }
    match code {
        Some("YXDOMAIN" | "YXRRSET" | "NXDOMAIN" | "NXRRSET") => {
            // Anyone could have sent an answer that isn't signed. Samba signs no answer but success. With Kerberos that makes no
            // difference: dig's answers, from which the reason is known, aren't signed either.
            let counts = is_signed || signer.is_kerberos();
            return if counts { Answer::Unmet } else { Answer::Failed(Failure::Unsigned) };
        }
        Some(code) => return Answer::Failed(Failure::from_code(code)),
        None if !is_signed => return Answer::Failed(Failure::Unsigned),
        None => {}
    }
    let Some(status) = output.status else { return Answer::Failed(Failure::TimedOut) };
    if status.success() {
        return Answer::Done;
    }
    let words = |text: &str| text.trim_start_matches([';', ' ']).to_owned();
    let failure = match lines().find(|line| line.contains("failed: ")) {
        Some(line) if line.ends_with("timed out") => Failure::TimedOut,
        Some(line) => match line.rsplit("failed: ").next().unwrap_or(line) {
            "SERVFAIL" => Failure::ServerFailed,
            // `nsupdate -g` first asks, unsigned, for the zone's SOA record.
            code if code.bytes().all(|byte| byte.is_ascii_uppercase()) => {
                Failure::Query(code.into())
            }
            why => Failure::Unreachable(why.to_owned()),
        },
        None => match lines().find(|line| !line.is_empty()) {
            Some(line) if line.starts_with("couldn't get address") => {
                Failure::Unreachable(String::from("unknown host name"))
            }
            Some(_) => Failure::Other(lines().map(words).collect::<Vec<_>>().join("; ")),
            None => Failure::Other(format!("nsupdate failed: {status}")),
        },
    };
    Answer::Failed(failure)
}

/// The failure in a line of `nsupdate -g` from before it sends the message.
fn kerberos_failure(line: &str) -> Option<Failure> {
    if let Some(error) = line.strip_prefix("tkey query failed: ") {
        // "GSSAPI error: Major = ..., Minor = ...."
        let why = error.rsplit("Minor = ").next().unwrap_or(error);
        return Some(Failure::NoTicket(why.trim_end_matches('.').into()));
    }
    if let Some(why) = line.strip_prefix("dns_tkey_gssnegotiate: ") {
        return Some(Failure::TicketRefused(why.trim().into()));
    }
    // The server answers the request for a key with an error: it isn't set up for Kerberos.
    if line.starts_with("response to GSS-TSIG query was unsuccessful") {
        return Some(Failure::TicketRefused(line.into()));
    }
    let is_unknown_zone = line.starts_with("specified zone '") && line.ends_with("(NXDOMAIN)");
    is_unknown_zone.then_some(Failure::NotAuthoritative)
}

/// Reads dig's output. Returns the number of answers.
fn read_answers(text: &str, seen: &mut BTreeMap<String, Seen>) -> Result<usize, Failure> {
    let (mut answers, mut is_signed, mut is_answer) = (0, true, true);
    for line in text.lines() {
        if line.contains("Couldn't verify signature") {
            is_signed = false;
        } else if let Some((_, status)) = line.split_once("status: ") {
            match status.split(',').next().unwrap_or("") {
                "NOERROR" | "NXDOMAIN" if is_signed => {}
                "NOERROR" | "NXDOMAIN" => return Err(Failure::Unsigned),
                code => return Err(query_failure(code, text)),
            }
            answers += 1;
            is_answer = true;
        } else if line.starts_with(";; ADDITIONAL SECTION") {
            is_answer = false;
        } else if is_answer && !line.starts_with(';') {
            read_record(line, seen);
        }
    }
    Ok(answers)
}

/// The failure for a response code to a query. dig prints the signature's error in the TSIG record that follows.
fn query_failure(code: &str, text: &str) -> Failure {
    let mut signatures = text.lines().filter(|line| line.contains("\tTSIG\t"));
    let error = signatures.find_map(|line| {
        line.split_whitespace().find(|word| ["BADKEY", "BADSIG", "BADTIME"].contains(word))
    });
    match error.unwrap_or(code) {
        code @ ("BADKEY" | "BADSIG" | "BADTIME" | "NOTAUTH" | "SERVFAIL") => {
            Failure::from_code(code)
        }
        code => Failure::Query(code.into()),
    }
}

fn read_record(line: &str, seen: &mut BTreeMap<String, Seen>) {
    let mut words = line.split_whitespace();
    let (Some(name), Some(_), Some("IN"), Some(kind)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return;
    };
    let name = canonical(name);
    let data = line.split_once(kind).map_or("", |(_, data)| data.trim());
    match kind {
        "TXT" => {
            let Some((owned, host)) = owned_name(&name).zip(owner_of(data)) else { return };
            seen.entry(owned.into()).or_default().owner = Some(host.to_ascii_lowercase());
        }
        "CNAME" => seen.entry(name).or_default().is_alias = true,
        kind => {
            if let Ok(record) = format!("{kind} {data}").parse::<DnsRecord>() {
                seen.entry(name).or_default().records.insert(record);
            }
        }
    }
}

/// Why dig printed fewer answers than there were queries.
fn unread(output: &Output) -> Failure {
    let lines = || output.stdout.lines().chain(output.stderr.lines()).map(str::trim);
    if lines().any(|line| line.contains("timed out")) {
        return Failure::TimedOut;
    }
    if lines().any(|line| line.contains("Transfer failed")) {
        return Failure::Other(String::from("the zone transfer was refused"));
    }
    match lines().find(|line| line.contains("failed: ")) {
        Some(line) => Failure::Unreachable(
            line.rsplit("failed: ").next().unwrap_or(line).trim_end_matches('.').to_owned(),
        ),
        None => Failure::Other(String::from("some queries were not answered")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    fn output(code: i32, stderr: &str) -> Output {
        let status = Some(ExitStatus::from_raw(code << 8));
        Output { status, stdout: String::new(), stderr: stderr.into() }
    }

    #[test]
    fn output_of_nsupdate() {
        use Failure::*;
        let key = Signer::Key("/k".into());
        let tsig = "; TSIG error with server: tsig indicates error\n";
        let cases = [
            (0, String::new(), Answer::Done),
            (2, "update failed: YXDOMAIN\n".into(), Answer::Unmet),
            (2, "update failed: NXRRSET\n".into(), Answer::Unmet),
            (2, "update failed: REFUSED\n".into(), Answer::Failed(Refused)),
            (2, "update failed: SERVFAIL\n".into(), Answer::Failed(ServerFailed)),
            (2, "update failed: NOTZONE\n".into(), Answer::Failed(NotZone)),
            (2, "update failed: NOTAUTH\n".into(), Answer::Failed(NotAuthoritative)),
            (2, format!("{tsig}update failed: NOTAUTH(BADKEY)\n"), Answer::Failed(UnknownKey)),
            (2, format!("{tsig}update failed: NOTAUTH(BADSIG)\n"), Answer::Failed(WrongSecret)),
            (2, format!("{tsig}update failed: NOTAUTH(BADTIME)\n"), Answer::Failed(WrongClock)),
            (
                2,
                "; TSIG error with server: expected a TSIG or SIG(0)\nupdate failed: REFUSED\n"
                    .into(),
                Answer::Failed(Refused),
            ),
            (
                2,
                "; TSIG error with server: expected a TSIG or SIG(0)\nupdate failed: YXDOMAIN\n"
                    .into(),
                Answer::Failed(Unsigned),
            ),
            (
                2,
                "; TSIG error with server: expected a TSIG or SIG(0)\n".into(),
                Answer::Failed(Unsigned),
            ),
            (
                2,
                "; Communication with 127.0.0.1#53 failed: timed out\n".into(),
                Answer::Failed(TimedOut),
            ),
            (
                2,
                "; Communication with 127.0.0.1#53 failed: connection refused\n".into(),
                Answer::Failed(Unreachable("connection refused".into())),
            ),
            (
                1,
                "couldn't get address for 'ns.invalid': not found\nsyntax error\n".into(),
                Answer::Failed(Unreachable("unknown host name".into())),
            ),
            (
                1,
                "; Communication with 127.0.0.1#53 failed: REFUSED\ncould not reach any name server\n".into(),
                Answer::Failed(Query("REFUSED".into())),
            ),
            (
                2,
                "specified zone 'site.example' does not exist (NXDOMAIN)\n".into(),
                Answer::Failed(NotAuthoritative),
            ),
            (
                2,
                "tkey query failed: GSSAPI error: Major = Unspecified GSS failure.  Minor code may provide more information, \
                 Minor = Ticket expired.\n".into(),
                Answer::Failed(NoTicket("Ticket expired".into())),
            ),
            (
                1,
                "dns_tkey_gssnegotiate: TKEY is unacceptable \n".into(),
                Answer::Failed(TicketRefused("TKEY is unacceptable".into())),
            ),
            (
                1,
                "could not read key from /k.{private,key}: file not found\n".into(),
                Answer::Failed(Unreadable(
                    "could not read key from /k.{private,key}: file not found".into(),
                )),
            ),
        ];
        for (code, stderr, expected) in cases {
            assert_eq!(answer(&output(code, &stderr), &key), expected, "{stderr}");
        }
        let killed = Output { status: None, stdout: String::new(), stderr: String::new() };
        assert_eq!(answer(&killed, &key), Answer::Failed(TimedOut));
        let tickets = Signer::Tickets("MEMORY:".into());
        let samba =
            output(2, "; TSIG error with server: tsig verify failure\nupdate failed: YXDOMAIN\n");
        assert_eq!(answer(&samba, &tickets), Answer::Unmet);
        let samba = output(2, "; TSIG error with server: tsig verify failure\n");
        assert_eq!(answer(&samba, &tickets), Answer::Failed(Unsigned));
    }

    #[test]
    fn output_of_dig() {
        let text = "\
;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 1
;; flags: qr aa; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1

;; ANSWER SECTION:
Web.site.example.\t60\tIN\tA\t192.0.2.1

;; Got answer:
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 2
_libvirt-nss.web.site.example. 60 IN\tTXT\t\"libvirt-nss host=alpha\"
;; ->>HEADER<<- opcode: QUERY, status: NXDOMAIN, id: 3
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 4
www.site.example. 60 IN CNAME web.site.example.
site.example. 60 IN TXT \"libvirt-nss host=beta\"

;; ADDITIONAL SECTION:
ns.site.example.\t60\tIN\tA\t192.0.2.53

;; TSIG PSEUDOSECTION:
publish.\t\t0\tANY\tTSIG\thmac-sha256. 1700000000 300 32 bWFj 1 NOERROR 0
";
        let mut seen = BTreeMap::new();
        assert_eq!(read_answers(text, &mut seen), Ok(4));
        let web = Seen {
            owner: Some("alpha".into()),
            records: ["A 192.0.2.1".parse().unwrap()].into(),
            is_alias: false,
        };
        let alias = Seen { is_alias: true, ..Seen::default() };
        let expected = [("web.site.example", web), ("www.site.example", alias)];
        assert_eq!(seen, expected.map(|(name, seen)| (name.to_owned(), seen)).into());
        let failure = |text: &str| read_answers(text, &mut BTreeMap::new()).unwrap_err();
        let header =
            |status: &str| format!(";; ->>HEADER<<- opcode: QUERY, status: {status}, id: 1\n");
        assert_eq!(failure(&header("REFUSED")), Failure::Query("REFUSED".into()));
        assert_eq!(failure(&header("SERVFAIL")), Failure::ServerFailed);
        assert_eq!(failure(&header("NOTAUTH")), Failure::NotAuthoritative);
        let unsigned = ";; Couldn't verify signature: expected a TSIG or SIG(0)\n";
        assert_eq!(failure(&(unsigned.to_owned() + &header("NOERROR"))), Failure::Unsigned);
        for (error, expected) in [
            ("BADKEY", Failure::UnknownKey),
            ("BADSIG", Failure::WrongSecret),
            ("BADTIME", Failure::WrongClock),
        ] {
            let text = format!(
                ";; Couldn't verify signature: tsig indicates error\n{};; TSIG PSEUDOSECTION:\n\
                 publish.\t\t0\tANY\tTSIG\thmac-sha256. 1700000000 300 0 1 {error} 0\n",
                header("NOTAUTH")
            );
            assert_eq!(failure(&text), expected);
        }
    }
}

//! A Kerberos realm: MIT's KDC on a port of the loopback interface. Its programs are where those of
//! [`crate::name_server`] are.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use crate::name_server::{
    ZONE, command, free_port, libraries, missing, moved_clock, program, run, spawn,
};
use crate::scratch::Scratch;

/// The realm's name.
pub const REALM: &str = "SITE.EXAMPLE";

/// Since Debian 13, kinit(1) is an alternative, which exists only where the package is installed and not just unpacked.
fn kinit() -> &'static str {
    if program("kinit.mit").is_some() { "kinit.mit" } else { "kinit" }
}

/// A realm.
pub struct Realm {
    directory: Scratch,
    process: Option<Child>,
}

impl Realm {
    /// Whether everything that it needs is installed. If not, the test is skipped, which is a failure with `CI=true`.
    ///
    /// # Panics
    /// It isn't installed, and `CI` is `true`.
    #[must_use]
    pub fn is_installed() -> bool {
        !missing(&["krb5kdc", "kdb5_util", "kadmin.local", kinit()])
    }

    /// Starts a KDC with no principals but its own.
    ///
    /// # Panics
    /// It doesn't start.
    #[must_use]
    pub fn start() -> Self {
        let (port, directory) = (free_port(), Scratch::new());
        let place = directory.path().display();
        // Where it isn't installed, the KDC has to be told where its database's module is.
        let modules =
            libraries().map(|path| path.join("krb5/plugins/kdb")).filter(|path| path.exists());
        let modules =
            modules.map(|path| format!("db_module_dir = {}\n", path.display())).unwrap_or_default();
        let text = format!(
            "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\n[realms]\n{REALM} = {{\nkdc = 127.0.0.1:{port}\n\
             kdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\ndatabase_name = {place}/principal\n\
             key_stash_file = {place}/stash\nacl_file = {place}/acl\n}}\n[dbmodules]\n{modules}[logging]\nkdc = STDERR\n"
        );
        directory.write("krb5.conf", text);
        let mut realm = Self { directory, process: None };
        run(realm.command("kdb5_util").args(["create", "-s", "-P", "password"]));
        realm.resume();
        realm
    }

    /// The configuration, for `KRB5_CONFIG`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("krb5.conf")
    }

    fn command(&self, name: &str) -> Command {
        let mut command = command(name);
        command.env("KRB5_CONFIG", self.config()).env("KRB5_KDC_PROFILE", self.config());
        command
    }

    fn kadmin(&self, query: &str) {
        run(self.command("kadmin.local").args(["-q", query]));
    }

    /// Creates a principal, and returns the keytab of that name. If there is such a principal, it gets another key.
    ///
    /// # Panics
    /// It can't be created.
    #[must_use]
    pub fn keytab(&self, principal: &str) -> PathBuf {
        let path = self.directory.join(format!("{}.keytab", principal.replace('/', "-")));
        self.kadmin(&format!("addprinc -randkey {principal}"));
        self.kadmin(&format!("ktadd -k {} {principal}", path.display()));
        assert!(path.exists(), "{principal}");
        path
    }

    /// Gives a principal another key than its keytab has.
    ///
    /// # Panics
    /// It can't be changed.
    pub fn change_key(&self, principal: &str) {
        self.kadmin(&format!("change_password -randkey {principal}"));
    }

    /// Gets a ticket that expired half an hour ago. Returns where it is, for `KRB5CCNAME`.
    ///
    /// # Panics
    /// The KDC or kinit(1) fails.
    pub fn expired_ticket(&mut self, principal: &str, keytab: &Path) -> String {
        let cache = format!("FILE:{}", self.directory.join("tickets").display());
        let clock = moved_clock(&self.directory, -3600);
        self.kill();
        self.start_kdc(Some(&clock));
        let mut kinit = self.command(kinit());
        kinit.args(["-l", "30m", "-c", &cache, "-k", "-t"]).arg(keytab).arg(principal);
        run(kinit.env("LD_PRELOAD", clock));
        self.kill();
        self.resume();
        cache
    }

    /// Starts the KDC again.
    ///
    /// # Panics
    /// It doesn't start.
    pub fn resume(&mut self) {
        self.start_kdc(None);
    }

    fn start_kdc(&mut self, clock: Option<&Path>) {
        let mut command = self.command("krb5kdc");
        command.arg("-n");
        if let Some(clock) = clock {
            command.env("LD_PRELOAD", clock);
        }
        self.process = Some(spawn(&mut command, |line| line.contains("commencing operation")));
    }

    /// Kills the KDC.
    ///
    /// # Panics
    /// It can't be killed.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
        }
    }

    /// Creates the principal of a name server of [`ZONE`], and returns its keytab.
    ///
    /// # Panics
    /// It can't be created.
    #[must_use]
    pub fn name_server_keytab(&self) -> PathBuf {
        self.keytab(&name_server_principal())
    }

    /// Gives the name server's principal another key.
    ///
    /// # Panics
    /// It can't be changed.
    pub fn change_name_server_key(&self) {
        self.change_key(&name_server_principal());
    }
}

/// For GSS-TSIG, it is named after the primary server in the zone's SOA record.
fn name_server_principal() -> String {
    format!("DNS/ns.{ZONE}")
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.kill();
    }
}

//! `libvirt-nss-publish --check`.

use std::process::{Command, Output};

use testkit::scratch::Scratch;

fn checked(configuration: &str) -> Output {
    let directory = Scratch::new();
    directory.write("f.toml", configuration);
    let mut command = Command::new(env!("CARGO_BIN_EXE_libvirt-nss-publish"));
    command.arg("--check").arg("--config").arg(directory.join("f.toml"));
    command.env_remove("JOURNAL_STREAM").output().expect("the program runs")
}

#[test]
fn a_valid_table() {
    let output = checked(
        "hold = \"not read here\"\n[publish]\nserver = \"ns1\"\nzone = \"Site.example\"\nhost = \"rack1\"\n\
         reverse-zones = [\"2.0.192.in-addr.arpa\"]\n",
    );
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text, "rack1 publishes in site.example, 2.0.192.in-addr.arpa on ns1, port 53\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_invalid_table() {
    for (configuration, expected) in [
        ("[publish]\nserver = \"ns1\"\nzone = \"\"\n", "f.toml:3: zone: \"\" is not a domain name"),
        ("hold = 9\n", "has no table [publish]"),
    ] {
        let output = checked(configuration);
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(text.contains(expected), "{text}");
        assert_eq!((output.stdout.len(), output.status.code()), (0, Some(78)));
    }
}

//! The configuration file as it is documented: packaging/libvirt-nss.toml, and its manual page.

/// The file with every key that is commented out in it.
#[must_use]
pub fn with_every_key() -> String {
    let lines = include_str!("../../../packaging/libvirt-nss.toml").lines();
    lines
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The manual page, without the backslashes of its hyphens.
#[must_use]
pub fn manual_page() -> String {
    include_str!("../../../packaging/man/libvirt-nss.toml.5").replace('\\', "")
}

/// The keys of a table, as the error for an unknown key lists them.
///
/// # Panics
/// It is another error.
pub fn expected_keys(error: &str) -> impl Iterator<Item = &str> {
    let (_, keys) = error.split_once("expected one of ").expect("a list of keys");
    keys.split(", ").map(|key| key.trim_matches('\''))
}

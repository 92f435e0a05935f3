//! The manual pages: what clap_mangen makes of the definitions, and what help doesn't have: exit statuses, files,
//! environment and related pages.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::COMMAND;
use crate::ssh::drop_in;
use crate::status::Status;

/// The heading of the examples in help.
const EXAMPLES: &str = "Examples:\n";

/// Every page: its file's name and its text, in roff.
pub(crate) fn pages(mut command: Command) -> Vec<(String, Vec<u8>)> {
    command.build();
    let subcommands = subcommands(&command);
    let names: Vec<String> = subcommands.iter().map(page_name).collect();
    let mut pages = vec![page(command, &names)];
    pages.extend(subcommands.into_iter().map(|subcommand| page(subcommand, &names)));
    pages
}

/// All that help shows, including those of subcommands.
fn subcommands(command: &Command) -> Vec<Command> {
    let visible = command.get_subcommands().filter(|command| !command.is_hide_set());
    visible.flat_map(|command| [vec![command.clone()], subcommands(command)].concat()).collect()
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// `subcommands`: the names of their pages.
fn page(mut command: Command, subcommands: &[String]) -> (String, Vec<u8>) {
    let name = page_name(&command);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let long = command.get_long_about().map(ToString::to_string);
    let usage = command.render_usage().to_string();
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();

    let has_subcommands = command.has_subcommands();
    let mut text = Vec::new();
    let rendered = (|| -> io::Result<()> {
        head(&name, &about, &usage, long.as_deref()).to_writer(&mut text)?;
        let man = Man::new(command.mut_args(for_a_page));
        man.render_options_section(&mut text)?;
        if has_subcommands {
            man.render_subcommands_section(&mut text)?;
        }
        section("EXIT STATUS", |roff| exit_statuses(roff, &name)).to_writer(&mut text)?;
        section("ENVIRONMENT", environment).to_writer(&mut text)?;
        section("FILES", |roff| files(roff, &name)).to_writer(&mut text)?;
        if let Some((_, examples)) = after.split_once(EXAMPLES) {
            section("EXAMPLES", |roff| verbatim(roff, examples)).to_writer(&mut text)?;
        }
        section("SEE ALSO", |roff| see_also(roff, &name, subcommands)).to_writer(&mut text)
    })();
    rendered.expect("a vector takes every byte");
    (format!("{name}.1"), text)
}

/// The values are where the page names the value, not in a list of their own; and a page has no summary.
fn for_a_page(arg: Arg) -> Arg {
    if arg.get_id() == "help" {
        return arg.help("Print help; with -h, a summary").long_help(None);
    }
    let values: Vec<String> =
        arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if values.is_empty() || !arg.get_action().takes_values() {
        return arg;
    }
    arg.value_name(values.join("|")).hide_possible_values(true)
}

/// Title, NAME, SYNOPSIS, DESCRIPTION.
fn head(name: &str, about: &str, usage: &str, long: Option<&str>) -> Roff {
    let mut roff = Roff::new();
    // No date, so that the same source makes the same page.
    let version = concat!("libvirt-nss ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name.to_uppercase().as_str(), "1", " ", version, "libvirt-nss manual"]);
    roff.control("SH", ["NAME"]);
    let mut letters = about.chars();
    let first = letters.next().map(|letter| letter.to_ascii_lowercase());
    let about_in_lower_case: String = first.into_iter().chain(letters).collect();
    roff.text([roman(format!("{name} - {about_in_lower_case}"))]);
    roff.control("SH", ["SYNOPSIS"]);
    for (at, usage) in usage.lines().enumerate() {
        if at > 0 {
            roff.control("br", []);
        }
        let usage = usage.trim_start_matches("Usage: ").trim_start();
        let words = usage.find(['[', '<']).unwrap_or(usage.len());
        roff.text([bold(&usage[..words]), roman(&usage[words..])]);
    }
    roff.control("SH", ["DESCRIPTION"]);
    let rest = long.and_then(|long| long.split_once("\n\n")).map(|(_, rest)| rest);
    paragraphs(&mut roff, &[&format!("{about}."), rest.unwrap_or_default()].join("\n\n"));
    roff
}

fn section(heading: &str, fill: impl FnOnce(&mut Roff)) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    fill(&mut roff);
    roff
}

/// Paragraphs, separated by empty lines. Text in backquotes is bold.
fn paragraphs(roff: &mut Roff, text: &str) {
    let filled = text.split("\n\n").filter(|paragraph| !paragraph.is_empty());
    for (at, paragraph) in filled.enumerate() {
        if at > 0 {
            roff.control("PP", []);
        }
        roff.text(quoted(&paragraph.replace('\n', " ")));
    }
}

fn quoted(text: &str) -> Vec<Inline> {
    let parts = text.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { bold(part) } else { roman(part) }).collect()
}

fn verbatim(roff: &mut Roff, lines: &str) {
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
}

/// Tagged paragraphs.
fn entries(roff: &mut Roff, entries: &[(&str, &str)]) {
    for (tag, text) in entries {
        roff.control("TP", []);
        roff.text([bold(*tag)]);
        roff.text(quoted(text));
    }
}

fn exit_statuses(roff: &mut Roff, name: &str) {
    use Status::{Errors, Failed, NoAddress, NotFound, Ok, PortClosed, Usage, Warnings};
    let own: &[Status] = match name {
        COMMAND => &[NotFound, Warnings, Errors, NoAddress, PortClosed],
        "libvirt-nss-resolve" | "libvirt-nss-explain" => &[NotFound],
        "libvirt-nss-wait" => &[NoAddress, PortClosed],
        "libvirt-nss-doctor" => &[Warnings, Errors],
        "libvirt-nss-ssh" => &[NotFound, NoAddress, PortClosed],
        "libvirt-nss-dns" | "libvirt-nss-publish-status" | "libvirt-nss-ssh-status" => &[Warnings],
        _ => &[],
    };
    for status in [Ok, Failed].iter().chain(own).chain(&[Usage]) {
        roff.control("TP", []);
        roff.text([bold((*status as u8).to_string())]);
        roff.text([roman(status.meaning())]);
    }
}

fn environment(roff: &mut Roff) {
    entries(
        roff,
        &[("NO_COLOR", "If it is set and not empty, colours are used only with `--color=always`.")],
    );
}

fn files(roff: &mut Roff, name: &str) {
    const LEASES: [(&str, &str); 2] = [
        (
            "/var/lib/libvirt/dnsmasq/*.status",
            "The leases of each bridge, written by libvirt_leaseshelper(8).",
        ),
        (
            "/var/lib/libvirt/dnsmasq/*.macs",
            "The running domains on each bridge and their MACs, written by libvirtd(8).",
        ),
    ];
    const SWITCH: (&str, &str) =
        ("/etc/nsswitch.conf", "Which services are asked for host names, and in which order.");
    const PUBLISHED: (&str, &str) = (
        guest_store::publish_status::PATH,
        "The status of libvirt-nss-publish(8), which writes it.",
    );
    const BACKUP: (&str, &str) =
        ("/etc/nsswitch.conf.libvirt-nss-backup", "The file before `enable` changed it.");
    const DROP_IN: (&str, &str) = (
        drop_in::LINK,
        "What `ssh enable` adds to ssh_config(5): a link to a file in /usr/share/libvirt-nss/ssh.",
    );
    match name {
        "libvirt-nss-enable" | "libvirt-nss-disable" => entries(roff, &[SWITCH, BACKUP]),
        "libvirt-nss-publish" | "libvirt-nss-publish-status" => entries(roff, &[PUBLISHED]),
        "libvirt-nss-explain" | "libvirt-nss-doctor" => {
            entries(roff, &LEASES);
            entries(roff, &[SWITCH]);
        }
        "libvirt-nss-ssh-enable" | "libvirt-nss-ssh-disable" | "libvirt-nss-ssh-status" => {
            entries(roff, &[DROP_IN]);
        }
        "libvirt-nss-ssh" => {
            entries(roff, &LEASES);
            entries(roff, &[DROP_IN]);
        }
        COMMAND => {
            entries(roff, &LEASES);
            entries(roff, &[SWITCH, BACKUP, DROP_IN]);
        }
        _ => entries(roff, &LEASES),
    }
}

fn see_also(roff: &mut Roff, name: &str, subcommands: &[String]) {
    let own: &[(&str, &str)] = match name {
        "libvirt-nss-resolve" | "libvirt-nss-explain" => &[("getent", "1"), ("getaddrinfo", "3")],
        "libvirt-nss-list" | "libvirt-nss-watch" | "libvirt-nss-wait" => &[("virsh", "1")],
        "libvirt-nss-enable" | "libvirt-nss-disable" => &[("authselect", "8")],
        "libvirt-nss-dns" => &[("libvirt-nss.toml", "5"), ("dnsmasq", "8")],
        "libvirt-nss-publish" | "libvirt-nss-publish-status" => {
            &[("libvirt-nss.toml", "5"), ("libvirt-nss-publish", "8")]
        }
        _ if name.starts_with("libvirt-nss-ssh") => {
            &[("ssh", "1"), ("ssh_config", "5"), ("libvirt-nss.toml", "5")]
        }
        _ => &[],
    };
    let pages = std::iter::once(COMMAND).chain(subcommands.iter().map(String::as_str));
    let pages = pages.filter(|page| *page != name).map(|page| (page, "1"));
    let pages: Vec<_> = pages
        .chain(own.iter().copied())
        .chain([
            ("nsswitch.conf", "5"),
            ("nss-libvirt", "8"),
            ("libvirt-nssd", "8"),
            ("libvirt_leaseshelper", "8"),
        ])
        .collect();
    let mut line = Vec::new();
    for (at, (page, section)) in pages.iter().enumerate() {
        let end = if at + 1 == pages.len() { "" } else { ", " };
        line.extend([bold(*page), roman(format!("({section}){end}"))]);
    }
    roff.text(line);
}

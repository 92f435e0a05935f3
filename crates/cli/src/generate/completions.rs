//! The completions: what clap_complete makes of the definitions, and guests' names where a guest is named.

use clap::{Arg, ArgGroup, Command, ValueHint};
use clap_complete::Shell;

use super::COMMAND;

/// The script's file name and its text.
pub(crate) fn script(shell: Shell, command: &Command) -> (String, String) {
    let mut command = visible(command);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, COMMAND, &mut script);
    let script = String::from_utf8(script).expect("the definitions are text");
    let takers = takes_guests(&command);
    let (suffix, script) = match shell {
        Shell::Bash => ("bash", with_guests_in_bash(&script, &takers)),
        Shell::Zsh => ("zsh", with_guests_in_zsh(&script)),
        _ => ("fish", with_guests_in_fish(script, &takers)),
    };
    (format!("{COMMAND}.{suffix}"), script)
}

/// Without what people needn't know of, which clap_complete would offer.
fn visible(command: &Command) -> Command {
    let is_shown = |arg: &&Arg| !arg.is_hide_set();
    let args: Vec<Arg> = command.get_arguments().filter(is_shown).cloned().collect();
    let groups = command.get_groups().map(|group| {
        let members = group.get_args().filter(|id| args.iter().any(|arg| arg.get_id() == *id));
        ArgGroup::new(group.get_id().clone())
            .args(members.cloned().collect::<Vec<_>>())
            .multiple(group.clone().is_multiple())
    });
    let subcommands = command.get_subcommands().filter(|command| !command.is_hide_set());
    let mut shown = Command::new(command.get_name().to_owned())
        .disable_help_subcommand(true)
        .groups(groups.collect::<Vec<_>>())
        .args(args.clone())
        .subcommands(subcommands.map(visible));
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        shown = shown.version(version.to_owned());
    }
    shown
}

/// The subcommands that take names of guests.
fn takes_guests(command: &Command) -> Vec<&str> {
    let takes = |command: &&Command| {
        command.get_positionals().any(|arg| arg.get_value_hint() == ValueHint::Hostname)
    };
    command.get_subcommands().filter(takes).map(Command::get_name).collect()
}

/// Prints the guests' names, one a line. A name that a shell could take for more than a name isn't
/// among them: guests choose theirs, and the shells expand what is offered.
const GUESTS: &str = "\
libvirt-nss list --plain 2>/dev/null | cut -f 1,2 | tr '\\t' '\\n' |
        LC_ALL=C grep -x '[0-9A-Za-z][0-9A-Za-z._-]*' | sort -u";

/// The words that a subcommand takes are in a string.
fn with_guests_in_bash(script: &str, takers: &[&str]) -> String {
    // It spells a hyphen of the command's name in two ways, so that the case of a subcommand is never
    // the one that is looked for (clap issue 6421).
    let name = COMMAND.replace('-', "__");
    let wrong = COMMAND.replace('-', "__subcmd__");
    let mut script = script.replace(&format!("{wrong}__subcmd__"), &format!("{name}__subcmd__"));
    for taker in takers {
        let start = format!("__subcmd__{taker})\n            opts=\"");
        assert_eq!(script.matches(&start).count(), 1, "clap_complete writes otherwise: {taker}");
        script = script.replace(&start, &format!("{start}$(_libvirt_nss_guests) "));
    }
    format!("_libvirt_nss_guests() {{\n    {GUESTS}\n}}\n\n{script}")
}

/// It asks for host names of any kind.
fn with_guests_in_zsh(script: &str) -> String {
    assert!(script.contains(":_hosts'"), "clap_complete writes otherwise");
    let (first, rest) = script.split_once('\n').expect("it begins with #compdef");
    let rest = rest.replace(":_hosts'", ":_libvirt_nss_guests'");
    format!(
        "{first}\n\n_libvirt_nss_guests() {{\n    local -a guests\n    guests=(${{(f)\"$({GUESTS})\"}})\n    \
         compadd \"$@\" -a guests\n}}\n{rest}"
    )
}

/// It says nothing of these words.
fn with_guests_in_fish(mut script: String, takers: &[&str]) -> String {
    script += &format!(
        "\nfunction __fish_libvirt_nss_guests\n    {}\nend\n",
        GUESTS.replace("LC_ALL", "env LC_ALL")
    );
    for taker in takers {
        let condition = format!("__fish_libvirt_nss_using_subcommand {taker}");
        assert!(script.contains(&condition), "clap_complete writes otherwise: {taker}");
        script += &format!(
            "complete -c {COMMAND} -n \"{condition}\" -f -a '(__fish_libvirt_nss_guests)' -d Guest\n"
        );
    }
    script
}

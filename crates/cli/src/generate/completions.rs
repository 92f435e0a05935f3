//! The completions: what clap_complete makes of the definitions, with this host's guests, networks, MACs and addresses
//! as values.

use clap::{Arg, ArgGroup, Command, ValueHint};
use clap_complete::Shell;

use super::COMMAND;

/// The script's file name and its text.
pub(crate) fn script(shell: Shell, command: &Command) -> (String, String) {
    let command = visible(command);
    let takers = takes_guests(&command);
    let mut described = match shell {
        // zsh would offer the words of a command like `ssh` as its second argument, after a guest.
        Shell::Zsh => command.clone().mut_subcommands(without_words_before_subcommands),
        _ => command.clone(),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut described, COMMAND, &mut script);
    let script = String::from_utf8(script).expect("the definitions are text");
    let (suffix, script) = match shell {
        Shell::Bash => {
            ("bash", with_values_in_bash(with_guests_in_bash(&script, &takers), &command))
        }
        Shell::Zsh => ("zsh", with_values_in_zsh(with_guests_in_zsh(&script, &takers))),
        _ => ("fish", with_values_in_fish(&with_guests_in_fish(script, &takers))),
    };
    (format!("{COMMAND}.{suffix}"), script)
}

/// The command without its hidden parts, which clap_complete would offer.
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
        .disable_help_subcommand(command.get_name() != COMMAND)
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

/// A command with subcommands, without the words that it takes instead of one.
fn without_words_before_subcommands(command: Command) -> Command {
    if !command.has_subcommands() {
        return command;
    }
    let mut without = Command::new(command.get_name().to_owned())
        .disable_help_subcommand(true)
        .args(command.get_arguments().filter(|arg| !arg.is_positional()).cloned())
        .subcommands(command.get_subcommands().cloned());
    if let Some(about) = command.get_about() {
        without = without.about(about.clone());
    }
    without
}

/// The subcommands that take names of guests.
fn takes_guests(command: &Command) -> Vec<&str> {
    let takes = |command: &&Command| {
        command.get_positionals().any(|arg| arg.get_value_hint() == ValueHint::Hostname)
    };
    command.get_subcommands().filter(takes).map(Command::get_name).collect()
}

/// Prints fields of `list --plain`, one per line, by their numbers with commas between them. It leaves out anything that
/// isn't a plain word to a shell: guests choose their names, and shells expand completions.
fn values(fields: &str) -> String {
    format!(
        "libvirt-nss list --plain 2>/dev/null | cut -f {fields} | tr '\\t' '\\n' |
        LC_ALL=C grep -x '[0-9A-Za-z][0-9A-Za-z.:_-]*' | sort -u"
    )
}

/// Domains and host names.
const GUESTS: &str = "1,2";

/// Options by their long names, and the fields of `list --plain` that have their values; no fields if the value is a
/// number.
const OPTIONS: [(&str, &str); 7] = [
    ("network", "3,4"),
    ("domain", "1"),
    ("name", "2"),
    ("mac", "6"),
    ("reverse", "5"),
    ("timeout", ""),
    ("port", ""),
];

/// By default, files are offered after an option.
fn with_values_in_bash(mut script: String, command: &Command) -> String {
    for (long, fields) in OPTIONS {
        let of = |command: &Command| {
            let mut args = command.get_arguments();
            args.find(|arg| arg.get_long() == Some(long)).cloned()
        };
        let arg = command.get_subcommands().find_map(of).expect("an option of a subcommand");
        let short = arg.get_short().map(|short| format!("-{short}"));
        let words = match fields {
            "" => "()".to_owned(),
            fields => {
                format!("($(compgen -W \"$(_libvirt_nss_values {fields})\" -- \"${{cur}}\"))")
            }
        };
        for option in std::iter::once(format!("--{long}")).chain(short) {
            let files =
                format!("{option})\n                    COMPREPLY=($(compgen -f \"${{cur}}\"))");
            let words = format!("{option})\n                    COMPREPLY={words}");
            assert!(script.contains(&files), "clap_complete writes otherwise: {option}");
            script = script.replace(&files, &words);
        }
    }
    let values = values("\"$1\"");
    format!("_libvirt_nss_values() {{\n    {values}\n}}\n\n{script}")
}

/// The last part of an option's line is the completion of its value.
fn with_values_in_zsh(script: String) -> String {
    let lines = script.lines().map(|line| {
        let option = OPTIONS.iter().find(|(long, _)| {
            let long = format!("'--{long}=[");
            // The short one is on the line before, with the same text.
            line.starts_with(&long)
                || help_of(line).is_some_and(|help| is_help_of(&script, &long, help))
        });
        match option {
            Some((_, "")) => line.replace(":_default'", ": '"),
            Some((_, fields)) => {
                line.replace(":_default'", &format!(":_libvirt_nss_values {fields}'"))
            }
            None => line.to_owned(),
        }
    });
    let script: Vec<String> = lines.collect();
    let script = script.join("\n") + "\n";
    let (first, rest) = script.split_once('\n').expect("it begins with #compdef");
    // zsh puts options for compadd before the fields.
    let values = values("$fields");
    format!(
        "{first}\n\n_libvirt_nss_values() {{\n    local fields=$@[-1]\n    local -a values\n    \
         values=(${{(f)\"$({values})\"}})\n    compadd \"${{@[1,-2]}}\" -a values\n}}\n{rest}"
    )
}

/// `[..]` of an option's line.
fn help_of(line: &str) -> Option<&str> {
    let line = line.strip_prefix("'-").filter(|line| !line.starts_with('-'))?;
    line.split_once('[').map(|(_, help)| help)
}

fn is_help_of(script: &str, long: &str, help: &str) -> bool {
    script.lines().any(|line| line.strip_prefix(long) == Some(help))
}

/// Each option has its own line, without a completion of its value.
fn with_values_in_fish(script: &str) -> String {
    let lines = script.lines().map(|line| {
        let option = OPTIONS.iter().find(|(long, _)| line.contains(&format!(" -l {long} ")));
        match option {
            Some((_, "")) => format!("{line} -f"),
            Some((_, fields)) => format!("{line} -f -a '(__fish_libvirt_nss_values {fields})'"),
            // The word itself counts as seen, so nothing would be offered after it.
            None if line.contains("_using_subcommand help; ") => {
                line.replace(" help\" -f", "\" -f")
            }
            None => line.to_owned(),
        }
    });
    let values = values("$argv[1]").replace("LC_ALL", "env LC_ALL");
    let script: Vec<String> = lines.collect();
    script.join("\n") + &format!("\n\nfunction __fish_libvirt_nss_values\n    {values}\nend\n")
}

/// The words that a subcommand takes are in a string.
fn with_guests_in_bash(script: &str, takers: &[&str]) -> String {
    // clap_complete spells a hyphen of the command's name in two ways, so the case of a subcommand never matches
    // (clap issue 6421).
    let name = COMMAND.replace('-', "__");
    let wrong = COMMAND.replace('-', "__subcmd__");
    let mut script = script.replace(&format!("{wrong}__subcmd__"), &format!("{name}__subcmd__"));
    for taker in takers {
        let start = format!("{name}__subcmd__{taker})\n            opts=\"");
        assert_eq!(script.matches(&start).count(), 1, "clap_complete writes otherwise: {taker}");
        script = script.replace(&start, &format!("{start}$(_libvirt_nss_guests) "));
    }
    let guests = values(GUESTS);
    format!("_libvirt_nss_guests() {{\n    {guests}\n}}\n\n{script}")
}

/// By default, any host name is offered.
fn with_guests_in_zsh(script: &str, takers: &[&str]) -> String {
    assert!(script.contains(":_hosts'"), "clap_complete writes otherwise");
    let (first, rest) = script.split_once('\n').expect("it begins with #compdef");
    let mut rest = rest.replace(":_hosts'", ":_libvirt_nss_guests'");
    for taker in takers {
        let words = format!("_{COMMAND}__subcmd__{taker}_commands");
        let either = format!("{{ _libvirt_nss_guests; {words} }}");
        rest = rest.replace(&format!("\":: :{words}\""), &format!("\":: :{either}\""));
    }
    let guests = values(GUESTS);
    format!(
        "{first}\n\n_libvirt_nss_guests() {{\n    local -a guests\n    guests=(${{(f)\"$({guests})\"}})\n    \
         compadd \"$@\" -a guests\n}}\n{rest}"
    )
}

/// By default, these words have no completion.
fn with_guests_in_fish(mut script: String, takers: &[&str]) -> String {
    script += &format!(
        "\nfunction __fish_libvirt_nss_guests\n    {}\nend\n",
        values(GUESTS).replace("LC_ALL", "env LC_ALL")
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

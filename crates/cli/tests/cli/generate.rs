//! Manual pages and completions: groff and the shells read them.

use std::fs;
use std::path::PathBuf;

use crate::support::{NOW, Sandbox, skipped};

/// A sandbox with everything that is made in `work/made`, in which the command, too, sees one state
/// directory by itself.
fn made(state: &str) -> Sandbox {
    let sandbox = Sandbox::new("generate");
    let directory = sandbox.here().join("state").join(state);
    let wrapper = format!(
        "#!/bin/sh\nexec {} --now {NOW} --state-dir {} \"$@\"\n",
        Sandbox::binary(),
        directory.display()
    );
    sandbox.program("libvirt-nss", &wrapper);
    let output = sandbox.run("libvirt-nss generate $WORK/made");
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    sandbox
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
        || skipped(&format!("{program} isn't installed"))
}

fn pages(sandbox: &Sandbox) -> Vec<PathBuf> {
    let files = fs::read_dir(sandbox.work().join("made")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|section| section == "1")).collect()
}

/// What `packaging/files` installs is what is made, all of it.
#[test]
fn everything_that_is_made_is_installed() {
    let sandbox = made("lab");
    let table = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../packaging/files");
    let table = fs::read_to_string(table).unwrap();
    let mut listed: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.strip_prefix("build:generated/"))
        .collect();
    listed.sort();
    let files = fs::read_dir(sandbox.work().join("made")).unwrap();
    let mut files: Vec<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(listed, files);
}

#[test]
fn pages_are_clean_roff() {
    let sandbox = made("lab");
    if !is_there("groff") {
        return;
    }
    let pages = pages(&sandbox);
    assert_eq!(pages.len(), 18);
    for page in pages {
        let name = page.file_stem().unwrap().to_str().unwrap();
        let output =
            sandbox.command("groff").args(["-man", "-ww", "-Tutf8"]).arg(&page).output().unwrap();
        assert!(output.status.success(), "{name}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{name}");
        let source = fs::read_to_string(&page).unwrap();
        let headings: Vec<&str> =
            source.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        for heading in ["NAME", "SYNOPSIS", "OPTIONS", "\"EXIT STATUS\"", "FILES", "EXAMPLES"] {
            assert!(headings.contains(&heading), "{name}: {headings:?}");
        }
        // Options for the tests alone are not documented.
        assert!(!source.contains("\\-\\-now") && !source.contains("generate"), "{name}");
    }
}

/// Which words each shell offers, in order, after a line.
fn offered(sandbox: &Sandbox, shell: &str, line: &str) -> Vec<String> {
    let script = match shell {
        "bash" => {
            r#"source $WORK/made/libvirt-nss.bash
            set -u
            function=$(complete -p libvirt-nss | sed 's/.*-F \([^ ]*\) .*/\1/')
            IFS=' ' read -ra COMP_WORDS <<<"$LINE"
            [[ $LINE != *' ' ]] || COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            $function libvirt-nss "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
            ((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}""#
        }
        "fish" => {
            r#"source $WORK/made/libvirt-nss.fish
            complete --do-complete $LINE | cut -f 1"#
        }
        // It completes on a terminal alone: all words are put on the line, and that is printed.
        _ => {
            r#"mkdir -p $WORK/functions
            cp $WORK/made/libvirt-nss.zsh $WORK/functions/_libvirt-nss
            zmodload zsh/zpty
            zpty terminal zsh -f
            zpty -w terminal 'fpath=($WORK/functions $fpath); autoload -Uz compinit; compinit -D -u
                all() { compstate[insert]=all; compstate[list]= }; comppostfuncs=(all)
                show() { print -r -- "<${BUFFER#${LINE% *} }>"; exit }; zle -N show; bindkey "^X" show
                zstyle ":completion:*" menu no; print READY'
            zpty -r -m terminal out $'*\nREADY*'
            zpty -w -n terminal "$LINE"$'\t\x18'
            zpty -r -m terminal out '*<*>*'
            out=${out##*<}
            print -rl -- ${${(z)${out%>*}}}"#
        }
    };
    let mut command = sandbox.command(shell);
    match shell {
        "bash" => command.args(["--norc", "-c", script]),
        "zsh" => command.args(["-f", "-c", script]),
        _ => command.args(["--no-config", "-c", script]),
    };
    // fish wants a home.
    let output = command.env("LINE", line).env("HOME", sandbox.work()).env("TERM", "dumb").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{shell}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{shell}");
    let mut words: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(|word| word.trim().into()).collect();
    // From version 4 on, fish also offers words that merely contain the letters that were typed.
    if shell == "fish" {
        let typed = line.rsplit(' ').next().unwrap();
        words.retain(|word| word.starts_with(typed));
    }
    words.sort();
    words
}

fn completes(shell: &str) {
    if !is_there(shell) {
        return;
    }
    let sandbox = made("lab");
    assert_eq!(offered(&sandbox, shell, "libvirt-nss d"), ["disable", "dns", "doctor"]);
    let commands = [
        "disable",
        "dns",
        "doctor",
        "enable",
        "explain",
        "export",
        "help",
        "list",
        "publish",
        "resolve",
        "ssh",
        "ssh-config",
        "wait",
        "watch",
    ];
    let mut all = offered(&sandbox, shell, "libvirt-nss ");
    all.retain(|word| !word.starts_with('-'));
    assert_eq!(all, commands);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss list --pl"), ["--plain"]);
    // Not what is hidden in help; zsh leaves a word that nothing goes on from.
    let mut none = offered(&sandbox, shell, "libvirt-nss list --no");
    none.retain(|word| word != "--no");
    assert_eq!(none, [""; 0]);
    // Guests, by both names.
    assert_eq!(offered(&sandbox, shell, "libvirt-nss resolve d"), ["db", "db-vm"]);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss wait --port 22 we"), ["web", "web-vm"]);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss explain ro"), ["router"]);
    // What an option is about, and no files.
    assert_eq!(offered(&sandbox, shell, "libvirt-nss list --network d"), ["default"]);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss list -n v"), ["virbr0", "virbr1"]);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss watch --domain w"), ["web-vm"]);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss list --name we"), ["web"]);
    let found = offered(&sandbox, shell, "libvirt-nss resolve --reverse 10.");
    assert_eq!(found, ["10.20.0.5"]);
    assert_eq!(offered(&sandbox, shell, "libvirt-nss help wai"), ["wait"]);
    // A guest, or what is done without one.
    let offered_to_ssh = |word: &str| offered(&sandbox, shell, &format!("libvirt-nss ssh {word}"));
    assert!(offered_to_ssh("we").contains(&"web".to_owned()));
    assert_eq!(offered_to_ssh("ena"), ["enable"]);
    assert_eq!(offered_to_ssh("enable --pri"), ["--print"]);
}

#[test]
fn bash_completes() {
    completes("bash");
}

#[test]
fn zsh_completes() {
    completes("zsh");
}

#[test]
fn fish_completes() {
    completes("fish");
}

/// Guests choose their names, and bash expands what it offers.
#[test]
fn names_that_shells_would_expand_are_not_offered() {
    let sandbox = made("lab");
    let state = sandbox.work().join("state");
    fs::create_dir(&state).unwrap();
    let names = ["good", "$(touch $WORK/done)", "`touch $WORK/done`", "-dash", "a b", "x;y", "'q"];
    let guests: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(at, name)| serde_json::json!({"domain": name, "macs": [format!("52:54:00:00:00:0{at}")]}))
        .collect();
    fs::write(state.join("virbr0.macs"), serde_json::to_string(&guests).unwrap()).unwrap();
    let binary = Sandbox::binary();
    let wrapper = format!("#!/bin/sh\nexec {binary} --state-dir {} \"$@\"\n", state.display());
    sandbox.program("libvirt-nss", &wrapper);
    let mut offered = offered(&sandbox, "bash", "libvirt-nss resolve ");
    offered.retain(|word| !word.starts_with('-') || word == "-dash");
    assert_eq!(offered, ["good"]);
    assert!(!sandbox.work().join("done").exists());
}

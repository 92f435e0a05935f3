//! Manual pages and completions, from the definitions of `args.rs`. The build calls this as a hidden
//! subcommand, so that no build script has to compile the definitions a second time.

mod completions;
mod man;

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::{Cli, Generate};
use crate::error::Error;

/// The command's name.
const COMMAND: &str = "libvirt-nss";

/// Writes `libvirt-nss.1`, a page for each subcommand, and `libvirt-nss.bash`, `.zsh` and `.fish`.
///
/// # Errors
/// A file can't be written.
pub(crate) fn run(options: &Generate) -> Result<(), Error> {
    let directory = &options.directory;
    fs::create_dir_all(directory).map_err(failed(directory))?;
    // The word help has no page and takes no options.
    let command = Cli::command().disable_help_subcommand(true);
    for (name, page) in man::pages(command.clone()) {
        write(directory, &name, &page)?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let (name, script) = completions::script(shell, &command);
        write(directory, &name, script.as_bytes())?;
    }
    Ok(())
}

fn write(directory: &Path, name: &str, content: &[u8]) -> Result<(), Error> {
    let path = directory.join(name);
    fs::write(&path, content).map_err(failed(&path))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::file("write", path, "name a directory that this user can write to")
}

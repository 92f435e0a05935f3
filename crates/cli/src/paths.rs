//! Where everything is.

use std::path::{Path, PathBuf};

/// libvirt's state directory (its `configure` option is `--localstatedir`; every distribution has this).
const STATE_DIRECTORY: &str = "/var/lib/libvirt/dnsmasq";

/// The places of this system, or of one that lies below another root.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    root: PathBuf,
    state_directory: Option<PathBuf>,
}

impl Paths {
    pub(crate) fn new(root: Option<&Path>, state_directory: Option<&Path>) -> Self {
        Self {
            root: root.unwrap_or(Path::new("/")).to_owned(),
            state_directory: state_directory.map(Path::to_owned),
        }
    }

    /// A place that is named from the root, below the root that is meant.
    pub(crate) fn below(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Leases and MAC maps.
    pub(crate) fn state_directory(&self) -> PathBuf {
        match &self.state_directory {
            Some(directory) => directory.clone(),
            None => self.below(STATE_DIRECTORY),
        }
    }
}

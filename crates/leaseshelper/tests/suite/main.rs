//! Runs the built helper, mostly beside libvirt's own, each test in a mount namespace of its own. Needs root, and
//! libvirt's helper (`tests/setup stock`); without them a test says that it is skipped, and with `CI=true` it fails.

mod concurrency;
mod damage;
mod differences;
mod disk;
mod generate;
mod hostile;
mod kill;
mod oracle;
mod world;

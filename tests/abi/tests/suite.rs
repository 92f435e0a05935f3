//! The modules, entry point by entry point, as glibc sees them. One file a topic.

#[path = "suite/support.rs"]
mod support;

#[path = "suite/table.rs"]
mod table;

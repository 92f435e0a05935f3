//! The modules as glibc sees them, entry point by entry point. One file per topic.

#[path = "suite/support.rs"]
mod support;

#[path = "suite/apparmor.rs"]
mod apparmor;
#[path = "suite/buffers.rs"]
mod buffers;
#[path = "suite/concurrency.rs"]
mod concurrency;
#[path = "suite/confined.rs"]
mod confined;
#[path = "suite/cost.rs"]
mod cost;
#[path = "suite/damage.rs"]
mod damage;
#[path = "suite/debug.rs"]
mod debug;
#[path = "suite/enumeration.rs"]
mod enumeration;
#[path = "suite/explain.rs"]
mod explain;
#[path = "suite/faults.rs"]
mod faults;
#[path = "suite/glibc.rs"]
mod glibc;
#[path = "suite/leases.rs"]
mod leases;
#[path = "suite/memcheck.rs"]
mod memcheck;
#[path = "suite/names.rs"]
mod names;
#[path = "suite/reverse.rs"]
mod reverse;
#[path = "suite/snapshot.rs"]
mod snapshot;
#[path = "suite/stack.rs"]
mod stack;
#[path = "suite/table.rs"]
mod table;

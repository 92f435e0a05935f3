//! Which names resolve to which addresses, case by case.

mod aliases;
mod connections;
mod leases;
mod ssh;
mod trust;
mod world;

//! How things look: on a terminal, in a pipe, to a program.

pub(crate) mod duration;
pub(crate) mod escape;
pub(crate) mod paint;
pub(crate) mod table;

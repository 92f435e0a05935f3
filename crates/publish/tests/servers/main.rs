//! The same cases against BIND, Knot and PowerDNS. Time is what a case says it is, so no case waits for a pause to end.

mod cases;
mod failures;
mod host;

//! The same cases with BIND, Knot and PowerDNS. Each case sets the time itself, so none has to wait for a pause to end.

mod cases;
mod failures;
mod host;

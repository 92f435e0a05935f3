//! The same cases with BIND, Knot and PowerDNS. Each case sets the time itself, so none has to wait for a pause to end. With Kerberos,
//! the program itself runs.

mod cases;
mod failures;
mod host;
mod kerberos;
mod service;

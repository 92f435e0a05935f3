//! Hosts publish into one zone of a simple name server while guests come and go, messages and answers are lost, hosts crash and
//! people edit the zone. Whatever the order, each host ends up with the names it wants, and nobody else's records are lost.

mod cases;
mod dns;
mod random;

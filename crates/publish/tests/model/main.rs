//! Hosts publish into one zone of a simple name server while guests come and go, messages and answers are lost, hosts crash and
//! people edit the zone. Whatever the order, it comes to what everybody wants, and nothing of anybody else's is lost.

mod cases;
mod dns;
mod random;

//! Protect: an attack costs the attacker, not the operator.
//!
//! [`address`] finds where a request really comes from, and believes only proxies that the operator trusts. [`watch`] counts
//! what comes from an address and from the subnet around it, before anybody knows who is calling, in memory of a fixed size;
//! it says who is to be slowed down and who is banned for a while. [`spend`] knows what a tenant and a key usually spend, and holds
//! them to it when they suddenly spend far more. [`challenge`] asks browsers for a proof of work, and [`session`] makes the short-lived
//! tokens that they get for it; [`siege`] tells when far more of them are asked for than usual. [`accounts`] links new users that come in a
//! burst, and [`risk`] adds up what speaks against a request.
//!
//! What it does not do: it knows no HTTP and no providers, asks nobody over the network, and reads no clock.

pub mod accounts;
pub mod address;
pub mod challenge;
pub mod risk;
pub mod session;
pub mod siege;
pub mod sketch;
pub mod spend;
pub mod watch;

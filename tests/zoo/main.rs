//! The zoo: components and clients that mean ill, each beside a neighbour that is asked all the while. The neighbour must always be answered,
//! the host's process must live on, and the memory it took for them must come back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod artifacts;
mod cage;
mod clients;
mod commands;
mod handlers;
mod neighbour;

use cage::Cage;

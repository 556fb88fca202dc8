//! Hostile input: a named error, never a panic, never a wrong file, never more work than the slot is long.

mod cuts;
mod flips;
mod lies;
mod old;
mod payloads;

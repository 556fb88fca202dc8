//! What the images of this folder share: the board they run on, its host, its stack and its time.
//!
//! Each thing that depends on the board or its architecture has one module of its own.
#![no_std]

pub mod board;
pub mod count;
pub mod device;
pub mod flash;
pub mod host;
mod mmio;
pub mod old;
pub mod report;
pub mod reset;
pub mod stack;
pub mod start;
pub mod uart;

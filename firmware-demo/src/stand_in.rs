//! Stands in for `codec_core::decoder` and `codec_core::limits` until they exist: output = update XOR old image.
#![allow(dead_code, reason = "each board uses one of the profiles")]

use codec_core::Error;
use codec_core::storage::ReadAt;

/// Has the decoder's interface, and reads the old image as it would.
pub struct StandIn<O, const N: usize> {
    old: O,
    at: u32,
    piece: [u8; N],
}

pub type Tiny<O> = StandIn<O, 1024>;
pub type Small<O> = StandIn<O, 16384>;
pub type Medium<O> = StandIn<O, 65536>;

pub enum Status {
    NeedInput,
    NeedOutput,
    Done,
}

pub struct Step {
    pub consumed: usize,
    pub written: usize,
    pub status: Status,
}

impl<O: ReadAt, const N: usize> StandIn<O, N> {
    pub fn new(old: O) -> Self {
        Self { old, at: 0, piece: [1; N] }
    }

    pub fn update(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Error> {
        if self.at == self.old.len() {
            return Ok(Step { consumed: 0, written: 0, status: Status::Done });
        }
        let len = input.len().min(output.len()).min((self.old.len() - self.at) as usize).min(N);
        self.old.read_at(self.at, &mut self.piece[..len])?;
        for ((output, input), old) in output.iter_mut().zip(&input[..len]).zip(&self.piece) {
            *output = input ^ old;
        }
        self.at += len as u32;
        let status = if len == input.len() { Status::NeedInput } else { Status::NeedOutput };
        Ok(Step { consumed: len, written: len, status })
    }
}

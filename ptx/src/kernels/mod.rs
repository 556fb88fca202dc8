//! The kernels, by what they compute.

/// `body` for `i` from 0 to 3, 7 or 15, written out: loops that hold collectives stay loops otherwise, and their arrays would not
/// stay in registers.
macro_rules! unrolled {
    ($i:ident in 4 $body:block) => { unrolled!(@ $i $body 0 1 2 3) };
    ($i:ident in 8 $body:block) => { unrolled!(@ $i $body 0 1 2 3 4 5 6 7) };
    ($i:ident in 16 $body:block) => { unrolled!(@ $i $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15) };
    (@ $i:ident $body:block $($n:literal)*) => { $( { let $i = $n; $body } )* };
}

pub mod gate;
pub mod loss;
pub mod low_rank;
pub mod matmul;
pub mod memory;
pub mod vector;

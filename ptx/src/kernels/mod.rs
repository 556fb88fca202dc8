//! The kernels, by what they compute.

/// A loop written out, for bodies that are too long for the compiler to unroll: what indexes registers has to be constant.
macro_rules! unroll {
    ($i:ident in [$($value:literal)*] $body:block) => { $({
        let $i = $value;
        $body
    })* };
}

pub mod ceiling;
pub mod matmul;
pub mod optimiser;
pub mod quantise;
pub mod reduction;
pub mod sparse;
pub mod tensor;
pub mod vector;

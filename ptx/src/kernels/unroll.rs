//! Loops over registers.

/// `unroll!(i < N, { .. })`: the block for `i` from 0 to `N - 1`, one after another, `N` a constant up to 16 (8, 4, 2 with
/// `of 8` and so on). So every index is a constant before any optimisation, and arrays stay in registers, which a loop as long
/// as these leaves to chance.
///
/// `unroll!(i in [3 2 1] { .. })`: likewise, for the numbers that are named.
macro_rules! unroll {
    ($i:ident in [$($value:literal)*] $body:block) => { $({
        let $i = $value;
        $body
    })* };
    ($i:ident < $n:expr, $body:block) => {
        unroll!($i < $n, of 16, $body)
    };
    ($i:ident < $n:expr, of 2, $body:block) => {
        unroll!(@ $i, $n, $body, 0 1)
    };
    ($i:ident < $n:expr, of 4, $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3)
    };
    ($i:ident < $n:expr, of 8, $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7)
    };
    ($i:ident < $n:expr, of 16, $body:block) => {
        unroll!(@ $i, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $i:ident, $n:expr, $body:block, $($at:literal)*) => { $(
        if $at < $n {
            let $i: usize = $at;
            $body
        }
    )* };
}

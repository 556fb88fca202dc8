//! What one thread of a GPU can see and do.

/// A thread of a GPU. Blocks are one-dimensional; a warp is 32 consecutive threads of a block.
///
/// Shared memory is addressed in bytes from the start of the block's own. All lanes of a warp have to reach a *collective*
/// together: it stands outside of branches that a part of the warp does not take.
///
/// # Safety
/// The unsafe functions access memory: an address has to lie in an allocation of the device, or in the shared bytes that
/// the launch asked for, aligned to the size of what is accessed, and no other thread may write there without a barrier
/// between. The simulator checks all of it.
pub trait Gpu: Copy {
    /// Index in the block.
    fn thread(self) -> u32;
    /// Threads of a block.
    fn threads(self) -> u32;
    /// Index of the block in the grid, by dimension.
    fn block(self) -> [u32; 3];
    /// Blocks of the grid along its first dimension.
    fn blocks(self) -> u32;

    /// Waits until all threads of the block are here. What they wrote is visible to all of them after it.
    fn barrier(self);

    /// Reads one value of 1, 2 or 4 bytes.
    unsafe fn load<T: Copy>(self, from: *const T) -> T;
    /// Writes one value of 1, 2 or 4 bytes.
    unsafe fn store<T: Copy>(self, to: *mut T, value: T);
    /// Reads 16 bytes, aligned to 16.
    unsafe fn load_quad(self, from: *const u32) -> [u32; 4];
    /// Writes 16 bytes, aligned to 16.
    unsafe fn store_quad(self, to: *mut u32, value: [u32; 4]);

    /// Reads 4 shared bytes.
    unsafe fn shared(self, at: u32) -> u32;
    /// Writes 4 shared bytes.
    unsafe fn set_shared(self, at: u32, value: u32);
    /// Reads 16 shared bytes, aligned to 16.
    unsafe fn shared_quad(self, at: u32) -> [u32; 4];
    /// Writes 16 shared bytes, aligned to 16.
    unsafe fn set_shared_quad(self, at: u32, value: [u32; 4]);

    /// Starts to copy 16 bytes, aligned to 16, into shared memory. Nobody may rely on them before
    /// [`copied`](Self::copied) and a barrier.
    unsafe fn copy(self, to: u32, from: *const u32);
    /// Ends a group of copies.
    fn end_copies(self);
    /// Waits until at most `LEFT` of this thread's groups of copies are still under way.
    fn copied<const LEFT: u32>(self);

    /// Collective: the value that lane `lane ^ mask` gives.
    fn shuffle_xor(self, value: u32, mask: u32) -> u32;
    /// Collective: four 8 x 8 matrices of 16 bits, a row of 16 bytes at the address that each lane gives: lanes 0 to 7 the rows
    /// of the first, and so on. A lane gets, of each, the word `lane % 4` of row `lane / 4`.
    unsafe fn load_matrices(self, at: u32) -> [u32; 4];
    /// Collective: likewise, of the transposed matrices: a lane gets rows `2 (lane % 4)` and the next of column `lane / 4`.
    unsafe fn load_matrices_transposed(self, at: u32) -> [u32; 4];
    /// Collective: `a b + c`; `a` `[16, 16]` row-major and `b` `[16, 8]` column-major in bfloat16, `c` `[16, 8]` in f32, spread
    /// over the lanes as PTX lays `mma.m16n8k16` out.
    fn mma_bf16(self, a: [u32; 4], b: [u32; 2], c: [f32; 4]) -> [f32; 4];
    /// Collective: `a b + c`; `a` `[16, 32]` row-major and `b` `[32, 8]` column-major in signed bytes, `c` `[16, 8]` in i32, as
    /// `mma.m16n8k32`.
    fn mma_i8(self, a: [u32; 4], b: [u32; 2], c: [i32; 4]) -> [i32; 4];

    /// `a b + c`, rounded once.
    fn fma(self, a: f32, b: f32, c: f32) -> f32;
    /// The sum of four products of signed bytes, and `c`.
    fn dot4(self, a: u32, b: u32, c: i32) -> i32;
    /// 2 to the power of `x`, to 2 units in the last place.
    fn exp2(self, x: f32) -> f32;
    /// The logarithm of `x` to base 2, to 2 units in the last place where `x` is not near 1, else to 2^-22.
    fn log2(self, x: f32) -> f32;
    /// The square root, rounded to nearest.
    fn sqrt(self, x: f32) -> f32;

    /// Lane in the warp.
    #[inline(always)]
    fn lane(self) -> u32 {
        self.thread() & 31
    }
    /// Warp in the block.
    #[inline(always)]
    fn warp(self) -> u32 {
        self.thread() >> 5
    }
    /// Reads a shared f32.
    #[inline(always)]
    unsafe fn shared_f32(self, at: u32) -> f32 {
        f32::from_bits(self.shared(at))
    }
    /// Writes a shared f32.
    #[inline(always)]
    unsafe fn set_shared_f32(self, at: u32, value: f32) {
        self.set_shared(at, value.to_bits());
    }
    /// Reads four shared f32, aligned to 16 bytes.
    #[inline(always)]
    unsafe fn shared_f32x4(self, at: u32) -> [f32; 4] {
        floats(self.shared_quad(at))
    }
    /// Writes four shared f32, aligned to 16 bytes.
    #[inline(always)]
    unsafe fn set_shared_f32x4(self, at: u32, value: [f32; 4]) {
        self.set_shared_quad(at, bits(value));
    }
    /// Reads four f32, aligned to 16 bytes.
    #[inline(always)]
    unsafe fn load_f32x4(self, from: *const f32) -> [f32; 4] {
        floats(self.load_quad(from.cast()))
    }
    /// Writes four f32, aligned to 16 bytes.
    #[inline(always)]
    unsafe fn store_f32x4(self, to: *mut f32, value: [f32; 4]) {
        self.store_quad(to.cast(), bits(value));
    }
    /// Collective: [`shuffle_xor`](Self::shuffle_xor) of an f32.
    #[inline(always)]
    fn shuffle_xor_f32(self, value: f32, mask: u32) -> f32 {
        f32::from_bits(self.shuffle_xor(value.to_bits(), mask))
    }
    /// e to the power of `x`.
    #[inline(always)]
    fn exp(self, x: f32) -> f32 {
        self.exp2(x * core::f32::consts::LOG2_E)
    }
    /// Collective: the sum over the warp, the same in every lane.
    #[inline(always)]
    fn warp_sum(self, value: f32) -> f32 {
        let mut sum = value;
        sum += self.shuffle_xor_f32(sum, 16);
        sum += self.shuffle_xor_f32(sum, 8);
        sum += self.shuffle_xor_f32(sum, 4);
        sum += self.shuffle_xor_f32(sum, 2);
        sum + self.shuffle_xor_f32(sum, 1)
    }
    /// Collective: the largest over the warp, the same in every lane.
    #[inline(always)]
    fn warp_max(self, value: f32) -> f32 {
        let mut max = value;
        let mut mask = 16;
        while mask > 0 {
            let other = self.shuffle_xor_f32(max, mask);
            max = if other > max { other } else { max };
            mask >>= 1;
        }
        max
    }
    /// Collective: the smallest over the warp, the same in every lane.
    #[inline(always)]
    fn warp_min(self, value: u32) -> u32 {
        let mut min = value;
        let mut mask = 16;
        while mask > 0 {
            let other = self.shuffle_xor(min, mask);
            min = if other < min { other } else { min };
            mask >>= 1;
        }
        min
    }
}

#[inline(always)]
fn floats(words: [u32; 4]) -> [f32; 4] {
    [f32::from_bits(words[0]), f32::from_bits(words[1]), f32::from_bits(words[2]), f32::from_bits(words[3])]
}

#[inline(always)]
fn bits(values: [f32; 4]) -> [u32; 4] {
    [values[0].to_bits(), values[1].to_bits(), values[2].to_bits(), values[3].to_bits()]
}

/// An f32 as bfloat16, rounded to nearest, ties to even; in the low half. NaN stays one.
#[inline(always)]
pub fn bf16(x: f32) -> u32 {
    let bits = x.to_bits();
    if bits & 0x7fff_ffff > 0x7f80_0000 {
        return bits >> 16 | 0x40;
    }
    (bits + 0x7fff + (bits >> 16 & 1)) >> 16
}

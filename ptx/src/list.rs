//! Every kernel, named once: the entries of the PTX, the launches of the host and those of the simulator come from here.

#[cfg(not(target_arch = "nvptx64"))]
use crate::kernels::*;

/// A launch of a kernel.
#[cfg(not(target_arch = "nvptx64"))]
#[derive(Clone, Debug)]
pub struct Launch {
    /// The kernel's name.
    pub name: &'static str,
    /// Blocks, by dimension.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Shared memory of a block, bytes.
    pub shared: u32,
    /// The arguments; of shorter ones the low bytes count.
    pub arguments: Vec<u64>,
}

/// An address in the memory of a device, of values of the type `T`.
#[cfg(not(target_arch = "nvptx64"))]
#[derive(Debug, PartialEq, Eq)]
pub struct Address<T>(pub u64, core::marker::PhantomData<T>);

#[cfg(not(target_arch = "nvptx64"))]
impl<T> Clone for Address<T> {
    fn clone(&self) -> Self {
        *self
    }
}

#[cfg(not(target_arch = "nvptx64"))]
impl<T> Copy for Address<T> {}

#[cfg(not(target_arch = "nvptx64"))]
impl<T> Address<T> {
    /// The address `bytes`.
    pub fn new(bytes: u64) -> Self {
        Self(bytes, core::marker::PhantomData)
    }
}

/// What a kernel's parameter is on the host.
#[cfg(not(target_arch = "nvptx64"))]
pub trait Parameter {
    /// An address for a pointer, itself for a number.
    type Host: Copy;
    /// The low bytes are those that the kernel is given.
    fn word(host: Self::Host) -> u64;
}

#[cfg(not(target_arch = "nvptx64"))]
macro_rules! plain {
    ($($ty:ty => $word:expr;)*) => { $(
        impl Parameter for $ty {
            type Host = $ty;
            fn word(host: $ty) -> u64 {
                let word: fn($ty) -> u64 = $word;
                word(host)
            }
        }
    )* };
}

#[cfg(not(target_arch = "nvptx64"))]
plain! {
    u32 => u64::from;
    f32 => |x| u64::from(x.to_bits());
}

#[cfg(not(target_arch = "nvptx64"))]
impl<T> Parameter for *const T {
    type Host = Address<T>;
    fn word(host: Address<T>) -> u64 {
        host.0
    }
}

#[cfg(not(target_arch = "nvptx64"))]
impl<T> Parameter for *mut T {
    type Host = Address<T>;
    fn word(host: Address<T>) -> u64 {
        host.0
    }
}

macro_rules! kernels {
    ($(
        $module:ident::$name:ident($($arg:ident: $ty:ty),* $(,)?)
            grid [$x:expr, $y:expr, $z:expr], threads $threads:expr, shared $shared:expr;
    )*) => {
        /// The names of all kernels.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// How many arguments a kernel has; 0 where there is no such kernel.
        #[cfg(not(target_arch = "nvptx64"))]
        pub fn arguments(name: &str) -> usize {
            match name {
                $(stringify!($name) => [$(stringify!($arg)),*].len(),)*
                _ => 0,
            }
        }

        #[cfg(target_arch = "nvptx64")]
        mod entries { $(
            #[unsafe(no_mangle)]
            pub unsafe extern "ptx-kernel" fn $name($($arg: $ty),*) {
                crate::kernels::$module::$name(crate::device::Thread::new(), $($arg),*);
            }
        )* }

        /// Launches, by kernel: what an argument means stands at the kernel.
        #[cfg(not(target_arch = "nvptx64"))]
        pub mod launch {
            use super::*;
            $(
                #[doc = concat!("A launch of [`", stringify!($name), "`](crate::kernels::", stringify!($module), "::",
                    stringify!($name), ").")]
                pub fn $name($($arg: <$ty as Parameter>::Host),*) -> Launch {
                    Launch {
                        name: stringify!($name),
                        grid: [$x, $y, $z],
                        threads: $threads,
                        shared: $shared,
                        arguments: vec![$(<$ty as Parameter>::word($arg)),*],
                    }
                }
            )*
        }

        /// Runs kernel `name` as one thread of the simulator; whether there is such a kernel. `arguments` are as in a
        /// [`Launch`].
        ///
        /// # Safety
        /// The arguments are those of this kernel.
        #[cfg(feature = "sim")]
        pub unsafe fn simulate(name: &str, arguments: &[u64], thread: crate::sim::Thread<'_>) -> bool {
            match name {
                $(
                    stringify!($name) => {
                        let mut words = arguments.iter();
                        let ($($arg,)*) = ($({
                            let word = words.next().expect("a launch has all arguments");
                            unsafe { core::ptr::from_ref(word).cast::<$ty>().read() }
                        },)*);
                        unsafe { crate::kernels::$module::$name(thread, $($arg),*) };
                        true
                    }
                )*
                _ => false,
            }
        }
    };
}

// A line for every kernel: its arguments, and the shape of its launch by them.
kernels! {
    vector::scaled_add(n: u32, a: f32, x: *const f32, y: *mut f32)
        grid [n.div_ceil(vector::THREADS), 1, 1], threads vector::THREADS, shared 0;
    reduction::reduce_sum(n: u32, blocks: u32, x: *const f32, out: *mut f32)
        grid [blocks, 1, 1], threads reduction::THREADS, shared reduction::SHARED;
    reduction::reduce_squares(n: u32, blocks: u32, x: *const f32, out: *mut f32)
        grid [blocks, 1, 1], threads reduction::THREADS, shared reduction::SHARED;
    reduction::reduce_max(n: u32, blocks: u32, x: *const f32, out: *mut f32)
        grid [blocks, 1, 1], threads reduction::THREADS, shared reduction::SHARED;
    reduction::row_sums(rows: u32, columns: u32, x: *const f32, out: *mut f32)
        grid [rows.div_ceil(reduction::ROWS), 1, 1], threads 32 * reduction::ROWS, shared 0;
    reduction::column_sums(rows: u32, columns: u32, x: *const f32, out: *mut f32)
        grid [columns.div_ceil(reduction::COLUMNS), 1, 1], threads reduction::COLUMN_THREADS, shared reduction::COLUMN_SHARED;
    matmul::matmul_f32(
        m: u32, n: u32, k: u32, a: *const f32, a_row: u32, a_column: u32, b: *const f32, b_row: u32, b_column: u32, c: *mut f32,
    )
        grid [n.div_ceil(matmul::TILE), m.div_ceil(matmul::TILE), 1], threads matmul::THREADS, shared matmul::SHARED;
    memory::memory_step(
        files: u32, len: u32, dim: u32, parts: u32, keep: f32, scale: f32, out: *const f32, targets: *const u8,
        rows: *const f32, to: *mut f32, costs: *mut f32, right: *mut u32,
    )
        grid [files.min(memory::BLOCKS), parts, 1], threads memory::THREADS, shared memory::SHARED;
    memory::memory_forward(
        files: u32, len: u32, dim: u32, parts: u32, out: *const f32, targets: *const u8, rows: *const f32, costs: *mut f32,
        right: *mut u32, said: *mut u8,
    )
        grid [files.min(memory::BLOCKS), parts, 1], threads memory::THREADS, shared memory::SHARED;
    memory::memory_out_gradient(
        files: u32, len: u32, dim: u32, out: *const f32, targets: *const u8, rows: *const f32, d_out: *mut f32,
    )
        grid [files.min(memory::BLOCKS), dim.div_ceil(memory::COLUMNS), 1], threads memory::THREADS, shared memory::SHARED;
    memory::memory_counts(
        files: u32, parts: u32, part_costs: *const f32, part_right: *const u32, costs: *mut f32, right: *mut u32,
    )
        grid [files.div_ceil(memory::THREADS), 1, 1], threads memory::THREADS, shared 0;
    loss::softmax_cross_entropy(
        n: u32, classes: u32, logits: *const f32, targets: *const u8, costs: *mut f32, right: *mut u32, d_logits: *mut f32,
    )
        grid [n.div_ceil(loss::ROWS), 1, 1], threads loss::THREADS, shared 0;
    loss::softmax_cross_entropy_narrow(
        n: u32, classes: u32, logits: *const f32, targets: *const u8, costs: *mut f32, right: *mut u32, d_logits: *mut f32,
    )
        grid [n.div_ceil(loss::ROWS), 1, 1], threads loss::THREADS, shared 0;
    gate::gelu(n: u32, x: *const f32, y: *mut f32)
        grid [n.div_ceil(gate::EACH), 1, 1], threads gate::THREADS, shared 0;
    gate::gelu_gradient(n: u32, x: *const f32, d_y: *const f32, d_x: *mut f32)
        grid [n.div_ceil(gate::EACH), 1, 1], threads gate::THREADS, shared 0;
    gate::sigmoid_gate(n: u32, x: *const f32, gate: *const f32, y: *mut f32)
        grid [n.div_ceil(gate::EACH), 1, 1], threads gate::THREADS, shared 0;
    gate::sigmoid_gate_gradients(
        n: u32, x: *const f32, gate: *const f32, d_y: *const f32, d_x: *mut f32, d_gate: *mut f32,
    )
        grid [n.div_ceil(gate::EACH), 1, 1], threads gate::THREADS, shared 0;
    gate::clipped_relu(n: u32, largest: f32, x: *const f32, y: *mut f32)
        grid [n.div_ceil(gate::EACH), 1, 1], threads gate::THREADS, shared 0;
    gate::clipped_relu_gradient(n: u32, largest: f32, x: *const f32, d_y: *const f32, d_x: *mut f32)
        grid [n.div_ceil(gate::EACH), 1, 1], threads gate::THREADS, shared 0;
    norm::layer_norm(
        rows: u32, n: u32, epsilon: f32, x: *const f32, scale: *const f32, shift: *const f32, y: *mut f32, moments: *mut f32,
    )
        grid [rows.div_ceil(row::ROWS), 1, 1], threads row::THREADS, shared 0;
    norm::layer_norm_narrow(
        rows: u32, n: u32, epsilon: f32, x: *const f32, scale: *const f32, shift: *const f32, y: *mut f32, moments: *mut f32,
    )
        grid [rows.div_ceil(norm::HALF_ROWS * row::ROWS), 1, 1], threads row::THREADS, shared 0;
    norm::layer_norm_back(
        rows: u32, n: u32, x: *const f32, scale: *const f32, moments: *const f32, dy: *const f32, dx: *mut f32,
        partial: *mut f32,
    )
        grid [norm::PARTS, n.div_ceil(norm::COLUMNS), 1], threads row::THREADS, shared 8 * norm::COLUMNS;
    norm::layer_norm_back_narrow(
        rows: u32, n: u32, x: *const f32, scale: *const f32, moments: *const f32, dy: *const f32, dx: *mut f32,
        partial: *mut f32,
    )
        grid [norm::NARROW_PARTS, n.div_ceil(norm::NARROW), 1], threads row::THREADS, shared 8 * norm::NARROW;
    norm::norm_sums(parts: u32, n: u32, partial: *const f32, first: *mut f32, second: *mut f32)
        grid [(2 * n).div_ceil(norm::SUMMED), 1, 1], threads row::THREADS, shared norm::SUMS_SHARED;
    norm::rms_norm(rows: u32, n: u32, epsilon: f32, x: *const f32, y: *mut f32, factors: *mut f32)
        grid [rows.div_ceil(row::ROWS), 1, 1], threads row::THREADS, shared 0;
    norm::rms_norm_back(rows: u32, n: u32, y: *const f32, factors: *const f32, dy: *const f32, dx: *mut f32)
        grid [rows.div_ceil(row::ROWS), 1, 1], threads row::THREADS, shared 0;
    softmax::softmax_rows(rows: u32, n: u32, x: *const f32, y: *mut f32)
        grid [rows.div_ceil(row::ROWS), 1, 1], threads row::THREADS, shared 0;
    softmax::softmax_rows_back(rows: u32, n: u32, y: *const f32, dy: *const f32, dx: *mut f32)
        grid [rows.div_ceil(row::ROWS), 1, 1], threads row::THREADS, shared 0;
    attention::attention_rows(eights: u32, scale: f32, x: *const f32, out: *mut u16)
        grid [eights.div_ceil(attention::THREADS), 1, 1], threads attention::THREADS, shared 0;
    attention::attention_delta(rows: u32, width: u32, out: *const f32, dout: *const f32, delta: *mut f32)
        grid [rows.div_ceil(attention::DELTA_ROWS), 1, 1], threads attention::THREADS, shared 0;
    attention::attention_32(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, out: *mut f32, logs: *mut f32,
    )
        grid [batches, len.div_ceil(attention::queries(4)), heads], threads attention::THREADS, shared attention::shared(4);
    attention::attention_queries_32(
        batches: u32, heads: u32, len: u32, width: u32, scale: f32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dq: *mut f32,
        d_bias: *mut f32,
    )
        grid [batches, len.div_ceil(attention::BACK_ROWS), heads], threads attention::BACK_THREADS,
        shared attention::back_shared(4);
    attention::attention_keys_32(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dk: *mut f32, dv: *mut f32,
    )
        grid [batches, len.div_ceil(attention::BACK_ROWS), heads], threads attention::BACK_THREADS,
        shared attention::back_shared(4);
    attention::attention_bias_32(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, q: *const u16, k: *const u16, v: *const u16,
        bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, d_bias: *mut f32,
    )
        grid [len.div_ceil(attention::BIAS_KEYS), len.div_ceil(attention::BACK_ROWS), heads],
        threads attention::BACK_THREADS, shared attention::bias_shared(4);
    attention::attention_64(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, out: *mut f32, logs: *mut f32,
    )
        grid [batches, len.div_ceil(attention::queries(8)), heads], threads attention::THREADS, shared attention::shared(8);
    attention::attention_queries_64(
        batches: u32, heads: u32, len: u32, width: u32, scale: f32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dq: *mut f32,
        d_bias: *mut f32,
    )
        grid [batches, len.div_ceil(attention::BACK_ROWS), heads], threads attention::BACK_THREADS,
        shared attention::back_shared(8);
    attention::attention_keys_64(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dk: *mut f32, dv: *mut f32,
    )
        grid [batches, len.div_ceil(attention::BACK_ROWS), heads], threads attention::BACK_THREADS,
        shared attention::back_shared(8);
    attention::attention_bias_64(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, q: *const u16, k: *const u16, v: *const u16,
        bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, d_bias: *mut f32,
    )
        grid [len.div_ceil(attention::BIAS_KEYS), len.div_ceil(attention::BACK_ROWS), heads],
        threads attention::BACK_THREADS, shared attention::bias_shared(8);
    attention::attention_128(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, out: *mut f32, logs: *mut f32,
    )
        grid [batches, len.div_ceil(attention::queries(16)), heads], threads attention::THREADS, shared attention::shared(16);
    attention::attention_queries_128(
        batches: u32, heads: u32, len: u32, width: u32, scale: f32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dq: *mut f32,
        d_bias: *mut f32,
    )
        grid [batches, len.div_ceil(attention::BACK_ROWS), heads], threads attention::BACK_THREADS,
        shared attention::back_shared(16);
    attention::attention_keys_128(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, shared_bias: u32, q: *const u16, k: *const u16,
        v: *const u16, bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, dk: *mut f32, dv: *mut f32,
    )
        grid [batches, len.div_ceil(attention::BACK_ROWS), heads], threads attention::BACK_THREADS,
        shared attention::back_shared(16);
    attention::attention_bias_128(
        batches: u32, heads: u32, len: u32, width: u32, causal: u32, q: *const u16, k: *const u16, v: *const u16,
        bias: *const f32, logs: *const f32, delta: *const f32, dout: *const u16, d_bias: *mut f32,
    )
        grid [len.div_ceil(attention::BIAS_KEYS), len.div_ceil(attention::BACK_ROWS), heads],
        threads attention::BACK_THREADS, shared attention::bias_shared(16);
    pairs::outer_mean(
        rows: u32, len: u32, c: u32, a: *const f32, b: *const f32, shares: *const f32, mean: f32, out: *mut f32,
    )
        grid [(len * c).div_ceil(pairs::OUTER), (len * c).div_ceil(pairs::OUTER), 1], threads pairs::THREADS,
        shared pairs::OUTER_SHARED;
    pairs::outer_mean_back(
        rows: u32, len: u32, c: u32, a: *const f32, b: *const f32, shares: *const f32, mean: f32, d_out: *const f32,
        d_a: *mut f32, d_b: *mut f32,
    )
        grid [(len * c).div_ceil(pairs::BACK_COLUMNS), rows.div_ceil(pairs::BACK_ROWS), 2], threads pairs::THREADS,
        shared pairs::BACK_SHARED;
    pairs::triangle(
        len: u32, channels: u32, which: u32, scale: f32, a: *const f32, a_row: u32, a_term: u32, b: *const f32, b_term: u32,
        b_column: u32, out: *mut f32,
    )
        grid [channels.div_ceil(pairs::CHANNELS), len.div_ceil(pairs::TRIANGLE_COLUMNS), len.div_ceil(pairs::TRIANGLE_ROWS)],
        threads pairs::THREADS, shared pairs::TRIANGLE_SHARED;
    tensor::matmul_bf16(m: u32, n: u32, k: u32, a: *const u16, b: *const u16, c: *mut f32)
        grid [tensor::tiles(m, n), 1, 1], threads tensor::THREADS, shared tensor::SHARED;
    tensor::matmul_bf16_plain(m: u32, n: u32, k: u32, a: *const u16, b: *const u16, c: *mut f32)
        grid [tensor::tiles(m, n), 1, 1], threads tensor::THREADS, shared tensor::SHARED;
    tensor::matmul_bf16_left(m: u32, n: u32, k: u32, a: *const u16, b: *const u16, c: *mut f32)
        grid [tensor::tiles(m, n), 1, 1], threads tensor::THREADS, shared tensor::SHARED;
    tensor::matmul_i8(m: u32, n: u32, k: u32, a: *const i8, b: *const i8, c: *mut i32)
        grid [tensor::tiles(m, n), 1, 1], threads tensor::THREADS, shared tensor::SHARED;
    tensor::to_bf16(n: u32, x: *const f32, out: *mut u16)
        grid [n.div_ceil(8 * tensor::CONVERT_THREADS), 1, 1], threads tensor::CONVERT_THREADS, shared 0;
    optimiser::adam_step(
        n: u32, rate: f32, beta1: f32, beta2: f32, first_scale: f32, second_scale: f32, epsilon: f32, decay: f32,
        gradient: *const f32, m: *mut f32, v: *mut f32, parameters: *mut f32,
    )
        grid [n.div_ceil(4 * optimiser::THREADS), 1, 1], threads optimiser::THREADS, shared 0;
    quantise::quantise_1(n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32)
        grid [n.div_ceil(quantise::THREADS / 32 * quantise::PIECE), 1, 1], threads quantise::THREADS, shared 0;
    quantise::quantise_2(n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32)
        grid [n.div_ceil(quantise::THREADS / 32 * quantise::PIECE), 1, 1], threads quantise::THREADS, shared 0;
    quantise::quantise_4(n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32)
        grid [n.div_ceil(quantise::THREADS / 32 * quantise::PIECE), 1, 1], threads quantise::THREADS, shared 0;
    quantise::quantise_8(n: u32, group: u32, x: *const f32, codes: *mut u32, scales: *mut f32)
        grid [n.div_ceil(quantise::THREADS / 32 * quantise::PIECE), 1, 1], threads quantise::THREADS, shared 0;
    quantise::magnitudes(groups: u32, group: u32, pieces: u32, sum: u32, x: *const f32, out: *mut f32)
        grid [(groups * pieces).div_ceil(quantise::THREADS / 32), 1, 1], threads quantise::THREADS, shared 0;
    quantise::group_scales(groups: u32, group: u32, bits: u32, all: *const f32, scales: *mut f32)
        grid [groups.div_ceil(quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
    quantise::quantise_by(n: u32, group: u32, bits: u32, x: *const f32, scales: *const f32, codes: *mut u32)
        grid [n.div_ceil(4 * quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
    quantise::dequantise(n: u32, group: u32, bits: u32, codes: *const u32, scales: *const f32, out: *mut f32)
        grid [n.div_ceil(4 * quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
    quantise::position_codes(n: u32, bits: u32, step: f32, x: *const f32, codes: *mut u32)
        grid [n.div_ceil(4 * quantise::TURNS * quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
    quantise::position_values(n: u32, bits: u32, step: f32, codes: *const u32, out: *mut f32)
        grid [n.div_ceil(4 * quantise::TURNS * quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
    sparse::sparse_two_of_four(n: u32, x: *const f32, out: *mut f32, mask: *mut u32)
        grid [n.div_ceil(4 * sparse::THREADS), 1, 1], threads sparse::THREADS, shared 0;
    sparse::sparse_threshold(n: u32, least: f32, x: *const f32, out: *mut f32, mask: *mut u32)
        grid [n.div_ceil(4 * sparse::THREADS), 1, 1], threads sparse::THREADS, shared 0;
    ceiling::ceiling_copy(fours: u32, from: *const u32, to: *mut u32)
        grid [fours.div_ceil(ceiling::FOURS * ceiling::THREADS), 1, 1], threads ceiling::THREADS, shared 0;
    ceiling::ceiling_fma(blocks: u32, rounds: u32, a: f32, b: f32, out: *mut f32)
        grid [blocks, 1, 1], threads ceiling::THREADS, shared 0;
    ceiling::ceiling_bf16(blocks: u32, rounds: u32, out: *mut f32)
        grid [blocks, 1, 1], threads ceiling::THREADS, shared 0;
    ceiling::ceiling_i8(blocks: u32, rounds: u32, out: *mut i32)
        grid [blocks, 1, 1], threads ceiling::THREADS, shared 0;
    low_rank::narrow_product(m: u32, k: u32, rank: u32, a: *const f32, b: *const f32, c: *mut f32)
        grid [m.div_ceil(low_rank::PRODUCT_ROWS), rank.div_ceil(low_rank::NARROW), 1], threads low_rank::PRODUCT_THREADS,
        shared 0;
    low_rank::narrow_add(m: u32, n: u32, rank: u32, scale: f32, a: *const f32, b: *const f32, y: *mut f32)
        grid [m.div_ceil(low_rank::ADD_ROWS), n.div_ceil(low_rank::ADD_COLUMNS), 1], threads low_rank::ADD_THREADS,
        shared low_rank::ADD_SHARED;
    low_rank::narrow_gradient(
        m: u32, n: u32, rank: u32, share: u32, a: *const f32, x: *const f32, parts: *mut f32,
    )
        grid [n.div_ceil(low_rank::GRADIENT_COLUMNS), m.div_ceil(share), rank.div_ceil(low_rank::NARROW)],
        threads low_rank::GRADIENT_THREADS, shared low_rank::GRADIENT_SHARED;
    low_rank::narrow_sum(
        rank: u32, n: u32, count: u32, scale: f32, parts: *const f32, to: *mut f32, to_row: u32, to_column: u32,
    )
        grid [(rank * n).div_ceil(low_rank::SUM_THREADS), 1, 1], threads low_rank::SUM_THREADS, shared 0;
    low_rank::narrow_transpose(rows: u32, columns: u32, from: *const f32, to: *mut f32)
        grid [(rows * columns).div_ceil(low_rank::SUM_THREADS), 1, 1], threads low_rank::SUM_THREADS, shared 0;
}

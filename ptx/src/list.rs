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
    quantise::quantise(n: u32, group: u32, bits: u32, x: *const f32, codes: *mut u32, scales: *mut f32)
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
        grid [n.div_ceil(4 * quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
    quantise::position_values(n: u32, bits: u32, step: f32, codes: *const u32, out: *mut f32)
        grid [n.div_ceil(4 * quantise::THREADS), 1, 1], threads quantise::THREADS, shared 0;
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
}

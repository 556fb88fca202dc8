//! The threads of a real GPU.

use core::arch::nvptx::{
    _block_dim_x, _block_idx_x, _block_idx_y, _block_idx_z, _grid_dim_x, _syncthreads, _thread_idx_x, trap,
};
use core::arch::{asm, global_asm};

use crate::gpu::Gpu;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe { trap() }
}

global_asm!(".extern .shared .align 16 .b8 shared_bytes[];");

unsafe extern "C" {
    // The intrinsic is convergent for LLVM; an `asm!` block would not be.
    #[link_name = "llvm.nvvm.shfl.sync.bfly.i32"]
    fn shuffle_sync_xor(members: i32, value: i32, mask: i32, clamp: i32) -> i32;
}

/// One thread.
#[derive(Clone, Copy)]
pub struct Thread {
    /// Where the block's shared memory starts in the window of shared memory.
    shared: u32,
}

impl Thread {
    #[inline(always)]
    pub fn new() -> Self {
        let shared: u32;
        unsafe { asm!("mov.u32 {}, shared_bytes;", out(reg32) shared, options(pure, nomem, nostack)) };
        Self { shared }
    }
}

impl Gpu for Thread {
    #[inline(always)]
    fn thread(self) -> u32 {
        unsafe { _thread_idx_x() as u32 }
    }
    #[inline(always)]
    fn threads(self) -> u32 {
        unsafe { _block_dim_x() as u32 }
    }
    #[inline(always)]
    fn block(self) -> [u32; 3] {
        unsafe { [_block_idx_x() as u32, _block_idx_y() as u32, _block_idx_z() as u32] }
    }
    #[inline(always)]
    fn blocks(self) -> u32 {
        unsafe { _grid_dim_x() as u32 }
    }
    #[inline(always)]
    fn barrier(self) {
        unsafe { _syncthreads() }
    }
    #[inline(always)]
    unsafe fn load<T: Copy>(self, from: *const T) -> T {
        *from
    }
    #[inline(always)]
    unsafe fn store<T: Copy>(self, to: *mut T, value: T) {
        *to = value;
    }
    #[inline(always)]
    unsafe fn load_quad(self, from: *const u32) -> [u32; 4] {
        let [mut a, mut b, mut c, mut d] = [0u32; 4];
        asm!("ld.global.v4.u32 {{{}, {}, {}, {}}}, [{}];", out(reg32) a, out(reg32) b, out(reg32) c, out(reg32) d,
            in(reg64) from, options(readonly, nostack));
        [a, b, c, d]
    }
    #[inline(always)]
    unsafe fn store_quad(self, to: *mut u32, v: [u32; 4]) {
        asm!("st.global.v4.u32 [{}], {{{}, {}, {}, {}}};", in(reg64) to, in(reg32) v[0], in(reg32) v[1], in(reg32) v[2],
            in(reg32) v[3], options(nostack));
    }
    #[inline(always)]
    unsafe fn shared(self, at: u32) -> u32 {
        let value: u32;
        asm!("ld.shared.u32 {}, [{}];", out(reg32) value, in(reg32) self.shared + at, options(readonly, nostack));
        value
    }
    #[inline(always)]
    unsafe fn set_shared(self, at: u32, value: u32) {
        asm!("st.shared.u32 [{}], {};", in(reg32) self.shared + at, in(reg32) value, options(nostack));
    }
    #[inline(always)]
    unsafe fn shared_quad(self, at: u32) -> [u32; 4] {
        let [mut a, mut b, mut c, mut d] = [0u32; 4];
        asm!("ld.shared.v4.u32 {{{}, {}, {}, {}}}, [{}];", out(reg32) a, out(reg32) b, out(reg32) c, out(reg32) d,
            in(reg32) self.shared + at, options(readonly, nostack));
        [a, b, c, d]
    }
    #[inline(always)]
    unsafe fn set_shared_quad(self, at: u32, v: [u32; 4]) {
        asm!("st.shared.v4.u32 [{}], {{{}, {}, {}, {}}};", in(reg32) self.shared + at, in(reg32) v[0], in(reg32) v[1],
            in(reg32) v[2], in(reg32) v[3], options(nostack));
    }
    #[inline(always)]
    unsafe fn copy(self, to: u32, from: *const u32) {
        asm!("cp.async.cg.shared.global [{}], [{}], 16;", in(reg32) self.shared + to, in(reg64) from, options(nostack));
    }
    #[inline(always)]
    fn end_copies(self) {
        unsafe { asm!("cp.async.commit_group;", options(nostack)) }
    }
    #[inline(always)]
    fn copied<const LEFT: u32>(self) {
        unsafe { asm!("cp.async.wait_group {};", const LEFT, options(nostack)) }
    }
    #[inline(always)]
    fn shuffle_xor(self, value: u32, mask: u32) -> u32 {
        unsafe { shuffle_sync_xor(-1, value as i32, mask as i32, 31) as u32 }
    }
    #[inline(always)]
    unsafe fn load_matrices(self, at: u32) -> [u32; 4] {
        let [mut a, mut b, mut c, mut d] = [0u32; 4];
        asm!("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{{}, {}, {}, {}}}, [{}];", out(reg32) a, out(reg32) b,
            out(reg32) c, out(reg32) d, in(reg32) self.shared + at, options(readonly, nostack));
        [a, b, c, d]
    }
    #[inline(always)]
    unsafe fn load_matrices_transposed(self, at: u32) -> [u32; 4] {
        let [mut a, mut b, mut c, mut d] = [0u32; 4];
        asm!("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {{{}, {}, {}, {}}}, [{}];", out(reg32) a, out(reg32) b,
            out(reg32) c, out(reg32) d, in(reg32) self.shared + at, options(readonly, nostack));
        [a, b, c, d]
    }
    #[inline(always)]
    fn mma_bf16(self, a: [u32; 4], b: [u32; 2], c: [f32; 4]) -> [f32; 4] {
        let [mut w, mut x, mut y, mut z] = c;
        unsafe {
            asm!(
                "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 \
                 {{{w}, {x}, {y}, {z}}}, {{{}, {}, {}, {}}}, {{{}, {}}}, {{{w}, {x}, {y}, {z}}};",
                in(reg32) a[0], in(reg32) a[1], in(reg32) a[2], in(reg32) a[3], in(reg32) b[0], in(reg32) b[1],
                w = inout(reg32) w, x = inout(reg32) x, y = inout(reg32) y, z = inout(reg32) z, options(nomem, nostack)
            );
        }
        [w, x, y, z]
    }
    #[inline(always)]
    fn mma_i8(self, a: [u32; 4], b: [u32; 2], c: [i32; 4]) -> [i32; 4] {
        let [mut w, mut x, mut y, mut z] = c;
        unsafe {
            asm!(
                "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 \
                 {{{w}, {x}, {y}, {z}}}, {{{}, {}, {}, {}}}, {{{}, {}}}, {{{w}, {x}, {y}, {z}}};",
                in(reg32) a[0], in(reg32) a[1], in(reg32) a[2], in(reg32) a[3], in(reg32) b[0], in(reg32) b[1],
                w = inout(reg32) w, x = inout(reg32) x, y = inout(reg32) y, z = inout(reg32) z, options(nomem, nostack)
            );
        }
        [w, x, y, z]
    }
    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        let sum: f32;
        unsafe {
            asm!("fma.rn.f32 {}, {}, {}, {};", out(reg32) sum, in(reg32) a, in(reg32) b, in(reg32) c,
                options(pure, nomem, nostack));
        }
        sum
    }
    #[inline(always)]
    fn dot4(self, a: u32, b: u32, c: i32) -> i32 {
        let sum: i32;
        unsafe {
            asm!("dp4a.s32.s32 {}, {}, {}, {};", out(reg32) sum, in(reg32) a, in(reg32) b, in(reg32) c,
                options(pure, nomem, nostack));
        }
        sum
    }
    #[inline(always)]
    fn exp2(self, x: f32) -> f32 {
        let power: f32;
        unsafe { asm!("ex2.approx.f32 {}, {};", out(reg32) power, in(reg32) x, options(pure, nomem, nostack)) };
        power
    }
    #[inline(always)]
    fn log2(self, x: f32) -> f32 {
        let power: f32;
        unsafe { asm!("lg2.approx.f32 {}, {};", out(reg32) power, in(reg32) x, options(pure, nomem, nostack)) };
        power
    }
    #[inline(always)]
    fn sqrt(self, x: f32) -> f32 {
        let root: f32;
        unsafe { asm!("sqrt.rn.f32 {}, {};", out(reg32) root, in(reg32) x, options(pure, nomem, nostack)) };
        root
    }
}

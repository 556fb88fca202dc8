//! Peak stack by painting: what lies below the stack pointer is filled, and later searched for the deepest change.

/// No return address, and unlikely as data.
const PAINT: u32 = 0x5afe_57ac;
/// Words below the stack pointer that are left alone: the frame of the function that paints.
const MARGIN_WORDS: usize = 16;

unsafe extern "C" {
    /// Lowest word of the stack; from the linker scripts.
    static mut _stack_end: u32;
    /// End of the RAM, from which the stack grows down; from the linker scripts.
    static mut _stack_start: u32;
}

/// The stack pointer.
#[inline(always)]
fn pointer() -> usize {
    let pointer;
    #[cfg(target_arch = "arm")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "riscv32")]
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}

/// Bytes of RAM that statics take. Images are linked for RAM that starts at a multiple of a mebibyte.
pub fn statics() -> usize {
    (&raw const _stack_end) as usize % (1 << 20)
}

/// A stack painted below `top`.
#[derive(Debug)]
pub struct Painted {
    top: usize,
}

impl Painted {
    /// Paints the free part of the stack.
    #[expect(clippy::new_without_default, reason = "it paints")]
    #[inline(never)]
    pub fn new() -> Self {
        let top = pointer();
        let bottom = &raw mut _stack_end;
        let words = (top - bottom as usize) / size_of::<u32>() - MARGIN_WORDS;
        for word in 0..words {
            // SAFETY: the linker script keeps `_stack_end.._stack_start` free of statics, and the
            // words painted lie below this function's own frame.
            unsafe { bottom.add(word).write_volatile(PAINT) };
        }
        Self { top }
    }

    /// Bytes of stack used since, counted from the caller's frame; `None` when the stack reached its end.
    #[inline(never)]
    pub fn peak(&self) -> Option<usize> {
        let bottom = &raw const _stack_end;
        let words = (self.top - bottom as usize) / size_of::<u32>();
        // SAFETY: reads words between the end of the statics and the stack pointer.
        let clean = (0..words).take_while(|&word| unsafe { bottom.add(word).read_volatile() } == PAINT).count();
        (clean > 0).then(|| (words - clean) * size_of::<u32>())
    }

    /// Bytes of the stack above the caller's frame.
    pub fn above(&self) -> usize {
        (&raw const _stack_start) as usize - self.top
    }
}

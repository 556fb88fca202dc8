//! A GPU made of coroutines: kernels run on the CPU, and what a real GPU would leave undefined is reported.
//!
//! Blocks run one after another, the threads of a block in turns: each until it waits for others. So a run is the same every
//! time. Reported are, with the place: reads of what nobody wrote, accesses out of range or not aligned, two threads that
//! access the same bytes without a barrier between when one of them writes (in shared and in global memory), blocks of one
//! launch that depend on each other, and barriers and collectives that not all threads reach.
//!
//! What it does not show: how the compiler and the hardware order and round what the kernels leave open, and speed.

mod memory;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};

use crate::gpu::Gpu;
use crate::list::Launch;
pub use memory::Memory;
use memory::{Access, Shared, Who};

/// Bytes of a thread's stack.
const STACK: usize = 256 << 10;
/// Lanes of a warp.
const WARP: usize = 32;
/// Most words that a lane gives to a collective.
const WORDS: usize = 10;

/// What a kernel did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault(pub String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// What the lanes of a warp gave to a collective.
#[derive(Clone)]
struct Warp {
    /// Collectives that all lanes have reached.
    done: u64,
    arrived: u32,
    /// Words of this collective and of the one before, by its number's last bit: some lane may not have read them yet.
    given: [Box<[[u32; WORDS]; WARP]>; 2],
    kind: &'static str,
}

/// Copies into shared memory that are under way: where to, and what.
type Copies = Vec<(u32, [u32; 4])>;

/// A block that runs.
struct Block<'a> {
    memory: &'a RefCell<Memory>,
    threads: u32,
    place: [u32; 3],
    grid: [u32; 3],
    shared: RefCell<Shared>,
    /// Barriers that all threads have reached.
    epoch: Cell<u32>,
    arrived: Cell<u32>,
    warps: RefCell<Vec<Warp>>,
    /// Copies into shared memory that each thread has started: groups that have ended, and the one that has not.
    copies: RefCell<Vec<Vec<Copies>>>,
    yielders: Vec<Cell<*const Yielder<(), ()>>>,
    /// Whether any thread got on since this was last looked at.
    moved: Cell<bool>,
}

/// A thread of the simulated GPU.
#[derive(Clone, Copy)]
pub struct Thread<'a> {
    block: &'a Block<'a>,
    id: u32,
}

impl Thread<'_> {
    fn fault(self, what: &str) -> ! {
        let [x, y, z] = self.block.place;
        // Not a panic of the program: nothing is printed.
        resume_unwind(Box::new(Fault(format!("{what} (thread {}, block {x},{y},{z})", self.id))))
    }

    fn check<T>(self, result: Result<T, String>) -> T {
        result.unwrap_or_else(|what| self.fault(&what))
    }

    /// Gives way to the other threads until `done`.
    fn wait(self, done: impl Fn() -> bool) {
        while !done() {
            let yielder = self.block.yielders[self.id as usize].get();
            // SAFETY: set when this thread's coroutine started, whose yielder lives as long as it runs.
            unsafe { &*yielder }.suspend(());
        }
        self.block.moved.set(true);
    }

    fn who(self) -> Who {
        let [x, y, z] = self.block.place;
        let [nx, ny, _] = self.block.grid;
        Who { block: x + nx * (y + ny * z), thread: self.id, epoch: self.block.epoch.get() }
    }

    /// Gives `words` to the warp and takes what all lanes gave.
    fn exchange<const N: usize>(self, kind: &'static str, words: [u32; N]) -> Box<[[u32; WORDS]; WARP]> {
        let (warp, lane) = (self.id as usize / WARP, self.id as usize % WARP);
        let number = {
            let mut warps = self.block.warps.borrow_mut();
            let warp = &mut warps[warp];
            if warp.arrived > 0 && warp.kind != kind {
                let first = warp.kind;
                drop(warps);
                self.fault(&format!("lanes of a warp at different collectives: {first} and {kind}"));
            }
            warp.kind = kind;
            warp.given[warp.done as usize & 1][lane][..N].copy_from_slice(&words);
            warp.arrived += 1;
            let number = warp.done;
            if warp.arrived as usize == WARP {
                (warp.arrived, warp.done) = (0, warp.done + 1);
            }
            number
        };
        self.wait(|| self.block.warps.borrow()[warp].done > number);
        self.block.warps.borrow()[warp].given[number as usize & 1].clone()
    }

    fn global(self, at: usize, len: usize, access: Access) {
        let result = self.block.memory.borrow_mut().access(at, len, access, self.who());
        self.check(result);
    }

    fn shared_access(self, at: u32, words: u32, access: Access) {
        let result = self.block.shared.borrow_mut().access(at, words, access, self.who());
        self.check(result);
    }

    fn land(self, copies: Copies) {
        for (at, words) in copies {
            self.shared_access(at, 4, Access::Write);
            self.block.shared.borrow_mut().set(at, &words);
        }
    }

    /// The rows of 16 bytes that the lanes name, as words.
    fn matrix_rows(self, kind: &'static str, at: u32) -> Vec<[u32; 4]> {
        self.shared_access(at, 4, Access::Read);
        let mine = self.block.shared.borrow().quad(at);
        self.exchange(kind, mine).iter().map(|words| [words[0], words[1], words[2], words[3]]).collect()
    }
}

impl Gpu for Thread<'_> {
    fn thread(self) -> u32 {
        self.id
    }
    fn threads(self) -> u32 {
        self.block.threads
    }
    fn block(self) -> [u32; 3] {
        self.block.place
    }
    fn blocks(self) -> u32 {
        self.block.grid[0]
    }
    fn barrier(self) {
        let (block, epoch) = (self.block, self.block.epoch.get());
        block.arrived.set(block.arrived.get() + 1);
        if block.arrived.get() == block.threads {
            block.arrived.set(0);
            block.epoch.set(epoch + 1);
        }
        self.wait(|| block.epoch.get() != epoch);
    }
    unsafe fn load<T: Copy>(self, from: *const T) -> T {
        self.global(from as usize, size_of::<T>(), Access::Read);
        *from
    }
    unsafe fn store<T: Copy>(self, to: *mut T, value: T) {
        self.global(to as usize, size_of::<T>(), Access::Write);
        *to = value;
    }
    unsafe fn load_quad(self, from: *const u32) -> [u32; 4] {
        self.global(from as usize, 16, Access::Read);
        from.cast::<[u32; 4]>().read()
    }
    unsafe fn store_quad(self, to: *mut u32, value: [u32; 4]) {
        self.global(to as usize, 16, Access::Write);
        to.cast::<[u32; 4]>().write(value);
    }
    unsafe fn shared(self, at: u32) -> u32 {
        self.shared_access(at, 1, Access::Read);
        self.block.shared.borrow().word(at)
    }
    unsafe fn set_shared(self, at: u32, value: u32) {
        self.shared_access(at, 1, Access::Write);
        self.block.shared.borrow_mut().set(at, &[value]);
    }
    unsafe fn shared_quad(self, at: u32) -> [u32; 4] {
        self.shared_access(at, 4, Access::Read);
        self.block.shared.borrow().quad(at)
    }
    unsafe fn set_shared_quad(self, at: u32, value: [u32; 4]) {
        self.shared_access(at, 4, Access::Write);
        self.block.shared.borrow_mut().set(at, &value);
    }
    unsafe fn copy(self, to: u32, from: *const u32) {
        self.global(from as usize, 16, Access::Read);
        let words = from.cast::<[u32; 4]>().read();
        let mut copies = self.block.copies.borrow_mut();
        let groups = &mut copies[self.id as usize];
        groups.last_mut().expect("there is always an open group").push((to, words));
    }
    fn end_copies(self) {
        self.block.copies.borrow_mut()[self.id as usize].push(Vec::new());
    }
    fn copied<const LEFT: u32>(self) {
        let landed: Vec<_> = {
            let mut copies = self.block.copies.borrow_mut();
            let groups = &mut copies[self.id as usize];
            let ended = (groups.len() - 1).saturating_sub(LEFT as usize);
            groups.drain(..ended).flatten().collect()
        };
        self.land(landed);
    }
    fn shuffle_xor(self, value: u32, mask: u32) -> u32 {
        self.exchange("shuffle", [value])[((self.id % WARP as u32) ^ mask) as usize][0]
    }
    unsafe fn load_matrices(self, at: u32) -> [u32; 4] {
        let (rows, lane) = (self.matrix_rows("load_matrices", at), self.id as usize % WARP);
        std::array::from_fn(|i| rows[8 * i + lane / 4][lane % 4])
    }
    unsafe fn load_matrices_transposed(self, at: u32) -> [u32; 4] {
        let (rows, lane) = (self.matrix_rows("load_matrices_transposed", at), self.id as usize % WARP);
        let column = lane / 4;
        let half = |matrix: usize, row: usize| rows[8 * matrix + row][column / 2] >> (16 * (column % 2)) & 0xffff;
        std::array::from_fn(|i| half(i, lane % 4 * 2) | half(i, lane % 4 * 2 + 1) << 16)
    }
    fn mma_bf16(self, a: [u32; 4], b: [u32; 2], c: [f32; 4]) -> [f32; 4] {
        let given = self.exchange("mma_bf16", [a[0], a[1], a[2], a[3], b[0], b[1]]);
        let (group, pair) = (self.id as usize % WARP / 4, self.id as usize % 4);
        let half = |word: u32, k: usize| f32::from_bits((word >> (16 * (k % 2))) << 16);
        let of_a = |row: usize, k: usize| half(given[row % 8 * 4 + k % 8 / 2][row / 8 + 2 * (k / 8)], k);
        let of_b = |k: usize, column: usize| half(given[column * 4 + k % 8 / 2][4 + k / 8], k);
        std::array::from_fn(|i| {
            let (row, column) = (group + i / 2 * 8, 2 * pair + i % 2);
            (0..16).fold(c[i], |sum, k| sum + of_a(row, k) * of_b(k, column))
        })
    }
    fn mma_i8(self, a: [u32; 4], b: [u32; 2], c: [i32; 4]) -> [i32; 4] {
        let given = self.exchange("mma_i8", [a[0], a[1], a[2], a[3], b[0], b[1]]);
        let (group, pair) = (self.id as usize % WARP / 4, self.id as usize % 4);
        let byte = |word: u32, k: usize| i32::from(word.to_le_bytes()[k % 4] as i8);
        let of_a = |row: usize, k: usize| byte(given[row % 8 * 4 + k % 16 / 4][row / 8 + 2 * (k / 16)], k);
        let of_b = |k: usize, column: usize| byte(given[column * 4 + k % 16 / 4][4 + k / 16], k);
        std::array::from_fn(|i| {
            let (row, column) = (group + i / 2 * 8, 2 * pair + i % 2);
            (0..32).fold(c[i], |sum, k| sum.wrapping_add(of_a(row, k) * of_b(k, column)))
        })
    }
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
    fn dot4(self, a: u32, b: u32, c: i32) -> i32 {
        let pairs = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
        pairs.fold(c, |sum, (a, b)| sum.wrapping_add(i32::from(a as i8) * i32::from(b as i8)))
    }
    fn exp2(self, x: f32) -> f32 {
        x.exp2()
    }
    fn log2(self, x: f32) -> f32 {
        x.log2()
    }
    fn sqrt(self, x: f32) -> f32 {
        x.sqrt()
    }
}

/// Runs a kernel of the [list](crate::list) in `memory`.
///
/// # Errors
/// What the kernel did wrong, or the launch.
///
/// # Safety
/// The arguments are those of the kernel. Addresses may be anything: they are checked.
pub unsafe fn launch(memory: &mut Memory, launch: &Launch) -> Result<(), Fault> {
    if !crate::list::NAMES.contains(&launch.name) {
        return Err(Fault(format!("no kernel `{}`", launch.name)));
    }
    run(memory, launch.grid, launch.threads, launch.shared, |thread| {
        // SAFETY: the caller's.
        unsafe { crate::list::simulate(launch.name, &launch.arguments, thread) };
    })
}

/// Runs `kernel` as every thread of a grid of blocks with `threads` threads and `shared` bytes each.
///
/// # Errors
/// What the kernel did wrong.
pub fn run(
    memory: &mut Memory,
    grid: [u32; 3],
    threads: u32,
    shared: u32,
    kernel: impl Fn(Thread<'_>),
) -> Result<(), Fault> {
    if threads == 0 || !threads.is_multiple_of(WARP as u32) || threads > 1024 {
        return Err(Fault(format!("{threads} threads in a block: whole warps, at most 1024")));
    }
    memory.begin_launch();
    let cell = RefCell::new(std::mem::take(memory));
    let result = run_grid(&cell, grid, threads, shared, &kernel);
    *memory = cell.into_inner();
    result
}

fn run_grid(
    memory: &RefCell<Memory>,
    grid: [u32; 3],
    threads: u32,
    shared: u32,
    kernel: &impl Fn(Thread<'_>),
) -> Result<(), Fault> {
    let mut stacks: Vec<DefaultStack> = Vec::new();
    for z in 0..grid[2] {
        for y in 0..grid[1] {
            for x in 0..grid[0] {
                run_block(memory, [x, y, z], grid, threads, shared, kernel, &mut stacks)?;
            }
        }
    }
    Ok(())
}

fn run_block(
    memory: &RefCell<Memory>,
    place: [u32; 3],
    grid: [u32; 3],
    threads: u32,
    shared: u32,
    kernel: &impl Fn(Thread<'_>),
    stacks: &mut Vec<DefaultStack>,
) -> Result<(), Fault> {
    let warp = Warp { done: 0, arrived: 0, given: Default::default(), kind: "" };
    let block = Block {
        memory,
        threads,
        place,
        grid,
        shared: RefCell::new(Shared::new(shared)),
        epoch: Cell::new(0),
        arrived: Cell::new(0),
        warps: RefCell::new(vec![warp; threads as usize / WARP]),
        copies: RefCell::new(vec![vec![Vec::new()]; threads as usize]),
        yielders: vec![Cell::new(std::ptr::null()); threads as usize],
        moved: Cell::new(false),
    };
    let block = &block;
    let mut running: Vec<_> = (0..threads)
        .map(|id| {
            let stack = stacks.pop().unwrap_or_else(|| DefaultStack::new(STACK).expect("memory for a thread's stack"));
            let body = move |yielder: &Yielder<(), ()>, ()| {
                block.yielders[id as usize].set(yielder);
                kernel(Thread { block, id });
                block.moved.set(true);
            };
            // SAFETY: the coroutines are dropped before what they borrow, which was made before them.
            Some(unsafe { Coroutine::with_stack_unchecked(stack, body) })
        })
        .collect();
    let mut fault = None;
    while fault.is_none() && running.iter().any(Option::is_some) {
        block.moved.set(false);
        for place in &mut running {
            let Some(thread) = place else { continue };
            match catch_unwind(AssertUnwindSafe(|| thread.resume(()))) {
                Ok(CoroutineResult::Yield(())) => {}
                Ok(CoroutineResult::Return(())) => stacks.extend(place.take().map(Coroutine::into_stack)),
                Err(panic) => {
                    let what = match panic.downcast::<Fault>() {
                        Ok(fault) => *fault,
                        Err(panic) => resume_unwind(panic),
                    };
                    fault = Some(what);
                    break;
                }
            }
        }
        if fault.is_none() && !block.moved.get() {
            let waiting = running.iter().filter(|thread| thread.is_some()).count();
            let [x, y, z] = place;
            fault = Some(Fault(format!(
                "{waiting} of {threads} threads wait for others that never come: a barrier or collective in a branch that not all \
                 take (block {x},{y},{z})"
            )));
        }
    }
    fault.map_or(Ok(()), Err)
}

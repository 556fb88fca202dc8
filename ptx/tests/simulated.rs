//! What the simulator reports, and what it does not.

use ptx::gpu::Gpu;
use ptx::list::{Address, NAMES, launch};
use ptx::sim::{Fault, Memory, Thread, run};

fn one_block(threads: u32, shared: u32, kernel: impl Fn(Thread<'_>)) -> Result<(), Fault> {
    run(&mut Memory::new(), [1, 1, 1], threads, shared, kernel)
}

fn upload(memory: &mut Memory, data: &[f32]) -> Address<f32> {
    let bytes: Vec<u8> = data.iter().flat_map(|x| x.to_le_bytes()).collect();
    let address = memory.allocate(bytes.len());
    memory.write(address, &bytes).unwrap();
    Address::new(address)
}

fn download(memory: &mut Memory, address: Address<f32>, len: usize) -> Vec<f32> {
    let mut bytes = vec![0; 4 * len];
    memory.read(address.0, &mut bytes).unwrap();
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

#[track_caller]
fn reports(result: Result<(), Fault>, what: &str) {
    let Fault(fault) = result.unwrap_err();
    assert!(fault.contains(what), "{fault}");
}

#[test]
fn kernels_compute() {
    let mut memory = Memory::new();
    let x: Vec<f32> = (0..1000).map(|i| i as f32 * 0.37).collect();
    let y: Vec<f32> = (0..1000).map(|i| 1.0 / (i + 1) as f32).collect();
    let (a, b) = (upload(&mut memory, &x), upload(&mut memory, &y));
    unsafe { ptx::sim::launch(&mut memory, &launch::scaled_add(1000, 3.0, a, b)) }.unwrap();
    let expected: Vec<f32> = x.iter().zip(&y).map(|(x, y)| 3.0f32.mul_add(*x, *y)).collect();
    assert_eq!(download(&mut memory, b, 1000), expected);
    let out = Address::new(memory.allocate(4 * 3));
    unsafe { ptx::sim::launch(&mut memory, &launch::reduce_sum(1000, 3, b, out)) }.unwrap();
    let sum: f32 = download(&mut memory, out, 3).iter().sum();
    assert!((sum - expected.iter().sum::<f32>()).abs() < 1.0);
}

/// Kernels that measure do the work that they are measured by: as many rounds as they are told, in every chain.
#[test]
fn ceilings_do_their_rounds() {
    let mut memory = Memory::new();
    // Two blocks of 256 threads.
    let mut sums = |kernel: &dyn Fn(u32, Address<f32>) -> ptx::list::Launch, rounds: u32| {
        let out = Address::new(memory.allocate(4 * 512));
        unsafe { ptx::sim::launch(&mut memory, &kernel(rounds, out)) }.unwrap();
        download(&mut memory, out, 512)
    };
    // Every step adds 1 to each of 16 chains, which begin at the thread's number, the next, ...
    let fma = sums(&|rounds, out| launch::ceiling_fma(2, rounds, 1.0, 1.0, out), 5);
    let expected = |thread: usize| (0..16).map(|i| (thread % 256 + i + 8 * 5) as f32).sum();
    assert_eq!(fma, (0..512).map(expected).collect::<Vec<f32>>());

    let [one, three] = [1, 3].map(|rounds| sums(&|rounds, out| launch::ceiling_bf16(2, rounds, out), rounds));
    let error = |(one, three): (&f32, &f32)| (three - 3.0 * one).abs();
    assert!(one.iter().all(|x| *x != 0.0) && one.iter().zip(&three).map(error).all(|error| error < 1e-2));
    let integers = |rounds, out: Address<f32>| launch::ceiling_i8(2, rounds, Address::new(out.0));
    let [one, three] = [1, 3].map(|rounds| sums(&integers, rounds));
    let triple = |x: &f32| (x.to_bits() as i32).wrapping_mul(3) as u32;
    assert!(one.iter().any(|x| x.to_bits() != 0));
    assert_eq!(one.iter().map(triple).collect::<Vec<_>>(), three.iter().map(|x| x.to_bits()).collect::<Vec<_>>());

    let data: Vec<f32> = (0..4 * 2051).map(|i| i as f32).collect();
    let (from, to) = (upload(&mut memory, &data), memory.allocate(4 * data.len()));
    let copy = launch::ceiling_copy(2051, Address::new(from.0), Address::new(to));
    unsafe { ptx::sim::launch(&mut memory, &copy) }.unwrap();
    assert_eq!(download(&mut memory, Address::new(to), data.len()), data);
}

/// Every kernel of the list is an entry of the committed PTX.
#[test]
fn the_committed_ptx_has_all_kernels() {
    for name in NAMES {
        assert!(ptx::PTX.contains(&format!(".visible .entry {name}(")), "{name}: run ptx/build-ptx.sh");
    }
    assert_eq!(ptx::PTX.matches(".visible .entry").count(), NAMES.len());
}

#[test]
fn races_in_shared_memory_are_reported() {
    let read_of_another = |g: Thread<'_>| unsafe {
        g.set_shared(4 * g.thread(), 1);
        g.shared(4 * (g.thread() ^ 1));
    };
    // In turns, the neighbour has not written yet.
    reports(one_block(64, 256, read_of_another), "read before anybody wrote");
    let in_order = |g: Thread<'_>| unsafe {
        g.set_shared(4 * g.thread(), 1);
        if g.thread() > 0 {
            g.shared(4 * (g.thread() - 1));
        }
    };
    reports(one_block(64, 256, in_order), "read without a barrier after thread 0");
    let two_writers = |g: Thread<'_>| unsafe { g.set_shared(0, g.thread()) };
    reports(one_block(32, 4, two_writers), "written without a barrier after thread 0 of block 0 wrote");
    let write_after_read = |g: Thread<'_>| unsafe {
        g.set_shared(4 * g.thread(), 1);
        g.barrier();
        g.shared(4 * (31 - g.thread()));
        g.set_shared(4 * g.thread(), 2);
    };
    reports(one_block(32, 128, write_after_read), "without a barrier after thread");
    let with_barriers = |g: Thread<'_>| unsafe {
        g.set_shared(4 * g.thread(), 1);
        g.barrier();
        g.shared(4 * (31 - g.thread()));
        g.barrier();
        g.set_shared(4 * g.thread(), 2);
    };
    assert_eq!(one_block(32, 128, with_barriers), Ok(()));
}

#[test]
fn divergence_is_reported() {
    let barrier = |g: Thread<'_>| {
        if g.thread() != 5 {
            g.barrier();
        }
    };
    reports(one_block(64, 0, barrier), "63 of 64 threads wait");
    let shuffle = |g: Thread<'_>| {
        if g.lane() < 16 {
            g.shuffle_xor(1, 1);
        }
    };
    reports(one_block(32, 0, shuffle), "16 of 32 threads wait");
    let two_kinds = |g: Thread<'_>| {
        if g.lane() < 16 {
            g.shuffle_xor(1, 1);
        } else {
            g.mma_i8([0; 4], [0; 2], [0; 4]);
        }
    };
    reports(one_block(32, 0, two_kinds), "different collectives: shuffle and mma_i8");
}

#[test]
fn accesses_out_of_range_are_reported() {
    reports(one_block(64, 128, |g| unsafe { g.set_shared(4 * g.thread(), 1) }), "shared bytes at 128 of 128");
    reports(one_block(32, 128, |g| unsafe { g.set_shared_quad(4, [0; 4]) }), "not aligned");
    let mut memory = Memory::new();
    let data = upload(&mut memory, &[0.0; 8]);
    let read = |g: Thread<'_>| unsafe {
        g.load((data.0 as *const f32).add(g.thread() as usize));
    };
    reports(run(&mut memory, [1, 1, 1], 32, 0, read), "in no allocation");
    let empty = memory.allocate(128);
    let read = |g: Thread<'_>| unsafe {
        g.load((empty as *const f32).add(g.thread() as usize));
    };
    reports(run(&mut memory, [1, 1, 1], 32, 0, read), "global byte 0 of 128: read before anybody wrote");
    assert!(memory.read(empty, &mut [0; 4]).unwrap_err().contains("never written"));
}

/// Blocks of one launch run in any order: none may read what another wrote.
#[test]
fn blocks_that_depend_on_each_other_are_reported() {
    let mut memory = Memory::new();
    let data = upload(&mut memory, &[0.0; 2]);
    let pass_on = |g: Thread<'_>| unsafe {
        let at = data.0 as *mut f32;
        if g.thread() == 0 && g.block()[0] == 0 {
            g.store(at, 1.0);
        } else if g.thread() == 0 {
            g.load(at.cast_const());
        }
    };
    reports(run(&mut memory, [2, 1, 1], 32, 0, pass_on), "read without a barrier after thread 0 of block 0");
}

/// A copy is there when it was waited for, and not before.
#[test]
fn copies_arrive_when_they_are_waited_for() {
    let mut memory = Memory::new();
    let data = upload(&mut memory, &(0..128).map(|i| i as f32).collect::<Vec<_>>());
    let copied = |wait: bool| {
        move |g: Thread<'_>| unsafe {
            g.copy(16 * g.thread(), (data.0 as *const u32).add(4 * g.thread() as usize));
            g.end_copies();
            if wait {
                g.copied::<0>();
            }
            g.barrier();
            assert_eq!(g.shared_f32(4 * (127 - g.thread())), (127 - g.thread()) as f32);
        }
    };
    assert_eq!(run(&mut memory, [1, 1, 1], 32, 512, copied(true)), Ok(()));
    reports(run(&mut memory, [1, 1, 1], 32, 512, copied(false)), "read before anybody wrote");
}

/// Matrices go through `load_matrices` and `mma` as PTX lays them out.
#[test]
fn matrix_products_are_laid_out_as_ptx_says() {
    use std::cell::RefCell;
    let (a, b) = (|i: u32, k: u32| (i * 3 + k * 5) as f32 % 7.0 - 3.0, |k: u32, j: u32| (k * 2 + j) as f32 % 5.0 - 2.0);
    let result = RefCell::new(vec![0.0f32; 16 * 8]);
    let kernel = |g: Thread<'_>| unsafe {
        // `a` row-major at 0, rows of 32 bytes; `b` row-major `[16, 8]` at 512, rows of 16 bytes.
        let lane = g.lane();
        let half = |x: f32| ptx::gpu::bf16(x);
        for word in 0..4 {
            let (row, k) = (lane / 2, lane % 2 * 8 + 2 * word);
            g.set_shared(32 * row + 2 * k, half(a(row, k)) | half(a(row, k + 1)) << 16);
        }
        for word in 0..2 {
            let (k, j) = (lane / 2, lane % 2 * 4 + 2 * word);
            g.set_shared(512 + 16 * k + 2 * j, half(b(k, j)) | half(b(k, j + 1)) << 16);
        }
        g.barrier();
        // Matrices: rows 0 to 7, rows 8 to 15 of the first eight columns, then of the others.
        let left = g.load_matrices(32 * (lane % 16) + 16 * (lane / 16));
        let right = g.load_matrices_transposed(512 + 16 * (lane % 16));
        let out = g.mma_bf16(left, [right[0], right[1]], [0.0; 4]);
        for (i, value) in out.into_iter().enumerate() {
            let (row, column) = (lane as usize / 4 + i / 2 * 8, lane as usize % 4 * 2 + i % 2);
            result.borrow_mut()[8 * row + column] = value;
        }
    };
    assert_eq!(one_block(32, 768, kernel), Ok(()));
    for i in 0..16 {
        for j in 0..8 {
            let expected: f32 = (0..16).map(|k| a(i, k) * b(k, j)).sum();
            assert_eq!(result.borrow()[(8 * i + j) as usize], expected, "{i} {j}");
        }
    }
}

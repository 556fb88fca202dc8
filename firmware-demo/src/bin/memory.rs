//! Holds a file as a position memory, reads it back on a board, and says what that cost.
//!
//! `run.sh` names the files: `memory OLD CONTENT NEW DIM BITS`. OLD is not used. The memory is made on the board, from a
//! projection that nobody learned, and lies in RAM, which stands for memory-mapped flash. What is measured is the reading
//! alone. With the dimensions of the natural code there is no projection.
#![no_std]
#![no_main]

use codec_core::container::packed::pack;
use codec_core::neural::memory::{BYTES, Memory};
use firmware_demo::board;
use firmware_demo::count::Counter;
use firmware_demo::host::{self, CommandLine, File, Mode};
use firmware_demo::report::{Cost, Hex};
use firmware_demo::stack::Painted;
use firmware_demo::start::entry;
use semihosting::println;
use semihosting::process::ExitCode;
use static_cell::ConstStaticCell;

/// Longest content, bytes.
const MAX_LEN: usize = 512;
/// Most dimensions.
const MAX_DIM: usize = 64;
/// Dimensions of the natural code.
const NATURAL: usize = 8;

/// Why the image stopped.
enum Failure {
    Usage,
    Host(&'static str),
    Codec(codec_core::Error),
}

impl From<host::Failed> for Failure {
    fn from(failed: host::Failed) -> Self {
        Self::Host(failed.0)
    }
}

impl From<codec_core::Error> for Failure {
    fn from(error: codec_core::Error) -> Self {
        Self::Codec(error)
    }
}

#[entry]
fn main() -> ! {
    let code = match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match failure {
                Failure::Usage => println!("error: the command line must be: memory OLD CONTENT NEW DIM BITS"),
                Failure::Host(what) => println!("error: the host could not {what}"),
                Failure::Codec(error) => println!("error: {error}"),
            }
            ExitCode::FAILURE
        }
    };
    code.exit_process()
}

fn run() -> Result<(), Failure> {
    static CONTENT: ConstStaticCell<[u8; MAX_LEN]> = ConstStaticCell::new([0; MAX_LEN]);
    static CODES: ConstStaticCell<[u8; MAX_LEN * MAX_DIM]> = ConstStaticCell::new([0; MAX_LEN * MAX_DIM]);
    static OUT: ConstStaticCell<[u8; BYTES as usize * MAX_DIM]> = ConstStaticCell::new([0; BYTES as usize * MAX_DIM]);

    let counter = Counter::calibrate();
    let command_line = CommandLine::read()?;
    let mut words = command_line.words().skip(1);
    let mut next = || words.next().ok_or(Failure::Usage);
    let (content, new) = (next()?, next()?);
    let number = |word: &str| word.parse().map_err(|_| Failure::Usage);
    let (dim, bits): (u32, u32) = (number(next()?)?, number(next()?)?);
    let mut file = File::open(content, Mode::Read)?;
    let len = file.len();
    let row = dim as usize;
    if len as usize > MAX_LEN || row > MAX_DIM || !(row * bits as usize).is_multiple_of(8) {
        return Err(Failure::Usage);
    }
    let content = &mut CONTENT.take()[..len as usize];
    file.read(content)?;

    let out = &mut OUT.take()[..BYTES as usize * row];
    project(out, row);
    let codes = &mut CODES.take()[..len as usize * row * bits as usize / 8];
    memorise(content, out, row, bits, codes)?;
    let out = (row != NATURAL).then_some(&*out);
    println!("board: {}", board::name());
    println!("patch: {} bytes", codes.len() + out.map_or(0, <[u8]>::len));

    content.fill(0);
    let memory = Memory::new_checked(codes, out, len, dim, bits)?;
    let stack = Painted::new();
    counter.start();
    read(&memory, content)?;
    let cost = Cost {
        instructions: counter.instructions(),
        host_calls: counter.pauses(),
        decoder_bytes: size_of::<Memory<'_>>(),
        buffer_bytes: content.len(),
        stack_bytes: stack.peak().expect("the stack never reached its end"),
    };
    File::open(new, Mode::Write)?.write(content)?;
    println!("new: {len} bytes");
    println!("sha256: {}", Hex::of(content));
    cost.print(len);
    Ok(())
}

/// Everything that is measured. Never inlined, so that its frame lies below the point where painting began.
#[inline(never)]
fn read(memory: &Memory<'_>, content: &mut [u8]) -> Result<(), codec_core::Error> {
    memory.read(0, content)
}

/// Fills the projection: the natural code where it has its dimensions, else random numbers.
fn project(out: &mut [u8], dim: usize) {
    let mut state = 1u32;
    for (c, row) in out.chunks_exact_mut(dim).enumerate() {
        for (k, code) in row.iter_mut().enumerate() {
            // xorshift32, G. Marsaglia.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let natural = if c >> k & 1 == 1 { 1 } else { 0xff };
            *code = if dim == NATURAL { natural } else { (state >> 24) as u8 };
        }
    }
}

/// Packs, for each byte, the codes of its row of the projection in fewer bits: a value has the sign of its code.
fn memorise(content: &[u8], out: &[u8], dim: usize, bits: u32, to: &mut [u8]) -> Result<(), codec_core::Error> {
    for (byte, to) in content.iter().zip(to.chunks_exact_mut(dim * bits as usize / 8)) {
        let mut row = [0; MAX_DIM];
        let row = &mut row[..dim];
        for (code, out) in row.iter_mut().zip(&out[usize::from(*byte) * dim..]) {
            *code = out.cast_signed() >> (8 - bits);
        }
        pack(row, bits, to)?;
    }
    Ok(())
}

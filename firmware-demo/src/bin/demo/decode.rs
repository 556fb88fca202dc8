//! The decoder's loop: pieces of the update in, pieces of the file out.

use codec_core::decoder::Status;
use firmware_demo::board;
use firmware_demo::count::Counter;
use firmware_demo::old::{Old, Shelf, Shelved};
use firmware_demo::report::Cost;
use firmware_demo::stack::Painted;
use static_cell::ConstStaticCell;

use crate::Failure;
use crate::counted::HostFile;
use crate::place::{CHUNK_BYTES, OldFile, Slot};

#[cfg(not(feature = "base"))]
type Base = codec_core::neural::NoBase;
#[cfg(feature = "base")]
type Base = codec_core::neural::Place<codec_core::neural::Held<'static>>;

type Decoder = board::Decoder<Old<OldImage>, Base>;

/// The model of the board's profile, as it lies in flash, or the one that a feature names.
#[cfg(feature = "evoformer")]
static MODEL: &[u8] = include_bytes!("../../../../tests/golden/base/evoformer.gmcf");
#[cfg(all(feature = "base", not(feature = "evoformer"), any(feature = "nano", not(board = "mps2-an500"))))]
static MODEL: &[u8] = include_bytes!("../../../../host-trainer/base/nano.gmcf");
#[cfg(all(feature = "base", not(feature = "evoformer"), not(feature = "nano"), board = "mps2-an500"))]
static MODEL: &[u8] = include_bytes!("../../../../host-trainer/base/micro.gmcf");

#[cfg(not(feature = "base"))]
const NO_BASE: Base = codec_core::neural::NoBase;
#[cfg(feature = "base")]
const NO_BASE: Base = codec_core::neural::Place::EMPTY;

/// What the demo decodes against.
enum OldImage {}

impl Shelved for OldImage {
    type File = OldFile;

    fn shelf() -> &'static Shelf<OldFile> {
        static SHELF: Shelf<OldFile> = Shelf::new();
        &SHELF
    }
}

/// Rebuilds the file that `patch` makes of `old` into `slot`.
pub fn rebuild(old: OldFile, patch: &mut HostFile, slot: &mut Slot, counter: &Counter) -> Result<Cost, Failure> {
    static BUFFERS: ConstStaticCell<[[u8; CHUNK_BYTES]; 2]> = ConstStaticCell::new([[0; CHUNK_BYTES]; 2]);
    let [input, output] = BUFFERS.take();

    Old::<OldImage>::set(old);
    let stack = Painted::new();
    counter.start();
    run(patch, slot, input, output)?;
    let instructions = counter.instructions();
    Ok(Cost {
        instructions,
        host_calls: counter.pauses(),
        decoder_bytes: size_of::<Decoder>(),
        buffer_bytes: 2 * CHUNK_BYTES,
        stack_bytes: stack.peak().expect("the stack never reached its end"),
    })
}

/// Gives the decoder its base model. Never inlined: decoding has no stack to spare for what opening takes.
#[cfg(feature = "base")]
#[inline(never)]
fn hold(decoder: &mut Decoder) -> Result<(), Failure> {
    let (model, id) = codec_core::neural::base::Base::open(MODEL)?;
    decoder.base().set(codec_core::neural::Held::new(model, id));
    Ok(())
}

/// Everything that is measured. Never inlined, so that its frame lies below the point where painting began.
#[inline(never)]
fn run(patch: &mut HostFile, slot: &mut Slot, input: &mut [u8], output: &mut [u8]) -> Result<(), Failure> {
    static DECODER: ConstStaticCell<Decoder> = ConstStaticCell::new(Decoder::with_base(Old::NEW, NO_BASE));
    let decoder = DECODER.take();
    #[cfg(feature = "base")]
    hold(decoder)?;
    loop {
        let filled = patch.read(input)?;
        let mut rest = &input[..filled];
        loop {
            let step = decoder.update(rest, output)?;
            slot.write(&output[..step.written])?;
            rest = &rest[step.consumed..];
            match step.status {
                Status::Done => return Ok(()),
                Status::NeedOutput => {}
                Status::NeedInput if filled == 0 => return Err(Failure::Truncated),
                Status::NeedInput => {
                    debug_assert!(rest.is_empty());
                    break;
                }
            }
        }
    }
}

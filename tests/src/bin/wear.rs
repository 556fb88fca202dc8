//! Counts what a complete update writes to the flash: the download, the progress record, the slot, the scratch area.
//! Prints tab-separated lines for `benches/energy/run.sh`: update, mode, bytes on air, bytes written, blocks erased; `-`
//! for what the image on the board counts.

use std::cell::RefCell;

use host_trainer::release::in_place::Room;
use tests::data::pair_named;
use tests::rig::{drive, factory, update};
use update_core::flash::Layout;

const WRITE: usize = 4;
const ERASE: usize = 4096;

/// The three updates of the energy table.
const PAIRS: [(&str, &str); 3] = [
    ("fw-greatfet 2021", "fw-greatfet.2021.2.1-2024.0.0"),
    ("fw-built-rust v2", "fw-built-rust.v2-v3"),
    ("fw-espboot-c3 2.1.0", "fw-espboot-c3.2.1.0-3.3.0"),
];

fn main() {
    let blocks = |n: usize| (n * ERASE) as u32;
    let layouts = [
        ("A/B, signed, resumable", Layout::two(blocks(2), blocks(16), blocks(40)), None),
        (
            "in place, signed, resumable",
            Layout::one(blocks(2), blocks(16), blocks(20), blocks(40)),
            Some(Room { block: ERASE as u32, scratch: blocks(20), write_size: WRITE as u32, erase_size: ERASE as u32 }),
        ),
    ];
    println!("pair\tmode\tair_bytes\tflash_bytes\tblocks_erased\tinstructions\tram_bytes");
    for (prefix, name) in PAIRS {
        let pair = pair_named(prefix);
        for (mode, layout, room) in layouts {
            let update = update(&pair.new, pair.old.as_deref(), 2, room);
            let flash = RefCell::new(factory::<WRITE, ERASE, 1>(layout, pair.old()));
            let booted = drive(&flash, &layout, &update).unwrap_or_else(|error| panic!("{name}, {mode}: {error}"));
            assert!(booted.image.is_some_and(|(_, image)| image == pair.new), "{name}, {mode}: another image");
            let (words, erased) = flash.borrow().wear;
            println!("{name}\t{mode}\t{}\t{}\t{erased}\t-\t-", update.bytes.len(), words * WRITE as u64);
        }
    }
}

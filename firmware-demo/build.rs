//! Gives each image the memory map and the constants of the board that the target stands for.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// Images with an entry point, as `Cargo.toml` names them.
const IMAGES: [&str; 7] = ["demo", "echo", "device", "boot", "app", "memory", "update-check"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=boards");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let table = fs::read_to_string("boards/BOARDS.tsv").expect("boards/BOARDS.tsv can be read");
    let mut rows = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let names = rows.next().expect("boards/BOARDS.tsv has a heading");
    let rows: Vec<_> = rows.collect();
    let boards: Vec<_> = rows.iter().map(|row| format!("{:?}", row[0])).collect();
    println!("cargo::rustc-check-cfg=cfg(board, values({}))", boards.join(", "));
    let Some(row) = rows.iter().find(|row| row[1] == target) else {
        panic!("no board stands for the target {target}: see boards/BOARDS.tsv");
    };
    let board = row[0];
    println!("cargo::rustc-cfg=board=\"{board}\"");

    let mut constants = String::new();
    for (name, value) in names.iter().zip(row).skip(3) {
        let value: u32 = value.parse().expect("from the fourth column on, boards/BOARDS.tsv has numbers");
        constants += &format!("/// From `boards/BOARDS.tsv`.\npub const {}: u32 = {value};\n", name.to_uppercase());
    }
    fs::write(out.join("board.rs"), constants).expect("OUT_DIR can be written");

    for image in IMAGES {
        // Where an image needs more memory than the board is meant to have, or another place, it has a map of its own.
        let evoformer = image == "demo" && env::var_os("CARGO_FEATURE_EVOFORMER").is_some();
        let own = [evoformer.then_some("evoformer"), Some(image)].into_iter().flatten();
        let mut own = own.map(|name| format!("boards/{board}.{name}.x"));
        let map = own.find(|map| Path::new(map).exists()).unwrap_or_else(|| format!("boards/{board}.x"));
        let folder = out.join(image);
        fs::create_dir_all(&folder).expect("OUT_DIR can be written");
        fs::copy(map, folder.join("memory.x")).expect("boards/*.x can be copied");
        for argument in [&format!("-L{}", folder.display()), "-Tlink.x", "--nmagic"] {
            // --nmagic: sections would otherwise be aligned to pages that the flash does not have.
            println!("cargo::rustc-link-arg-bin={image}={argument}");
        }
        if image == "app" {
            // As it lies in a slot.
            println!("cargo::rustc-link-arg-bin={image}=--oformat=binary");
        }
    }
}

//! Picks the memory map of the board that the target stands for.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=boards");
    println!("cargo::rustc-check-cfg=cfg(board, values(\"mps2-an500\", \"lm3s6965evb\", \"microbit\", \"virt\"))");

    let target = env::var("TARGET").expect("cargo sets TARGET");
    let board = match target.as_str() {
        "thumbv7em-none-eabihf" => "mps2-an500",
        "thumbv7m-none-eabi" => "lm3s6965evb",
        "thumbv6m-none-eabi" => "microbit",
        "riscv32imac-unknown-none-elf" => "virt",
        other => panic!("no board stands for the target {other}: see boards/BOARDS.tsv"),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(format!("boards/{board}.x"), out.join("memory.x")).expect("boards/*.x can be copied");
    println!("cargo::rustc-cfg=board=\"{board}\"");
    println!("cargo::rustc-link-search={}", out.display());
    for image in ["demo", "echo"] {
        println!("cargo::rustc-link-arg-bin={image}=-Tlink.x");
        // Sections would otherwise be aligned to pages that the flash does not have.
        println!("cargo::rustc-link-arg-bin={image}=--nmagic");
    }
}

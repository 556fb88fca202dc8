//! Tells the code what of the processor it is for matters: see `dot` in `src/neural/base.rs`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(halves)");
    // The compiler names this feature of the processor only to itself (`dsp`); all of this target's have it.
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.starts_with("thumbv7em-") {
        println!("cargo::rustc-cfg=halves");
    }
}

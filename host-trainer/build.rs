//! Tells the code whether the GPU backend can be linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(cuda)");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // The jumps to the driver (src/backend/cuda/driver.rs) are written for these.
    if std::env::var_os("CARGO_FEATURE_CUDA").is_some() && target("OS") == "linux" && target("ARCH") == "x86_64" {
        println!("cargo:rustc-cfg=cuda");
    }
}

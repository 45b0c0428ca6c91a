//! Turns on `cfg(loom)` for this package alone, and the 32-bit words on request.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cfg=loom");
    if std::env::var_os("CARGO_FEATURE_WORD32").is_some() {
        println!("cargo::rustc-cfg=fusebox_word32");
    }
}

//! The memory layout: the linker script of the start code, which includes the board's.

fn main() {
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
}

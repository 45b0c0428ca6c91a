//! Says how the linker lays out the program: the script and where the machine has its memory.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=link.x");
    // Of QEMU's `virt` machines. On AArch64 the first pages are for the device tree.
    let memory = match std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("riscv64") => "0x80000000",
        Ok("aarch64") => "0x40080000",
        // Elsewhere it is not linked, or not for long.
        _ => return,
    };
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    println!("cargo::rustc-link-arg-bins=-T{folder}/link.x");
    println!("cargo::rustc-link-arg-bins=--defsym=memory={memory}");
}

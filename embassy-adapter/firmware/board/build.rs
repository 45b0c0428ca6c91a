//! Picks the machine that runs the programs of a target, and gives the linker its memory.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let machine = match target.as_str() {
        "thumbv6m-none-eabi" => "microbit",
        "thumbv7m-none-eabi" => "lm3s6965evb",
        "thumbv7em-none-eabi" => "mps2-an386",
        "riscv32imc-unknown-none-elf" | "riscv32imac-unknown-none-elf" => "virt",
        _ => panic!("no machine is known for {target}"),
    };
    println!("cargo::rustc-cfg=machine=\"{machine}\"");
    println!(
        "cargo::rustc-check-cfg=cfg(machine, values(\"microbit\", \"lm3s6965evb\", \"mps2-an386\", \"virt\"))"
    );

    // The linker scripts of cortex-m-rt and riscv-rt include `memory.x`, wherever it is found.
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let memory = format!("memory/{machine}.x");
    fs::copy(&memory, folder.join("memory.x")).expect("there is a memory map for each machine");
    println!("cargo::rustc-link-search={}", folder.display());
    println!("cargo::rerun-if-changed={memory}");
}

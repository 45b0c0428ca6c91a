//! What all programs have in common.
#![no_std]
#![no_main]

use size::{output, program};

struct Nothing;
static FIRST: Nothing = Nothing;
static SECOND: Nothing = Nothing;

#[inline(never)]
fn typical(_: &Nothing) {
    output(1);
}

program!(typical, &FIRST, &SECOND);

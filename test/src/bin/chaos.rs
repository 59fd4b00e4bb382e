//! The chaos suite, inside the world that the test makes for it.
//!
//! `SKIFF_CHAOS_SEED`, `SKIFF_CHAOS_ROUNDS` and `SKIFF_CHAOS_FAULTS` say what to draw.
#![expect(clippy::print_stdout, reason = "a program that tells how far it is")]

use std::{env, str::FromStr};

use skiff_test::chaos::{Plan, World, run};

fn asked<T: FromStr>(name: &str, otherwise: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn main() {
    let plan = Plan {
        seed: asked("SKIFF_CHAOS_SEED", Plan::SHORT.seed),
        rounds: asked("SKIFF_CHAOS_ROUNDS", Plan::SHORT.rounds),
        faults: asked("SKIFF_CHAOS_FAULTS", Plan::SHORT.faults),
    };
    println!("{plan}");
    run(plan, &World::new(), &|line| println!("{line}"));
}

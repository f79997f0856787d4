//! The fuzz targets without a fuzzer: every kept seed, and inputs made at random out of them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Inputs made for each target.
const CASES: u32 = 256;

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let seeds: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds
}

/// A seed with pieces of it or of others put elsewhere, bytes changed, and its end cut off.
fn spoiled(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    (prop::sample::select(seeds.clone()), prop::sample::select(seeds), prop::collection::vec(change, 0..8)).prop_map(
        |(mut input, other, changes)| {
            for (place, from, byte, what) in changes {
                let at = place.index(input.len() + 1);
                match what {
                    0 => input.insert(at, byte),
                    1 => input.truncate(at.max(1)),
                    2 => {
                        let start = from.index(other.len() + 1);
                        input.splice(at..at, other[start..].iter().take(64).copied());
                    }
                    _ => input.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
                }
            }
            input
        },
    )
}

#[test]
fn every_target_bears_seeds_and_what_becomes_of_them() {
    for (name, target) in targets::TARGETS {
        let seeds = seeds(name);
        seeds.iter().for_each(|seed| target(seed));
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        runner
            .run(&spoiled(seeds), |input| {
                target(&input);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

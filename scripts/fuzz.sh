#!/bin/sh
# Runs every fuzz target under libFuzzer for so many seconds each. Findings stay in fuzz/artifacts; put what is worth keeping into fuzz/seeds.
set -eu
cd "$(dirname "$0")/../fuzz"
seconds=${1:-600}
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
cargo +nightly fuzz build --fuzz-dir .
for target in ${TARGETS:-command data bdat reply dsn journal configuration}; do
	echo "== $target, $seconds s"
	mkdir -p "corpus/$target"
	cargo +nightly fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
		-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
done

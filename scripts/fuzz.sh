#!/bin/sh
# Runs every fuzz target under libFuzzer for so many seconds each; `reader` once for each reading and container. TARGETS names some of
# them only. Findings stay in fuzz/artifacts; put what is worth keeping into fuzz/seeds.
set -eu
cd "$(dirname "$0")/../fuzz"
seconds=${1:-600}
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
cargo +nightly fuzz build --fuzz-dir .
# Names of readers, from the lists in the code.
readers=$(grep -rhE -A2 'const [A-Z0-9_]+: (Reading|Container) =' ../src/content | sed -n 's/.*name: "\([a-z0-9_-]*\)".*/reader:\1/p')
for one in ${TARGETS:-command data bdat reply dsn journal configuration mime readings sniff $readers}; do
	target=${one%%:*}
	MAILWEIR_FUZZ_READER=${one#reader:}
	export MAILWEIR_FUZZ_READER
	echo "== $one, $seconds s"
	corpus="corpus/$(echo "$one" | tr : -)"
	mkdir -p "$corpus"
	cargo +nightly fuzz run --fuzz-dir . "$target" "$corpus" "seeds/$target" -- \
		-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1
done

# The two commands: `make test` and `make demo`. Each installs what it lacks first.
.PHONY: test demo setup fmt clippy unit bench corpus deb check-files chaos fuzz

CARGO ?= cargo

setup:
	@sh scripts/setup.sh

test: setup check-files fmt clippy unit

fmt:
	$(CARGO) fmt --all --check

clippy:
	$(CARGO) clippy --locked --all-targets -- -D warnings

unit:
	$(CARGO) test --locked

# What can be checked of the files around the program: Prometheus rules, compose file, unit, licences and advisories.
check-files: setup
	@sh scripts/check-files.sh

demo: setup
	$(CARGO) run --locked --quiet -- demo $(if $(KEEP),--keep)

# Everything that is said about speed, some ten minutes; BENCH=quick to see that it works, BENCH="--only latency" for one part.
bench:
	@sh scripts/setup.sh bench
	$(CARGO) bench --locked --bench load -- $(BENCH)

deb: setup
	$(CARGO) build --locked --release
	sh scripts/deb.sh

# All messages of the mail corpus instead of the 2,000 of `make test`.
corpus: setup
	MAILWEIR_CORPUS_MESSAGES=all $(CARGO) test --locked --test corpus -- --nocapture

# The real gateway killed 200 times at random under load, and at every crash point.
chaos: setup
	MAILWEIR_CHAOS_ROUNDS=$(or $(ROUNDS),200) $(CARGO) test --locked --test chaos -- --nocapture

# Every fuzz target for ten minutes (SECONDS=60 for one); wants a nightly compiler and cargo-fuzz.
fuzz:
	sh scripts/fuzz.sh $(or $(SECONDS),600)

# The two commands: `make test` and `make demo`. Each installs what it lacks first.
.PHONY: test demo setup fmt clippy unit bench chaos deb check-files

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

bench: setup
	$(CARGO) build --locked --release
	@sh scripts/setup.sh bench
	$(CARGO) run --locked --release --quiet --example load -- $(BENCH)

deb: setup
	$(CARGO) build --locked --release
	sh scripts/deb.sh

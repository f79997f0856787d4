#!/bin/sh
# Builds the Debian package out of the release build, with cargo-deb.
set -eu
cd "$(dirname "$0")/.."
if ! command -v cargo-deb >/dev/null 2>&1; then
    echo "installing cargo-deb (once)"
    cargo install --locked --quiet cargo-deb
fi
cargo deb --no-build --output target/debian/

#!/bin/sh
# Installs from Debian's packages what the tests and the demo need and the machine lacks. Asks sudo where it is not root.
# With `bench`, also what the load benchmark measures against.
set -eu

missing=""
need() { # need COMMAND PACKAGE
    [ -x "$1" ] || command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
# The containers of tests/disguises are written by these tools, and opened by others of them.
need 7z p7zip-full
need gcab gcab
need genisoimage genisoimage
need compress ncompress
need lzip lzip
need lz4 lz4
need xz xz-utils
need bzip2 bzip2
need cpio cpio
need arj arj
need lha lhasa
need unar unar
need unzip unzip
need bsdtar libarchive-tools
need cabextract cabextract
need tnef tnef
need qpdf qpdf
need pdfdetach poppler-utils
need /sbin/mke2fs e2fsprogs
need gpg gnupg
need openssl openssl
need cc build-essential
need /usr/sbin/clamd clamav-daemon
need /usr/sbin/smtp-sink postfix
need promtool prometheus
need zstd zstd
need strace strace
# The disguises (tests/disguises) are proved by decoders that share no code with the gateway.
need python3 python3
need munpack mpack
need reformime maildrop
need ripmime ripmime
need gpg gnupg
need openssl openssl
need node nodejs
perl -MMIME::Parser -e 1 2>/dev/null || missing="$missing libmime-tools-perl"
if [ "${1:-}" = bench ]; then
    need rspamd rspamd # redis-server is not needed: the modules that want it stay off
    need prlimit util-linux
fi
if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is not on the PATH: install Rust 1.95 (rustup, or your distribution) first" >&2
    exit 2
fi
[ -z "$missing" ] && exit 0

echo "installing from Debian's packages:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "this is not a Debian system: install these by hand, then run again:$missing" >&2
    exit 2
fi
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
    command -v sudo >/dev/null 2>&1 || { echo "not root, and there is no sudo: run as root: apt-get install$missing" >&2; exit 2; }
fi
# Services that come with the packages are not started: the tests start private ones.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
    trap '$as_root rm -f "$policy"' EXIT
fi
$as_root apt-get update -q >/dev/null
echo "postfix postfix/main_mailer_type select No configuration" | $as_root debconf-set-selections 2>/dev/null || true
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing >/dev/null

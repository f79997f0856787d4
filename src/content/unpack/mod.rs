//! Containers: leaves that hold files. Unpacked in memory, within the limits; no file is ever written by a member's name.
//!
//! To add one: one file here with its `pub(crate) const CONTAINER`, and one line in [`CONTAINERS`] (and its name taken out of
//! `sniff::UNOPENED`).

mod activemime;
mod ar;
#[cfg(test)]
pub(crate) mod bomb;
mod bzip2;
pub(crate) mod cab;
mod carve;
mod compress;
pub(crate) mod cpio;
mod deflate;
mod gzip;
pub(crate) mod inner;
mod ints;
mod iso;
mod lenient;
pub(crate) mod listed;
mod lz4;
mod lzfu;
mod lzip;
mod lzma;
mod ole2;
mod onenote;
mod ooxml;
mod pdf;
mod rpm;
mod rtf;
mod sevenz;
mod stream;
mod swf;
pub(crate) mod tar;
#[cfg(test)]
mod testing;
mod tnef;
mod xz;
pub(crate) mod zip;
mod zlib;
mod zstd;

use super::find::{Finds, Leaf};

/// Whether a stream of zlib starts here that gives something.
pub(crate) fn is_zlib(bytes: &[u8]) -> bool {
    zlib::usual(bytes) && lenient::is_deflated(bytes, true, 16)
}

/// A kind of container.
pub(crate) struct Container {
    /// A short name, for tests.
    pub name: &'static str,
    /// What it is, in plain words.
    pub opens: &'static str,
    /// Whether a leaf is one.
    pub is: fn(&Leaf) -> bool,
    /// Adds its members.
    pub open: fn(&Leaf, &mut Finds),
}

/// All containers; a leaf may be several at once (a program with a zip behind it).
pub(crate) const CONTAINERS: &[Container] = &[
    zip::CONTAINER,
    gzip::CONTAINER,
    tar::CONTAINER,
    tnef::CONTAINER,
    sevenz::CONTAINER,
    cab::CONTAINER,
    ar::CONTAINER,
    cpio::CONTAINER,
    rpm::CONTAINER,
    iso::CONTAINER,
    swf::CONTAINER,
    bzip2::CONTAINER,
    xz::CONTAINER,
    lzma::CONTAINER,
    lzip::CONTAINER,
    zstd::CONTAINER,
    lz4::CONTAINER,
    compress::CONTAINER,
    zlib::CONTAINER,
    ole2::CONTAINER,
    pdf::CONTAINER,
    rtf::CONTAINER,
    onenote::CONTAINER,
    ooxml::CONTAINER,
    activemime::CONTAINER,
    listed::CONTAINER,
    carve::CONTAINER,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_have_names_of_their_own_and_say_what_they_open() {
        for (i, container) in CONTAINERS.iter().enumerate() {
            assert!(!container.name.is_empty() && container.opens.len() > 5, "{}", container.name);
            assert!(CONTAINERS.iter().skip(i + 1).all(|other| other.name != container.name), "{}", container.name);
            assert!(!super::super::sniff::UNOPENED.contains(&container.name), "{}", container.name);
        }
    }
}

//! zstd (RFC 8878): frames one after the other as one file, skippable frames anywhere between them.

use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use super::super::find::{Finds, Leaf};
use super::Container;
use super::stream::{self, Format, How, Piece, WINDOW, quietly};

pub(super) const CONTAINER: Container = Container {
    name: "zstd",
    opens: "zstd files",
    is: |leaf| leaf.true_type == "zstd" || behind_skippable(leaf.data, |bytes| bytes.starts_with(MAGIC)).is_some(),
    open: |leaf: &Leaf, finds: &mut Finds| stream::open(leaf, finds, &FORMAT),
};

const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
/// Skippable frames passed on the way to the first one with content.
const MAX_SKIPPED: usize = 1000;

const FORMAT: Format = Format { magic: MAGIC, starts: |bytes| bytes.starts_with(MAGIC) || skippable(bytes).is_some(), one };

/// The size of the skippable frame that starts here.
pub(super) fn skippable(bytes: &[u8]) -> Option<usize> {
    let (magic, rest) = bytes.split_first_chunk::<4>()?;
    let size = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    (u32::from_le_bytes(*magic) & 0xffff_fff0 == 0x184d_2a50).then(|| usize::try_from(size).unwrap_or(usize::MAX).saturating_add(8))
}

/// Where the first frame with content stands behind skippable ones, if it is one of these.
pub(super) fn behind_skippable(bytes: &[u8], is_frame: fn(&[u8]) -> bool) -> Option<usize> {
    let mut at = 0usize;
    for _ in 0..MAX_SKIPPED {
        let rest = bytes.get(at..)?;
        if is_frame(rest) {
            return Some(at);
        }
        at = at.saturating_add(skippable(rest)?);
    }
    // So many of them are there to tire a reader.
    Some(at)
}

/// Unpacks the frame at the start of `rest`.
pub(super) fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    if let Some(size) = skippable(rest) {
        return Piece { used: size.min(rest.len()), ..Piece::none(How::Whole) };
    }
    let mut left = rest;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(u64::from(WINDOW));
    let reader = match StreamingDecoder::new_with_decoder(&mut left, &mut decoder) {
        Ok(reader) => reader,
        Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Piece::none(How::Large),
        Err(FrameDecoderError::DictNotProvided { .. }) => return Piece::none(How::Unknown),
        Err(_) => return Piece::none(How::Broken),
    };
    let (bytes, mut how) = quietly(finds, reader, rest.len(), name);
    let said = decoder.get_checksum_from_data();
    if how == How::Whole && said.is_some() && said != decoder.get_calculated_checksum() {
        how = How::Broken;
    }
    Piece { bytes, how, used: rest.len() - left.len(), name: None }
}

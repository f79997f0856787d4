//! Numbers and texts in headers, read where they may not be there.

/// Two bytes at `at`, the lowest first.
pub(super) fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

/// Four bytes at `at`, the lowest first.
pub(super) fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

/// Eight bytes at `at`, the lowest first.
pub(super) fn le64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

/// Two bytes at `at`, the highest first.
pub(super) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Four bytes at `at`, the highest first.
pub(super) fn be32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// Digits of `base` between blanks and NULs; nothing where there is none.
pub(super) fn digits(field: &[u8], base: u32) -> Option<usize> {
    let field = field.trim_ascii_start();
    let mut sum: Option<usize> = None;
    for digit in field.iter().map_while(|c| char::from(*c).to_digit(base)) {
        sum = Some(sum.unwrap_or(0).checked_mul(base as usize)?.checked_add(digit as usize)?);
    }
    sum
}

/// What stands before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|c| *c == 0).next().unwrap_or_default()).into_owned()
}

/// Four bytes at `at`, the lowest first, as a place or a length.
pub(super) fn size_at(bytes: &[u8], at: usize) -> Option<usize> {
    le32(bytes, at).and_then(|n| usize::try_from(n).ok())
}

/// The text in UTF-16, up to its first NUL.
pub(super) fn wide_text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The 8-bit text that ends at a NUL at or after `at`, and where what follows it stands.
pub(super) fn text_at(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(0, rest)?;
    Some((String::from_utf8_lossy(rest.get(..end)?).into_owned(), at + end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!((le16(b"\x01\x02", 0), le32(b"\0\x01\0\0\0", 1), le64(b"", 9)), (Some(0x201), Some(1), None));
        assert_eq!((be16(b"\x01\x02", 0), be32(b"\0\0\0\x07", 0)), (Some(0x102), Some(7)));
        let rows: &[(&[u8], u32, Option<usize>)] =
            &[(b" 12 \0", 10, Some(12)), (b"1F", 16, Some(31)), (b"", 8, None), (b"x", 8, None), (b"99999999999999999999999", 10, None)];
        for (field, base, want) in rows {
            assert_eq!(digits(field, *base), *want);
        }
        assert_eq!(until_nul(b"ab\0c"), "ab");
    }
}

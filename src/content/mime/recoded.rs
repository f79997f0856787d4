//! Text in a charset that does not show ASCII as itself, as UTF-8 for those who look at bytes: UTF-7, UTF-16, UTF-32, EBCDIC, HZ and
//! ISO 2022; by the declared charset, by a byte order mark, and by its look.

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::base64::{self, Style};
use super::{Reading, charset, ebcdic};

pub(super) const READING: Reading =
    Reading { name: "recoded", reads: "text in UTF-7, UTF-16, UTF-32, EBCDIC, HZ or ISO 2022, turned into UTF-8", read };

/// Letters of a shifted sequence that are looked at.
const SHIFTED: usize = 400;
/// Least size of a text that is taken for UTF-16 by its look.
const LEAST: usize = 16;

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    let text_like = super::is_readable(leaf);
    if !text_like || data.is_empty() {
        return;
    }
    let mut wide = false;
    if let Some(text) = charset::decode_wide(data, leaf.charset) {
        // Under a wrong label, or a byte out of step, it is no text that anybody reads.
        wide = text.chars().take(1000).filter(char::is_ascii).count() * 2 >= text.chars().take(1000).count();
        if !finds.look(data.len()) || !finds.add_decoded(None, text.into_bytes()) {
            return;
        }
    }
    if has_zeros(data) && !wide && finds.look(data.len()) {
        finds.add_guess(data.iter().copied().filter(|c| *c != 0).collect());
    }
    for (shift, style) in [(b'+', Style::Chunks), (b'&', Style::Comma)] {
        if !wide && has_shifts(data, shift, finds) && finds.look(data.len()) {
            finds.add_guess(charset::unshift(data, shift, style));
        }
    }
    if (ebcdic::is_label(leaf.charset) || ebcdic::looks_like(data)) && finds.look(data.len().saturating_mul(4)) {
        finds.add_guess(ebcdic::decode(data));
    }
    if (!leaf.true_type.is_empty() || leaf.declared.starts_with("text"))
        && let Some(plain) = without_escapes(data, leaf.charset)
        && finds.look(data.len())
    {
        finds.add_guess(plain);
    }
}

/// Whether a text has a zero beside most of its characters: UTF-16 or UTF-32 in any order, with or without saying so.
fn has_zeros(data: &[u8]) -> bool {
    let head = data.get(..data.len().min(2048)).unwrap_or_default();
    if memchr::memchr(0, head).is_none() {
        return false;
    }
    let zeros = head.iter().filter(|c| **c == 0).count();
    let shown = head.iter().filter(|c| matches!(c, b'\t' | b'\r' | b'\n' | b' '..=b'~')).count();
    head.len() >= LEAST && zeros * 3 >= head.len() && shown * 5 >= head.len() && (zeros + shown) * 10 >= head.len() * 8
}

/// Whether UTF-7 (RFC 2152), or its form for mailbox names, hides ASCII characters in shifted sequences. All that begin so are zero in their
/// upper byte: an `A` after the shift, and a letter below `Q`.
fn has_shifts(data: &[u8], shift: u8, finds: &mut Finds) -> bool {
    let mark = [shift, b'A'];
    let mut goes_on = true;
    let mut marks = memmem::find_iter(data, &mark).filter(|at| matches!(data.get(at + 2), Some(b'A'..=b'P')));
    marks.any(|at| {
        // Where no time is left that is said, and looking ends.
        if !goes_on || !finds.look(SHIFTED) {
            goes_on = false;
            return false;
        }
        let rest = data.get(at + 1..).unwrap_or_default();
        let letters = rest.get(..rest.len().min(SHIFTED)).unwrap_or_default();
        let letters = letters.get(..letters.iter().take_while(|c| base64::is_letter(**c) && **c != b'-' && **c != b'_').count());
        let units = base64::decode(letters.unwrap_or_default(), Style::Chunks).bytes;
        units.len() >= 2
            && units.as_chunks::<2>().0.iter().all(|[high, low]| *high == 0 && matches!(low, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
    })
}

/// A text in HZ (RFC 1843) or ISO 2022 without its shifts, which may stand between any two characters of ASCII; `None` where no shift is
/// without need, as all are in honest text.
fn without_escapes(data: &[u8], label: &str) -> Option<Vec<u8>> {
    let hz = label.eq_ignore_ascii_case("hz-gb-2312") || label.eq_ignore_ascii_case("hz") || label.eq_ignore_ascii_case("hzgb2312");
    let marks = if hz { (b'~', b'~', b'~') } else { (0x1b, 0x0e, 0x0f) };
    memchr::memchr3(marks.0, marks.1, marks.2, data)?;
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    let (mut shifted, mut at_shift, mut needless) = (false, usize::MAX, hz);
    while let Some((c, tail)) = rest.split_first() {
        let (to_wide, skip) = match (c, tail) {
            (b'~', [b'~', ..]) if hz => {
                out.push(b'~');
                rest = tail.get(1..).unwrap_or_default();
                continue;
            }
            (b'~', [b'\r', b'\n', ..]) if hz => (false, 2),
            (b'~', [b'{', ..]) if hz => (true, 1),
            (b'~', [b'}' | b'\n', ..]) if hz => (false, 1),
            // ESC, intermediate bytes, one final byte (ECMA-35 section 13).
            (0x1b, _) if !hz => (tail.first() == Some(&b'$'), tail.iter().take_while(|c| (0x20..0x30).contains(*c)).count() + 1),
            (0x0e, _) if !hz => (true, 0),
            (0x0f, _) if !hz => (false, 0),
            _ => {
                out.push(*c);
                rest = tail;
                continue;
            }
        };
        needless |= (!shifted && !to_wide) || at_shift == out.len();
        (shifted, at_shift) = (to_wide, out.len());
        rest = tail.get(skip..).unwrap_or_default();
    }
    (needless && out.len() < data.len()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found_as, once};
    use super::*;

    #[test]
    fn charsets() {
        let wide = |text: &str, before: usize, after: usize| -> Vec<u8> {
            text.bytes().flat_map(|c| [vec![0; before], vec![c], vec![0; after]].concat()).collect()
        };
        let text = "a line of text";
        let rows: &[(&[u8], &str, &[&str])] = &[
            (&wide(text, 0, 1), "utf-16le", &[text]),
            (&wide(text, 1, 0), "utf-16be", &[text]),
            (&wide(text, 0, 1), "", &[text]),
            (&wide(text, 1, 0), "", &[text]),
            (&wide(text, 3, 0), "", &[text]),
            (&wide(text, 0, 3), "us-ascii", &[text]),
            (b"a+ACE-b+-", "utf-7", &["a!b+"]),
            (b"a+ACEAJQ-b+-", "", &["a!%b+"]),
            (b"a+ACE.b", "", &["a!.b"]),
            (b"a&ACE-b&-", "", &["a!b&"]),
            (b"A+B is no C+ABC nor &ABC", "", &[]),
            (b"a\x1b(Bb\x1b$B\x1b(Jc", "iso-2022-jp", &["abc"]),
            (b"a~{~}b~~c~\nd", "hz-gb-2312", &["ab~cd"]),
            (b"a~{~}b", "", &[]),
            (b"words \x1b$B$\"$\"\x1b(B more", "iso-2022-jp", &[]),
            (text.as_bytes(), "utf-8", &[]),
        ];
        for (bytes, label, want) in rows {
            assert_eq!(found_as(READING.read, bytes, "text/plain", label), *want, "{:?} {label}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn nothing_hides_behind_many_marks() {
        for decoy in ["+Ab ", "+AAA- "] {
            let text = decoy.repeat(20_000) + "a+ACE-b";
            assert!(once(READING.read, text.as_bytes(), "", "").0.iter().any(|found| found.ends_with("a!b")), "{decoy}");
        }
    }

    #[test]
    fn ebcdic_of_every_country() {
        // "A[b]!" in code pages 37, 500, 1047 and 273.
        for code in [&b"\xc1\xba\x82\xbb\x5a"[..], b"\xc1\x4a\x82\x5a\x4f", b"\xc1\xad\x82\xbd\x5a", b"\xc1\x63\x82\xfc\x4f"] {
            let (texts, _) = once(READING.read, &code.repeat(4), "text/plain", "");
            assert!(texts.len() == 1 && texts[0].contains("A[b]!A[b]!"), "{code:x?}: {texts:?}");
        }
    }
}

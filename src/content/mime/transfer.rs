//! Transfer decoding (RFC 2045 section 6): each way in which a client may decode a body.

use bytes::Bytes;
use memchr::memmem;

use super::super::find::{Finds, Problem};
use super::base64::{self, Decoded, Style};
use super::field::Encoding;
use super::quoted::{self, Bad};
use super::uuencode;

/// Shortest body that is tried as base64 under an unknown encoding.
const LEAST: usize = 16;
/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// All different decodings of `body`, the most usual first; never empty. Limits reached and odd places go to `finds`.
pub(crate) fn decodings(body: &Bytes, encoding: Encoding, finds: &mut Finds) -> Vec<Bytes> {
    match encoding {
        Encoding::Identity => vec![body.clone()],
        Encoding::Uuencode => from_uuencode(body, finds),
        Encoding::Base64 => from_base64(body, finds),
        Encoding::Quoted => from_quoted(body, finds),
        Encoding::Unknown => {
            finds.note("mime.encoding_unknown", "A transfer encoding that nobody knows", "");
            let mut all = vec![body.clone()];
            if base64::looks_like(body, LEAST) {
                all.extend(from_base64(body, finds));
            }
            if quoted::looks_like(body) {
                all.extend(from_quoted(body, finds));
            }
            all
        }
    }
}

/// Readings find the files that stand in the body as it is; readers that go by the field alone want no line that starts a file.
fn from_uuencode(body: &Bytes, finds: &mut Finds) -> Vec<Bytes> {
    let mut all = vec![body.clone()];
    if !uuencode::has_file(body) && finds.look(body.len()) {
        all.extend(Some(uuencode::bare(body)).filter(|bytes| !bytes.is_empty()).map(Bytes::from));
    }
    all
}

fn from_base64(body: &Bytes, finds: &mut Finds) -> Vec<Bytes> {
    let decoded = base64::decode(body, Style::Chunks);
    let other_code = is_other_code(body);
    if !decoded.is_odd() && !other_code {
        return vec![decoded.bytes.into()];
    }
    finds.note("mime.base64_junk", "Base64 with characters or padding where none belong", "");
    let styles = odd_styles(&decoded);
    let mostly_junk = other_code || decoded.bytes.len() < body.len() / 2 || (decoded.at_junk.is_some() && !decoded.junk_after_pad);
    let Decoded { bytes, at_pad, at_junk, junk_after_pad, after_pad, .. } = decoded;
    let whole = Bytes::from(bytes);
    // Where text follows the padding (the footer of a mailing list), the file ends at the padding.
    let to_pad = at_pad.filter(|_| after_pad).map(|end| whole.slice(..end.min(whole.len())));
    let mut all = match to_pad {
        Some(to_pad) if junk_after_pad => vec![to_pad, whole],
        to_pad => [whole].into_iter().chain(to_pad).collect(),
    };
    // Readers that stop at the first character that does not belong here, and readers that step over the whole line.
    if let Some(end) = at_junk
        && finds.look(body.len() * 2)
    {
        all.push(base64::decode(body.get(..end).unwrap_or_default(), Style::Chunks).bytes.into());
        let clean = base64::decode(&base64::clean_lines(body), Style::Chunks).bytes;
        // A footer alone that is left out makes no other content.
        if !all.iter().any(|one| one.starts_with(&clean)) {
            all.push(clean.into());
        }
    }
    for style in styles {
        if finds.look(body.len()) {
            all.push(base64::decode(body, style).bytes.into());
        }
    }
    if quoted::looks_like(body) {
        all.extend(from_quoted(body, finds));
    }
    if mostly_junk {
        all.push(body.clone());
    }
    once(all)
}

/// Whether a body that is said to be base64 has the marks of another code, all of which may be letters of the alphabet.
fn is_other_code(body: &[u8]) -> bool {
    let head = body.get(..body.len().min(64 * 1024)).unwrap_or_default();
    quoted::looks_like(head) && head.windows(2).filter(|two| two[0] == b'=' && quoted::hex(two[1]).is_some()).count() > 8
        || (memchr::memmem::find(head, b"egin").is_some() && uuencode::has_file(body))
}

/// The further styles that may give something else for what was seen.
fn odd_styles(decoded: &Decoded) -> Vec<Style> {
    let rows = [
        (decoded.after_pad, Style::Through),
        (decoded.after_pad, Style::Slots),
        (decoded.after_pad, Style::Zeros),
        (decoded.ragged, Style::Lines),
        (decoded.url, Style::Url),
        (decoded.comma && !decoded.junk_after_pad, Style::Comma),
        (decoded.high, Style::Masked),
    ];
    rows.into_iter().filter(|(odd, _)| *odd).map(|(_, style)| style).collect()
}

fn from_quoted(body: &Bytes, finds: &mut Finds) -> Vec<Bytes> {
    if memchr::memchr(b'=', body).is_none() {
        return vec![body.clone()];
    }
    let (bytes, wrong) = quoted::decode(body, Bad::Keep);
    let mut all = vec![Bytes::from(bytes)];
    if wrong > 0 {
        finds.note("mime.quoted_junk", "Quoted-printable with signs of equality that start no escape", "");
        for bad in [Bad::Drop, Bad::DropDigits, Bad::SkipLine] {
            if finds.look(body.len()) {
                all.push(quoted::decode(body, bad).0.into());
            }
        }
        // An escape may be cut by a soft line break.
        if finds.look(body.len() * 2) {
            all.push(quoted::decode(&quoted::without_breaks(body), Bad::Keep).0.into());
        }
        all.push(body.clone());
    }
    // Readers that decode line by line lose a byte order mark at a line's start.
    if memmem::find(body, MARK).is_some() && finds.look(body.len()) {
        let pieces: Vec<&[u8]> = memmem::find_iter(body.as_ref(), MARK)
            .chain([body.len()])
            .scan(0, |from, at| {
                let piece = body.get(*from..at);
                *from = at + MARK.len();
                piece
            })
            .collect();
        all.push(quoted::decode(&pieces.concat(), Bad::Keep).0.into());
    }
    once(all)
}

/// Each once.
fn once(all: Vec<Bytes>) -> Vec<Bytes> {
    let mut kept: Vec<Bytes> = Vec::with_capacity(all.len());
    all.into_iter().for_each(|one| {
        if !kept.contains(&one) {
            kept.push(one);
        }
    });
    kept
}

/// A note for a body whose fields name different encodings.
pub(crate) fn conflict() -> Problem {
    Problem::note("mime.encoding_conflict", "Transfer encodings that contradict each other", "")
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::{Budget, Limits};
    use super::*;

    #[test]
    fn every_way() {
        let rows: &[(&str, Encoding, &[&str])] = &[
            ("a=41", Encoding::Identity, &["a=41"]),
            ("a=41", Encoding::Quoted, &["aA"]),
            ("a=41=ZZ", Encoding::Quoted, &["aA=ZZ", "aAZZ", "aA", "a=41=ZZ"]),
            ("aGVsbG8=", Encoding::Base64, &["hello"]),
            ("aGVsbG8=\r\n--\r\nlist", Encoding::Base64, &["hello", "hello\u{96}+-"]),
            ("aGVsbG8gd29ybGQh", Encoding::Unknown, &["aGVsbG8gd29ybGQh", "hello world!"]),
            ("a=3D=3D", Encoding::Unknown, &["a=3D=3D", "a=="]),
            ("words", Encoding::Unknown, &["words"]),
        ];
        for (body, encoding, want) in rows {
            let mut budget = Budget::new(&Limits::default());
            let mut finds = Finds::new(&mut budget, 10);
            let got = decodings(&Bytes::copy_from_slice(body.as_bytes()), *encoding, &mut finds);
            let got: Vec<String> = got.iter().map(|b| b.iter().map(|c| char::from(*c)).collect()).collect();
            assert_eq!(got.get(..want.len()), Some(&want.iter().map(|w| w.to_string()).collect::<Vec<_>>()[..]), "{body:?}");
        }
    }
}

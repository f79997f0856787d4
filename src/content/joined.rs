//! Files that come in pieces, each an attachment of its own: put together, as `copy /b`, `cat` and archivers do. And files in several texts
//! of one message, as old programs for news cut them.

use std::collections::BTreeMap;

use bytes::Bytes;
use memchr::memmem;

use super::find::limit;
use super::forks::ASIDE;
use super::work::{Blob, What, Work};
use crate::mail::{Part, PartId, PartKind};

/// Pieces of one file, at most.
const MOST: usize = 200;
/// Bytes of pieces whose names are merely numbered.
const SMALL: usize = 4 << 20;
/// Marks of files in texts that go on in the next one.
const MARKS: [&[u8]; 3] = [b"begin ", b"begin-base64 ", b"=ybegin "];
/// What ends them.
const ENDS: [&[u8]; 4] = [b"\nend", b"\rend", b"\n====", b"=yend"];

/// What the names of a file's pieces have in common, whether they are surely those of pieces, and the container they are in.
type Group = (String, bool, Option<PartId>);

/// A file's name, and its pieces in their order.
type Piled = (Option<String>, Vec<Bytes>);

impl Work<'_> {
    /// Puts pieces together, once; true where there were any.
    pub(super) fn join_pieces(&mut self) -> bool {
        if std::mem::replace(&mut self.joined, true) || self.has_limit() {
            return false;
        }
        let (mut found, too_many) = self.named_pieces();
        if too_many {
            self.note(limit("mime.limit.parts", "More pieces of one file than the limit"), None);
        }
        found.extend(self.texts());
        let any = !found.is_empty();
        for (name, pieces) in found {
            let size: usize = pieces.iter().map(Bytes::len).sum();
            if !self.budget.decode(size) || !self.budget.look(size) {
                self.note(limit("mime.limit.bytes", "Decoding gives more than the limit"), None);
                break;
            }
            let whole: Vec<u8> = pieces.concat();
            let blob = Blob { attachment: true, ..Blob::plain(whole.into(), PartKind::Reading, name) };
            self.push_other(What::Leaf(Box::new(blob)), Some(PartId(0)), 1, ASIDE);
        }
        any
    }

    /// Attachments whose names differ in a number, or in the letters that split gives, in their order.
    /// Those in one container belong together too. And whether there were more than are put together.
    fn named_pieces(&self) -> (Vec<Piled>, bool) {
        let mut groups: BTreeMap<Group, BTreeMap<u32, [&Part; 2]>> = BTreeMap::new();
        let leaves = self.parts.iter().filter(|part| matches!(part.kind, PartKind::Leaf | PartKind::Member) && !part.data.is_empty());
        for part in leaves {
            let Some(name) = part.name.as_deref().map(str::to_ascii_lowercase) else { continue };
            let within = part.parent.filter(|_| part.kind == PartKind::Member);
            for (stem, number, volume) in places(&name) {
                // Of two with one number, somebody takes the first, and somebody else the last.
                groups.entry((stem, volume, within)).or_default().entry(number).or_insert([part; 2])[1] = part;
            }
        }
        let (mut found, mut too_many) = (Vec::new(), false);
        let both = groups.into_iter().flat_map(|(group, pieces)| {
            let two = pieces.values().any(|[first, last]| first.sha256 != last.sha256);
            (0..1 + usize::from(two)).map(move |n| (group.clone(), pieces.iter().map(|(number, both)| (*number, both[n])).collect()))
        });
        for ((stem, volume, within), pieces) in both {
            let pieces: BTreeMap<u32, &Part> = pieces;
            let parts: Vec<&&Part> = pieces.values().collect();
            let in_row = pieces.keys().zip(pieces.keys().skip(1)).all(|(a, b)| a + 1 == *b || *b == u32::MAX);
            // Numbered pictures and documents are files of their own: later pieces are nothing that is known.
            let unknown =
                || parts.iter().skip(1).all(|part| matches!(part.true_type, "" | "text")) && parts.iter().all(|p| p.data.len() < SMALL);
            too_many |= parts.len() > MOST && in_row && volume && within.is_none();
            if (2..=MOST).contains(&parts.len()) && in_row && (volume || unknown()) {
                let name = stem.split('\0').next().map(|stem| stem.trim_end_matches(['.', '_', '-', ' ', '(']).to_owned());
                found.push((name.filter(|name| !name.is_empty()), parts.iter().map(|part| part.data.clone()).collect()));
            }
        }
        (found, too_many)
    }

    /// The texts of the message from the one on in which an encoded file starts.
    fn texts(&self) -> Option<Piled> {
        let is_text = |part: &&Part| part.kind == PartKind::Leaf && matches!(part.true_type, "text" | "html" | "") && !part.data.is_empty();
        let all: Vec<&Part> = self.parts.iter().filter(is_text).take(MOST).collect();
        let texts = all.iter().skip_while(|part| !goes_on(&part.data)).map(|part| part.data.clone());
        // The line end before a boundary belongs to the boundary.
        let pieces: Vec<Bytes> = texts.flat_map(|text| [text, Bytes::from_static(b"\r\n")]).collect();
        (pieces.len() > 2).then_some((None, pieces))
    }
}

/// Whether an encoded file starts in a text and does not end there.
fn goes_on(text: &[u8]) -> bool {
    let at_line = |at: &usize| *at == 0 || text.get(at - 1).is_some_and(|c| matches!(c, b'\n' | b'\r'));
    let begun = MARKS.iter().filter_map(|mark| memmem::rfind_iter(text, mark).find(at_line)).max();
    let ends = |at: usize| ENDS.iter().any(|end| text.get(at..).is_some_and(|rest| memmem::find(rest, end).is_some()));
    begun.is_some_and(|at| !ends(at)) || memmem::find(text, b"=ybegin part=").is_some()
}

/// What may tell a piece from its fellows in a name: all but the number, the number, and whether it is surely that of a piece.
fn places(name: &str) -> Vec<(String, u32, bool)> {
    let mut all = Vec::new();
    let (base, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|c| c.is_ascii_digit());
    if is_number(ending) {
        all.extend(ending.parse().ok().map(|number| (format!("{base}\0"), number, ending.len() > 1)));
    }
    // a.z01, a.z02, and at last a.zip; a.r00 stands behind a.rar.
    if let Some(number) = ending.strip_prefix('z').filter(|rest| is_number(rest)).and_then(|rest| rest.parse().ok()) {
        all.push((format!("{base}\0z"), number, true));
    }
    if ending == "zip" {
        all.push((format!("{base}\0z"), u32::MAX, true));
    }
    // The letters that split gives: aa, ab, …
    let letters = if ending.is_empty() { base.strip_prefix('x').unwrap_or_default() } else { ending };
    if let [a @ b'a'..=b'z', b @ b'a'..=b'z'] = letters.as_bytes() {
        let number = u32::from(a - b'a') * 26 + u32::from(b - b'a');
        all.push((format!("{}\0aa", name.strip_suffix(letters).unwrap_or_default()), number, number < 26));
    }
    // Any number: the last of those in the name, or the one behind "part" or before "of".
    let bytes = name.as_bytes();
    let mut end = bytes.len();
    for _ in 0..3 {
        let Some(last) = bytes.get(..end).and_then(|head| head.iter().rposition(u8::is_ascii_digit)) else { break };
        let start = bytes.get(..last).and_then(|head| head.iter().rposition(|c| !c.is_ascii_digit())).map_or(0, |at| at + 1);
        let (Some(head), Some(digits), Some(tail)) = (name.get(..start), name.get(start..=last), name.get(last + 1..)) else { break };
        let sure = head.ends_with("part") && digits.len() < 4;
        all.extend(digits.parse().ok().filter(|_| digits.len() < 5).map(|number| (format!("{head}\0#{tail}"), number, sure)));
        end = start;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, decompose};

    fn message(parts: &[(&str, &str)]) -> String {
        let part = |(name, content): &(&str, &str)| {
            format!(
                "--B\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\r\n{content}\r\n"
            )
        };
        let parts: String = parts.iter().map(part).collect();
        format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{parts}--B--\r\n")
    }

    #[test]
    fn pieces_are_put_together() {
        let rows: &[(&[&str], bool)] = &[
            (&["a.com.001", "a.com.002", "a.com.003"], true),
            (&["a.com.003", "a.com.002", "a.com.001"], true),
            (&["a.part1", "a.part2", "a.part3"], true),
            (&["xaa", "xab", "xac"], true),
            (&["a.com.aa", "a.com.ab", "a.com.ac"], true),
            (&["a.z01", "a.z02", "a.zip"], true),
            (&["a (1 of 3).bin", "a (2 of 3).bin", "a (3 of 3).bin"], true),
            (&["a_1.bin", "a_2.bin", "a_3.bin"], true),
            (&["a1.bin", "b2.bin", "c3.bin"], false),
            (&["a1.bin", "a3.bin", "a7.bin"], false),
            (&["a.txt", "b.txt", "c.txt"], false),
        ];
        for (names, want) in rows {
            let pieces = ["Words of a", " message that", " stands here"];
            let reversed = names[0].ends_with("003");
            let content = |i: usize| pieces[if reversed { 2 - i } else { i }];
            let parts: Vec<(&str, &str)> = names.iter().enumerate().map(|(i, name)| (*name, content(i))).collect();
            let found = decompose(message(&parts).into(), &Limits::default());
            let joined = found.parts.iter().any(|part| part.data.as_ref() == b"Words of a message that stands here");
            assert_eq!(joined, *want, "{names:?}");
        }
    }

    #[test]
    fn texts_go_on_in_the_next_one() {
        let text = "Content-Type: text/plain\r\n\r\n";
        let lines = ["begin 644 a.txt", "\"5V]R", "9'`!S", "`", "end"];
        let raw = format!(
            "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n{text}{}\r\n--B\r\n{text}{}\r\n--B--\r\n",
            lines[..2].join("\r\n"),
            lines[2..].join("\r\n")
        );
        let found = decompose(raw.into(), &Limits::default());
        let whole = found.parts.iter().any(|part| part.data.windows(5).any(|w| w == b"begin") && part.data.ends_with(b"end\r\n"));
        assert!(whole);
    }

    #[test]
    fn two_pieces_of_one_number_and_too_many_pieces() {
        let two = [("a.001", "Words "), ("a.002", "of none"), ("a.002", "of two")];
        let found = decompose(message(&two).into_bytes().into(), &Limits::default());
        for whole in ["Words of none", "Words of two"] {
            assert!(found.parts.iter().any(|part| part.data == whole.as_bytes()), "{whole}");
        }
        let names: Vec<String> = (1..=super::MOST + 1).map(|n| format!("a.{n:03}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let found = decompose(message(&many).into_bytes().into(), &Limits::default());
        assert!(found.findings.iter().any(|finding| finding.code == "mime.limit.parts"));
    }
}

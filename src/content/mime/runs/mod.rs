//! Runs of base64, hexadecimal and numbers in any text, and `data:` URIs: what scripts, styles, vCards, PEM and their like carry along.
//!
//! Whatever starts as a container, program or document becomes an item of its own. All other runs of a text are put together into one,
//! since they are mostly keys, links and pictures: one more scan, not hundreds.

mod letters;
mod numbers;
mod uris;

use super::super::find::{Finds, Leaf};
use super::super::{sniff, unpack};
use super::base64::{self, Style};
use super::{Reading, cms, pgp, quoted};

pub(super) const READING: Reading =
    Reading { name: "runs", reads: "base64, hexadecimal and numbers in scripts, markup and other text; data: URIs", read };

/// Items of their own that are made of one text; what is found after them is put together with all the rest.
const MAX_OWN: usize = 100;
/// Digits from which a run of hexadecimal counts.
const LEAST_HEX: usize = 128;
/// Runs up to this length, of which nobody knows what they are, are decoded from each place in a group of four.
const SHORT: usize = 64 * 1024;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !super::is_readable(leaf) {
        return;
    }
    let data = leaf.data.as_ref();
    let mut pile = Pile { finds, rest: Vec::new(), own: 0, full: false };
    let tags = memchr::memchr(b'<', data).is_some();
    let taken = uris::each(data, &mut pile);
    // What stands between the URIs.
    let starts = std::iter::once(0).chain(taken.iter().map(|range| range.end));
    let ends = taken.iter().map(|range| range.start).chain(std::iter::once(data.len()));
    for (start, end) in starts.zip(ends) {
        let text = data.get(start..end).unwrap_or_default();
        let mut from = 0;
        while let letters::Found::Run(run) = letters::next(text, from, tags, &mut || pile.finds.has_time()) {
            from = run.end;
            letter_run(&run.text, &mut pile);
            if pile.full {
                return;
            }
        }
        if !pile.finds.has_time() {
            return;
        }
        numbers::each(text, &mut pile);
    }
    pile.finish();
}

/// What is decoded of one text, on its way to becoming items.
struct Pile<'a, 'b> {
    finds: &'a mut Finds<'b>,
    rest: Vec<u8>,
    own: usize,
    /// A limit was reached.
    full: bool,
}

impl Pile<'_, '_> {
    /// Adds decoded bytes: as an item of its own where they start as something known, else to the rest.
    fn add(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() || self.full {
            return;
        }
        self.full = !self.finds.look(bytes.len());
        if is_known(&bytes) && self.own < MAX_OWN {
            self.own += 1;
            self.full |= !self.finds.add_guess(bytes);
            return;
        }
        // Neither the type of the first one counts for all, nor is a line of one a line of the next.
        self.rest.extend_from_slice(b"\0\n");
        self.rest.extend_from_slice(&bytes);
    }

    fn finish(self) {
        if !self.rest.is_empty() {
            self.finds.add_guess(self.rest);
        }
    }
}

/// Whether bytes start as something that wants to be opened or judged by itself. Signatures of two bytes, which stand at the start of some
/// of thousands of random keys, count with more behind them.
fn is_known(bytes: &[u8]) -> bool {
    if cms::looks_like(bytes) || bytes.starts_with(b"\0\x05\x16") || pgp::looks_like(bytes) {
        return true;
    }
    match sniff::true_type(bytes) {
        "" | "text" => unpack::is_zlib(bytes),
        "gzip" => bytes.get(2) == Some(&8) && bytes.get(3).is_some_and(|flags| *flags < 0x20),
        "compress" => bytes.len() >= 16 && bytes.get(2).is_some_and(|bits| (0x89..=0x90).contains(bits)),
        "cpio" => bytes.starts_with(b"0707"),
        "exe" => bytes.len() >= 64 && memchr::memmem::find(bytes.get(..bytes.len().min(4096)).unwrap_or_default(), b"PE\0\0").is_some(),
        "html" | "xml" => bytes.len() >= 1024,
        "mail" => true,
        kind => sniff::UNOPENED.contains(&kind) || KNOWN.contains(&kind),
    }
}

/// Types that are opened or judged by themselves, beside those that are not opened.
const KNOWN: [&str; 25] = [
    "elf",
    "macho",
    "java",
    "dex",
    "msi",
    "lnk",
    "ole2",
    "docx",
    "docm",
    "xlsx",
    "xlsm",
    "pptx",
    "pptm",
    "odf",
    "pdf",
    "rtf",
    "tnef",
    "zip",
    "jar",
    "apk",
    "epub",
    "tar",
    "bzip2",
    "xz",
    "activemime",
];

/// Whether anybody can say what bytes are: something known, text, a picture.
fn is_plain(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(256)).unwrap_or_default();
    let shown = head.iter().filter(|c| matches!(c, b'\t' | b'\r' | b'\n' | b' '..=b'~')).count();
    shown * 20 >= head.len() * 19
        || cms::looks_like(bytes)
        || pgp::looks_like(bytes)
        || !matches!(sniff::true_type(bytes), "" | "text" | "gzip" | "compress" | "cpio" | "exe")
}

/// Decodes a run of letters, whose pieces are divided by line ends: hexadecimal where there are only such digits, else base64.
fn letter_run(text: &[u8], pile: &mut Pile) {
    if text.iter().all(|c| quoted::hex(*c).is_some() || *c == b'\n') {
        let digits: Vec<u8> = text.iter().filter_map(|c| quoted::hex(*c)).collect();
        if digits.len() >= LEAST_HEX {
            pile.add(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect());
        }
        return;
    }
    let decoded = base64::decode(text, Style::Url);
    let plain = is_plain(&decoded.bytes);
    let (ragged, after_pad) = (decoded.ragged, decoded.after_pad);
    pile.add(decoded.bytes);
    if after_pad {
        pile.add(base64::decode(text, Style::Through).bytes);
    }
    if plain {
        return;
    }
    if ragged {
        pile.add(text.split(|c| *c == b'\n').flat_map(|line| base64::decode(line, Style::Url).bytes).collect());
    }
    // A word before it that is letters too puts all out of step.
    for skip in 1..4 {
        let decoded = base64::decode(text.get(skip..).unwrap_or_default(), Style::Url).bytes;
        if text.len() <= SHORT || is_plain(&decoded) {
            pile.add(decoded);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    const BASE64: &str = "VGhpcyBpcyBhIHRleHQgdGhhdCBub2JvZHkgd291bGQgbG9vayBmb3IgaGVyZTsgYW5kIG1vcmUu";
    const PLAIN: &str = "This is a text that nobody would look for here; and more.";
    const HEX: &str = "54686973206973206120746578742074686174206e6f626f647920776f756c64206c6f6f6b20666f7220686572653b20616e64206d6f72652e546869732069732061";

    /// What runs give, without what divides them.
    fn all(text: &str) -> String {
        once(READING.read, text.as_bytes(), "", "").0.concat()
    }

    #[test]
    fn base64_wherever_it_stands() {
        let (a, b) = BASE64.split_at(36);
        let (b, c) = b.split_at(20);
        let rows = [
            format!("see {BASE64} there"),
            format!("<a>{BASE64}</a>"),
            format!("x = \"{a}\" +\n    \"{b}\"+\"{c}\";"),
            format!("x = '{a}' & _\r\n '{b}' & '{c}'"),
            format!("PHOTO;ENCODING=b:{a}\r\n {b}\r\n {c}\r\nEND:VCARD"),
            format!("jpegPhoto:: {a}\n {b}\n {c}\n"),
            format!("{{\"x\":\"{a}\\r\\n{b}\\n{c}\"}}"),
            format!("<x>{a}&#10;{b}&#xA;{c}</x>"),
            format!("{a}=0D=0A{b}=\r\n{c}"),
            format!("\"{a}\\\n{b}\\\n{c}\""),
            format!("> {a}\n> {b}\n> {c}\n"),
            format!("{a}<br>\n{b}<br />{c}"),
            format!("an attachment\n{a}\n{b}\n{c}\n"),
            format!("atob('{BASE64}')"),
            format!("-----BEGIN X-----\n{a}\n{b}\n{c}\n-----END X-----"),
            format!("data:text/plain;base64,{BASE64}"),
            format!("<img src=\"DATA:text/plain;x=y;base64,{a}%0A{b}\n {c}\">"),
            format!("word{BASE64}"),
            format!("wo{BASE64}"),
        ];
        for row in rows {
            assert!(all(&row).contains(PLAIN), "{row:?}: {:?}", all(&row));
        }
    }

    #[test]
    fn numbers_wherever_they_stand() {
        let each = |unit: fn(u8) -> String, by: &str| format!("f({})", PLAIN.repeat(2).bytes().map(unit).collect::<Vec<_>>().join(by));
        let rows = [
            HEX.to_owned(),
            format!("x'{}'", HEX.to_uppercase()),
            format!("{}\\\n{}", &HEX[..60], &HEX[60..]),
            each(|c| format!("\\x{c:02x}"), ""),
            each(|c| format!("%{c:02X}"), ""),
            each(|c| format!("0x{c:x}"), ", "),
            each(|c| format!("{c:02x}"), " "),
            each(|c| format!("{c:02x}"), ":"),
            each(|c| format!("&#x{c:x};"), ""),
            each(|c| format!("&#{c};"), ""),
            each(|c| format!("{c}"), ","),
            each(|c| format!("{c}"), ",\n  "),
            each(|c| format!("\\{c:03o}"), ""),
            each(|c| format!("\\u{c:04x}"), ""),
            each(|c| format!("Chr({c})"), " & "),
            format!("String.fromCharCode({})", PLAIN.bytes().map(|c| c.to_string()).collect::<Vec<_>>().join(",")),
            format!("data:,{}", PLAIN.replace(' ', "%20")),
        ];
        for row in rows {
            assert!(all(&row).contains("This is a text that nobody would look for here"), "{row:?}: {:?}", all(&row));
        }
    }

    #[test]
    fn honest_text_gives_nothing() {
        let rows = [
            "Words of a letter, and more words.\r\nA line of its own\r\n".repeat(20),
            format!("see http://example.org/{BASE64}/x and <a href=\"https://example.org/?u={BASE64}\">"),
            "________________________________________________________________________________\r\n".to_owned(),
            "--------------------------------------------------------------------------------\r\n".to_owned(),
            "================================================================================\r\n".to_owned(),
            format!("Message-ID: <{BASE64}@example.org>"),
            "one\ntwo\nthree\nfour\n\nfive six\n".repeat(3),
            "1, 2, 3, 4, 5; 2026-11-23 10:00 +0100".to_owned(),
        ];
        for row in rows {
            assert_eq!(once(READING.read, row.as_bytes(), "", ""), (vec![], vec![]), "{row:?}");
        }
    }

    #[test]
    fn what_starts_as_something_known_stands_by_itself() {
        let zip = "UEsDBAoAAAAAAAAAIQA7aXs2BQAAAAUAAAABAAAAYWhlbGxvUEsBAgoACgAAAAAAAAAhADtpezYFAAAABQAAAAEAAAAAAAAAAAAAAAAAAAAAAGFQSwUGAAAAAAEAAQAvAAAAJAAAAAAA";
        let found = once(READING.read, format!("<x>{zip}</x><y>{BASE64}</y>").as_bytes(), "", "").0;
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("PK\u{3}\u{4}") && found[1].contains(PLAIN));
    }

    #[test]
    fn broken_at_every_byte() {
        let (a, b) = BASE64.split_at(36);
        found(
            READING.read,
            format!("x=\"{a}\"+\n'{b}&#10;{b}\\u002b=3D\" data:x;base64,{a}%2B 88,53, \\x58\\x59%41 Chr(&H41) {HEX}").as_bytes(),
        );
    }
}

//! PDF (ISO 32000-1): read as it stands, from the first byte to the last, not by its table of objects, which may lie. Attached files,
//! scripts and whatever else is a file of its own become members; fonts, pictures and the text of pages are put together in one, so that
//! the engines see them.

mod filters;
mod lex;
mod locked;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::super::sniff;
use super::Container;
use crate::mail::Reason;
use filters::Packed;
use lex::Structure;

pub(super) const CONTAINER: Container = Container { name: "pdf", opens: "attached files, scripts and streams of PDF", is, open };

/// Streams read of one file.
const MAX_STREAMS: usize = 100_000;
/// Bytes read of a picture: pixels that nobody takes for a file.
const PICTURE: u64 = 256 << 10;
/// Strings shorter than this are not shown to the engines.
const SHORT: usize = 20;
/// What the pieces that are put together begin with: so that nothing takes them for a text.
const PIECES: &[u8] = b"\0pieces of a PDF\0\n";
/// Bytes at the start in which programs look for the mark.
const HEAD: usize = 4096;
/// Names that are worth a note: name, code, words.
const NOTES: [(&str, &str, &str); 12] = [
    ("/JavaScript", "doc.pdf_script", "A PDF with a script"),
    ("/JS", "doc.pdf_script", "A PDF with a script"),
    ("/Launch", "doc.pdf_launch", "A PDF that starts a program"),
    ("/OpenAction", "doc.pdf_action", "A PDF that acts when it is opened"),
    ("/AA", "doc.pdf_action", "A PDF that acts when it is opened"),
    ("/EmbeddedFile", "doc.pdf_attachment", "A PDF with files in it"),
    ("/EmbeddedFiles", "doc.pdf_attachment", "A PDF with files in it"),
    ("/RichMedia", "doc.pdf_media", "A PDF with a film or a program in it"),
    ("/XFA", "doc.pdf_form", "A PDF with a form of its own kind"),
    ("/SubmitForm", "doc.pdf_submit", "A PDF that sends what is filled in"),
    ("/GoToR", "doc.pdf_remote", "A PDF that opens another file"),
    ("/GoToE", "doc.pdf_remote", "A PDF that opens another file"),
];

fn is(leaf: &Leaf) -> bool {
    let head = leaf.data.get(..leaf.data.len().min(HEAD)).unwrap_or_default();
    leaf.true_type == "pdf"
        || memmem::find(head, b"%PDF-").is_some()
        || ((leaf.declared.ends_with("/pdf") || leaf.name.is_some_and(|name| name.to_ascii_lowercase().ends_with(".pdf")))
            && memmem::find(leaf.data, b"endobj").is_some())
}

/// A stream, as it stands in the file.
struct Stream {
    object: usize,
    /// Its dictionary, in the plain form of the structure.
    dictionary: Range<usize>,
    start: usize,
    length: usize,
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    if !finds.look(leaf.data.len()) {
        return;
    }
    let mut file = Pdf { data: leaf.data, structure: Structure::default(), streams: Vec::new() };
    if !file.scan() {
        finds.unseen("archive.limit.members", Reason::Limit, "A PDF of more streams than the limit", leaf.name.unwrap_or_default());
    }
    let mut seen = Seen::default();
    let Some(holders) = file.read_objects(&mut seen, finds) else { return };
    let mut noted = BTreeSet::new();
    for (name, code, words) in NOTES {
        if file.structure.has(name) && noted.insert(code) {
            finds.note(code, words, leaf.name.unwrap_or_default());
        }
    }
    let is_key = |value: &[u8]| lex::reference(value).is_some() || value.trim_ascii_start().starts_with(b"<<");
    let is_encrypted = file.structure.values("/Encrypt").any(is_key);
    if is_encrypted {
        locked::open(leaf, file.streams.len(), holders, finds);
    }
    if file.open_streams(&mut seen, is_encrypted, finds) && file.open_strings(&mut seen, finds) && seen.pieces.len() > PIECES.len() {
        finds.add_decoded(None, seen.pieces);
    }
}

/// What has been read of a file so far.
#[derive(Default)]
struct Seen {
    /// Streams that are read, by their place.
    done: BTreeSet<usize>,
    /// What is put together in one member.
    pieces: Vec<u8>,
}

impl Seen {
    fn piece(&mut self, bytes: &[u8]) {
        if self.pieces.is_empty() {
            self.pieces.extend_from_slice(PIECES);
        }
        self.pieces.extend_from_slice(bytes);
        self.pieces.push(b'\n');
    }
}

struct Pdf<'a> {
    data: &'a Bytes,
    structure: Structure,
    streams: Vec<Stream>,
}

impl Pdf<'_> {
    /// Finds all streams, and reads what stands between them; false where there are too many.
    fn scan(&mut self) -> bool {
        let data = self.data.clone();
        let mut between = 0;
        let mut next_end = None;
        for keyword in memmem::find_iter(&data, b"stream") {
            let Some(before) = data.get(between.min(keyword)..keyword).filter(|before| !before.ends_with(b"end")) else { continue };
            let start = line_end(&data, keyword + 6);
            let dictionary_ends = before.trim_ascii_end().ends_with(b">>");
            if !dictionary_ends && start == keyword + 6 {
                continue;
            }
            if self.streams.len() >= MAX_STREAMS {
                return false;
            }
            let from = self.structure.text.len();
            self.structure.push(before);
            let (object, dictionary) = self.dictionary(from);
            // The mark of the end is looked for once, however many streams have none.
            if next_end.is_none_or(|end| end < start) {
                next_end = Some(data.get(start..).and_then(|rest| memmem::find(rest, b"endstream")).map_or(data.len(), |n| start + n));
            }
            let end = next_end.unwrap_or(data.len());
            let length = self.length(&dictionary, start, end);
            self.streams.push(Stream { object, dictionary, start, length });
            between = end;
        }
        self.structure.push(data.get(between.min(data.len())..).unwrap_or_default());
        true
    }

    /// Number and dictionary of the object whose plain form ends what has been read.
    fn dictionary(&self, from: usize) -> (usize, Range<usize>) {
        let text = self.structure.text.get(from..).unwrap_or_default();
        let Some(keyword) = memmem::rfind(text, b"obj") else { return (0, from..self.structure.text.len()) };
        let mut numbers = text.get(..keyword).unwrap_or_default().trim_ascii_end().rsplit(|c| !c.is_ascii_digit());
        let object = numbers.nth(1).and_then(|digits| lex::number(digits)).map_or(0, |(n, _)| n);
        (object, from + keyword..self.structure.text.len())
    }

    /// How long a stream is: to the mark of its end, or further, if what its dictionary says leads to another such mark.
    fn length(&self, dictionary: &Range<usize>, start: usize, end: usize) -> usize {
        let dictionary = self.structure.text.get(dictionary.clone()).unwrap_or_default();
        let said =
            lex::values(dictionary, "/Length").filter(|value| lex::reference(value).is_none()).filter_map(lex::number).map(|(n, _)| n);
        let marked = |length: &usize| {
            let after = self.data.get(start.saturating_add(*length)..).map(|after| after.get(..32.min(after.len())).unwrap_or_default());
            after.is_some_and(|after| after.trim_ascii_start().starts_with(b"endstream"))
        };
        said.filter(marked).max().unwrap_or_default().max(end - start)
    }

    fn text(&self, stream: &Stream) -> &[u8] {
        self.structure.text.get(stream.dictionary.clone()).unwrap_or_default()
    }

    /// Decodes a stream by each chain of filters that its dictionary may mean; at most `most` bytes of each.
    fn decode(&self, stream: &Stream, most: u64, finds: &mut Finds) -> (Vec<Bytes>, bool) {
        let mut rest = self.data.slice(stream.start.min(self.data.len())..);
        let mut chains: Vec<Vec<String>> = Vec::new();
        for value in lex::values(self.text(stream), "/Filter").take(4) {
            let chain = self.chain(value, finds);
            if !chains.contains(&chain) {
                chains.push(chain);
            }
        }
        if chains.is_empty() {
            chains.push(Vec::new());
        }
        let mut found: Vec<Bytes> = Vec::new();
        let mut all_known = true;
        for chain in chains {
            if !finds.look(stream.length) {
                break;
            }
            let flate_first = chain.first().is_some_and(|name| name.starts_with("Fl"));
            if flate_first {
                // Writers and readers disagree about line ends after the keyword.
                let blanks = rest.iter().take(2).take_while(|c| matches!(c, b'\r' | b'\n')).count();
                rest = rest.slice(blanks..);
            }
            let packed = Packed { rest: &rest, length: stream.length, dictionary: self.text(stream), most };
            let (mut bytes, known) = filters::decode(&packed, &chain, finds);
            let looks_deflated = |b: &[u8]| b.first() == Some(&0x78) && b.first_chunk().is_some_and(|b| u16::from_be_bytes(*b) % 31 == 0);
            if looks_deflated(&bytes) {
                bytes = super::lenient::inflate(&bytes, most, "PDF stream", finds).0;
            }
            all_known &= known;
            if !bytes.is_empty() && !found.contains(&bytes) {
                found.push(bytes);
            }
        }
        (found, all_known)
    }

    /// The names of filters that a value is: one, a list, or a reference to them.
    fn chain(&self, value: &[u8], finds: &mut Finds) -> Vec<String> {
        let mut value = value.trim_ascii_start();
        if let Some(object) = lex::reference(value) {
            let found = finds.look(self.structure.text.len()).then(|| self.object(object)).flatten();
            value = found.unwrap_or_default().trim_ascii_start();
        }
        let names = match value.strip_prefix(b"[") {
            Some(list) => list.split(|c| *c == b']').next().unwrap_or_default(),
            None => value.get(1..).and_then(|v| v.iter().position(|c| !is_name(*c))).map_or(value, |n| value.get(..=n).unwrap_or(value)),
        };
        let names = names.split(|c| *c == b'/').skip(1);
        names.map(|name| name.iter().take_while(|c| is_name(**c)).map(|c| char::from(*c)).collect()).take(100).collect()
    }

    /// What stands in an object, from its start on.
    fn object(&self, number: usize) -> Option<&[u8]> {
        let start = format!("\n{number} ");
        let text = &self.structure.text;
        let found = memmem::find_iter(text, start.as_bytes()).filter_map(|at| lex::number(text.get(at + start.len()..)?));
        found.map(|(_, rest)| rest.trim_ascii_start()).find_map(|rest| rest.strip_prefix(b"obj"))
    }

    /// Reads the streams that hold objects, and says how many there are; `None` where a limit is reached.
    fn read_objects(&mut self, seen: &mut Seen, finds: &mut Finds) -> Option<usize> {
        let is_holder = |stream: &Stream| lex::values(self.text(stream), "/ObjStm").next().is_some();
        let holders: Vec<usize> = self.streams.iter().enumerate().filter(|(_, s)| is_holder(s)).map(|(index, _)| index).collect();
        for index in &holders {
            let Some(stream) = self.streams.get(*index) else { continue };
            for bytes in self.decode(stream, u64::MAX, finds).0 {
                self.structure.push(&bytes);
                seen.piece(&bytes);
            }
            seen.done.insert(*index);
            if !finds.look(0) {
                return None;
            }
        }
        Some(holders.len())
    }

    /// Hands out what is in the streams; false where a limit is reached.
    fn open_streams(&self, seen: &mut Seen, is_encrypted: bool, finds: &mut Finds) -> bool {
        let files = self.files();
        let scripts: BTreeSet<usize> = self.structure.values("/JS").filter_map(lex::reference).collect();
        for (index, stream) in self.streams.iter().enumerate() {
            let is_script = scripts.contains(&stream.object);
            let is_file = files.contains_key(&stream.object) || lex::values(self.text(stream), "/EmbeddedFile").next().is_some();
            if seen.done.contains(&index) && !is_file && !is_script {
                continue;
            }
            let has = |name: &str| lex::values(self.text(stream), name).next().is_some();
            let is_picture = !is_file && !is_script && has("/Image") && has("/Width") && has("/Height");
            let (found, known) = self.decode(stream, if is_picture { PICTURE } else { u64::MAX }, finds);
            if is_file && stream.length > 2 && !is_encrypted && (found.is_empty() || !known) {
                let name = files.get(&stream.object).cloned().flatten().unwrap_or_default();
                finds.unseen("archive.malformed", Reason::Malformed, "A file in a PDF that cannot be unpacked", &name);
            }
            for bytes in found {
                if is_file || is_script || is_own_file(&bytes) {
                    let name = if is_script { Some("script.js".to_owned()) } else { files.get(&stream.object).cloned().flatten() };
                    if !finds.add(Item::Blob { name, bytes }) {
                        return false;
                    }
                } else if self.data.as_ptr_range().contains(&bytes.as_ptr()) {
                    // Not packed at all: it has been seen with the file.
                } else {
                    seen.piece(&bytes);
                }
            }
            if !finds.look(0) {
                return false;
            }
        }
        true
    }

    /// Hands out scripts that are strings, and puts long strings to the pieces; false where a limit is reached.
    fn open_strings(&self, seen: &mut Seen, finds: &mut Finds) -> bool {
        for text in self.structure.strings.iter().filter(|text| text.len() >= SHORT) {
            seen.piece(text.as_bytes());
        }
        let scripts = self.structure.values("/JS").filter_map(|value| self.structure.string_of(value));
        let mut scripts = scripts.filter(|script| !script.is_empty());
        scripts.all(|script| finds.add_decoded(Some("script.js".to_owned()), script.clone().into_bytes()))
    }

    /// Objects to which the description of a file leads, with the file's name.
    fn files(&self) -> BTreeMap<usize, Option<String>> {
        let mut files: BTreeMap<usize, Option<String>> = BTreeMap::new();
        for key in ["/F", "/UF", "/DOS", "/Mac", "/Unix"] {
            for object in self.structure.values(key).filter_map(lex::reference) {
                files.entry(object).or_default();
            }
        }
        let text = &self.structure.text;
        let mut at = 0;
        while let Some(place) = text.get(at..).and_then(|rest| memmem::find(rest, b"/EF")).map(|n| at + n) {
            at = place + 3;
            let around = text.get(place.saturating_sub(300)..text.len().min(place + 300)).unwrap_or_default();
            let named = |key| lex::values(around, key).filter_map(|value| self.structure.string_of(value)).next();
            let Some(name) = named("/UF").or_else(|| named("/F")) else { continue };
            let inner = text.get(place..text.len().min(place + 200)).unwrap_or_default();
            for object in ["/F", "/UF"].into_iter().filter_map(|key| lex::values(inner, key).find_map(lex::reference)) {
                files.insert(object, Some(name.clone()));
            }
        }
        files
    }
}

/// Whether what a stream holds is a file of its own rather than fonts, pictures and text of pages.
fn is_own_file(bytes: &[u8]) -> bool {
    let ordinary = ["", "text", "ttf", "otf", "woff", "jpg", "png", "gif", "jp2", "jpx", "bmp", "tif"];
    // Type 1 fonts and programs of other kinds are text to look at.
    let head = bytes.get(..bytes.len().min(64)).unwrap_or_default();
    let true_type = sniff::true_type(bytes);
    let is_metadata = true_type == "xml" && memmem::find(bytes.get(..bytes.len().min(1024)).unwrap_or_default(), b"xpacket").is_some();
    !head.starts_with(b"%!") && !is_metadata && (!ordinary.contains(&true_type) || sniff::has_zip(bytes))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+')
}

/// Where the line ends that ends at most two bytes on.
fn line_end(data: &[u8], at: usize) -> usize {
    let blanks = data.get(at..).unwrap_or_default().iter().take(8).take_while(|c| matches!(c, b' ' | b'\t')).count();
    match (data.get(at + blanks), data.get(at + blanks + 1)) {
        (Some(b'\r'), Some(b'\n')) => at + blanks + 2,
        (Some(b'\r' | b'\n'), _) => at + blanks + 1,
        _ => at,
    }
}

#[cfg(test)]
mod tests;

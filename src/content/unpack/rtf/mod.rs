//! RTF: embedded objects and other binary data in it, and its text. Objects are read in the ways that programs differ in: whether text of
//! inner groups and escaped bytes belong to the data.

mod hex;
mod token;

use bytes::Bytes;
use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::ole2::add_object;
use hex::{Object, Run};
use token::{Token, Tokens};

pub(super) const CONTAINER: Container = Container { name: "rtf", opens: "objects, pictures and text of RTF", is, open };

/// Bytes at the start in which RTF is looked for: what stands before it is junk.
const HEAD: usize = 4096;
/// Groups inside each other that are told apart.
const MAX_DEPTH: usize = 10_000;
/// Destinations whose text nobody is shown.
const UNSHOWN: [&[u8]; 19] = [
    b"fonttbl",
    b"colortbl",
    b"stylesheet",
    b"info",
    b"pict",
    b"objdata",
    b"datastore",
    b"themedata",
    b"colorschememapping",
    b"listtable",
    b"listoverridetable",
    b"rsidtbl",
    b"revtbl",
    b"filetbl",
    b"latentstyles",
    b"xmlnstbl",
    b"objclass",
    b"objname",
    b"blipuid",
];

fn is(leaf: &Leaf) -> bool {
    let head = leaf.data.get(..leaf.data.len().min(HEAD)).unwrap_or_default();
    leaf.true_type == "rtf" || memmem::find(head, b"{\\rt").is_some() || memmem::find(leaf.data, b"\\objdata").is_some()
}

/// What holds within a group.
#[derive(Clone, Copy, Default)]
struct Group {
    /// Its text is not shown.
    unshown: bool,
    /// It began with `\*`.
    starred: bool,
    /// Its text is HTML that the RTF was made from.
    html: bool,
    /// Its text was made from HTML, and stands there as well.
    made: bool,
    /// Characters that stand behind a Unicode character for those who do not know it.
    skip: u8,
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    if !finds.look(data.len()) {
        return;
    }
    let start = data.get(..data.len().min(HEAD)).and_then(|head| memmem::find(head, b"{\\rt")).unwrap_or_default();
    let mut reader = Reader {
        groups: vec![Group { skip: 1, ..Group::default() }],
        finds,
        depth: 0,
        object: None,
        run: Run::default(),
        text: String::new(),
        html: false,
        ignored: 0,
    };
    for token in Tokens::new(data.get(start..).unwrap_or_default()) {
        if !reader.token(&token) {
            return;
        }
    }
    let Reader { object, mut run, text, html, .. } = reader;
    if object.is_none_or(|object| add_readings(object, finds))
        && run.end().is_none_or(|bytes| add_data(bytes, finds))
        && !text.trim().is_empty()
    {
        let name = if html { "body.html" } else { "text.txt" };
        finds.add_decoded(Some(name.to_owned()), text.into_bytes());
    }
}

struct Reader<'f, 'b> {
    groups: Vec<Group>,
    finds: &'f mut Finds<'b>,
    /// Groups open, those not told apart included.
    depth: usize,
    /// The object whose data is being read.
    object: Option<Object>,
    /// Hexadecimal digits that stand anywhere else.
    run: Run,
    text: String,
    html: bool,
    /// Characters still to be skipped behind a Unicode character.
    ignored: u8,
}

impl Reader<'_, '_> {
    fn group(&self) -> Group {
        self.groups.last().copied().unwrap_or_default()
    }

    /// Takes one token; false where a limit is reached.
    fn token(&mut self, token: &Token<'_>) -> bool {
        match token {
            Token::Open => {
                self.depth += 1;
                if self.groups.len() < MAX_DEPTH {
                    let group = Group { starred: false, ..self.group() };
                    self.groups.push(group);
                }
            }
            Token::Close => return self.close(),
            Token::Word(word, number) => return self.word(word, *number),
            Token::Symbol(b'*') => {
                if let Some(group) = self.groups.last_mut() {
                    (group.starred, group.unshown) = (true, true);
                }
            }
            Token::Symbol(symbol) => match symbol {
                b'~' => self.show(' '),
                b'_' => self.show('-'),
                b'\r' | b'\n' => self.show('\n'),
                b'{' | b'}' | b'\\' => self.show(char::from(*symbol)),
                _ => {}
            },
            Token::Escaped(byte, digits) => {
                if let Some(object) = &mut self.object {
                    object.escaped(digits);
                }
                if self.ignored > 0 {
                    self.ignored -= 1;
                } else {
                    self.show(windows_1252(*byte));
                }
            }
            Token::Binary(bytes) => match &mut self.object {
                Some(object) => object.raw(bytes, self.depth),
                None => return self.finds.add_decoded(None, bytes.to_vec()),
            },
            Token::Text(bytes) => return self.plain(bytes),
        }
        true
    }

    fn close(&mut self) -> bool {
        if self.groups.len() > 1 && self.depth < MAX_DEPTH {
            self.groups.pop();
        }
        self.depth = self.depth.saturating_sub(1);
        match self.object.take() {
            Some(object) if object.depth > self.depth => add_readings(object, self.finds),
            object => {
                self.object = object;
                true
            }
        }
    }

    fn word(&mut self, word: &[u8], number: Option<i64>) -> bool {
        let starred = self.group().starred;
        if let Some(object) = &mut self.object {
            object.word(number, starred && self.depth > object.depth, self.depth);
        }
        let unshown = UNSHOWN.contains(&word);
        match word {
            b"objdata" => {
                let before = self.object.replace(Object::new(self.depth, number));
                if before.is_some_and(|before| !add_readings(before, self.finds)) {
                    return false;
                }
            }
            b"par" | b"line" | b"row" | b"sect" | b"page" => self.show('\n'),
            b"tab" | b"cell" => self.show('\t'),
            b"u" => {
                let code = number.and_then(|n| u32::try_from(n.rem_euclid(0x1_0000)).ok()).and_then(char::from_u32);
                self.show(code.unwrap_or(char::REPLACEMENT_CHARACTER));
                self.ignored = self.group().skip;
            }
            b"fromhtml" => self.html = true,
            _ => {}
        }
        let Some(group) = self.groups.last_mut() else { return true };
        match word {
            b"uc" => group.skip = number.and_then(|n| u8::try_from(n).ok()).unwrap_or(1),
            b"htmltag" => (group.html, group.unshown) = (true, false),
            b"htmlrtf" => group.made = number != Some(0),
            _ => group.unshown |= unshown,
        }
        true
    }

    fn plain(&mut self, bytes: &[u8]) -> bool {
        let starred = self.group().starred;
        if let Some(object) = &mut self.object {
            object.text(bytes, self.depth, starred);
            return true;
        }
        for byte in bytes {
            if let Some(data) = self.run.push(*byte)
                && !add_data(data, self.finds)
            {
                return false;
            }
            if matches!(byte, b'\r' | b'\n' | 0) {
                continue;
            }
            if self.ignored > 0 {
                self.ignored -= 1;
            } else {
                self.show(windows_1252(*byte));
            }
        }
        true
    }

    fn show(&mut self, c: char) {
        let group = self.group();
        let twice = self.html && group.made && !group.html;
        if !group.unshown && !twice {
            self.text.push(c);
        }
    }
}

fn windows_1252(byte: u8) -> char {
    if byte.is_ascii() {
        return char::from(byte);
    }
    super::super::mime::charset::decode(&[byte], Some("windows-1252")).chars().next().unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Hands out an object as each way of reading has it; false where a limit is reached.
fn add_readings(object: Object, finds: &mut Finds) -> bool {
    object.readings().into_iter().all(|bytes| add_data(bytes, finds))
}

/// Hands out binary data: whole, and what it holds if it is an object.
fn add_data(bytes: Vec<u8>, finds: &mut Finds) -> bool {
    let bytes = Bytes::from(bytes);
    finds.decoded(bytes.len()) && finds.add(Item::Blob { name: None, bytes: bytes.clone() }) && add_object(&bytes, finds)
}

#[cfg(test)]
mod tests;

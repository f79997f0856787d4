//! Hexadecimal data in RTF: of an object, in the ways it may be read, and wherever else it stands.

/// Digits from which a run that nothing announces is taken for data.
const LEAST_RUN: usize = 64;

/// Digits become bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Hex {
    bytes: Vec<u8>,
    half: Option<u8>,
}

impl Hex {
    /// Takes the digits among these characters.
    fn push(&mut self, text: &[u8]) {
        for digit in text.iter().filter_map(|c| value(*c)) {
            match self.half.take() {
                Some(high) => self.bytes.push(high << 4 | digit),
                None => self.half = Some(digit),
            }
        }
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.half = None;
        self.bytes.extend_from_slice(bytes);
    }
}

fn value(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

/// The data of an object.
pub(super) struct Object {
    /// The depth of its group.
    pub depth: usize,
    /// With the text of all inner groups.
    all: Hex,
    /// Without inner groups.
    own: Hex,
    /// Without inner groups that may be ignored.
    known: Hex,
    /// With escaped bytes and the numbers of control words.
    loose: Hex,
    /// The depth of an inner group that may be ignored.
    starred: Option<usize>,
}

impl Object {
    /// An object whose group is at `depth`; `number` stands behind the control word that begins it.
    pub(super) fn new(depth: usize, number: Option<i64>) -> Self {
        let empty = Hex::default;
        let mut object = Self { depth, all: empty(), own: empty(), known: empty(), loose: empty(), starred: None };
        object.number(number);
        object
    }

    fn number(&mut self, number: Option<i64>) {
        if let Some(number) = number {
            self.loose.push(number.unsigned_abs().to_string().as_bytes());
        }
    }

    /// A control word within it.
    pub(super) fn word(&mut self, number: Option<i64>, starred: bool, depth: usize) {
        self.number(number);
        if starred && self.starred.is_none() {
            self.starred = Some(depth);
        }
    }

    /// `\'hh` within it.
    pub(super) fn escaped(&mut self, digits: &[u8]) {
        self.loose.push(digits);
    }

    /// Text within it.
    pub(super) fn text(&mut self, text: &[u8], depth: usize, starred: bool) {
        self.starred = self.starred.filter(|at| depth >= *at);
        self.all.push(text);
        self.loose.push(text);
        if depth <= self.depth {
            self.own.push(text);
        }
        if self.starred.is_none() && !(starred && depth > self.depth) {
            self.known.push(text);
        }
    }

    /// Raw bytes within it.
    pub(super) fn raw(&mut self, bytes: &[u8], depth: usize) {
        self.all.raw(bytes);
        self.loose.raw(bytes);
        self.known.raw(bytes);
        if depth <= self.depth {
            self.own.raw(bytes);
        }
    }

    /// The different readings that there are.
    pub(super) fn readings(self) -> Vec<Vec<u8>> {
        let mut readings: Vec<Vec<u8>> = Vec::new();
        for hex in [self.all, self.own, self.known, self.loose] {
            if !hex.bytes.is_empty() && !readings.contains(&hex.bytes) {
                readings.push(hex.bytes);
            }
        }
        readings
    }
}

/// Digits that follow one another with nothing but blanks between them.
#[derive(Default)]
pub(super) struct Run {
    hex: Hex,
}

impl Run {
    /// Takes a character; hands out the data that it ends.
    pub(super) fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        if value(byte).is_some() {
            self.hex.push(&[byte]);
            return None;
        }
        if byte.is_ascii_whitespace() { None } else { self.end() }
    }

    /// The data of the run, if it is long enough to be some; begins another.
    pub(super) fn end(&mut self) -> Option<Vec<u8>> {
        let bytes = std::mem::take(&mut self.hex).bytes;
        (bytes.len() * 2 >= LEAST_RUN).then_some(bytes)
    }
}

//! The tokens of RTF (Rich Text Format Specification 1.9.1, section "RTF Syntax").

/// A piece of RTF.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A group begins.
    Open,
    /// A group ends.
    Close,
    /// A control word, and the number behind it.
    Word(&'a [u8], Option<i64>),
    /// A control symbol.
    Symbol(u8),
    /// A byte as `\'hh`, and its two characters.
    Escaped(u8, &'a [u8]),
    /// Bytes that stand raw.
    Binary(&'a [u8]),
    /// Text up to the next of these.
    Text(&'a [u8]),
}

/// All tokens of a text.
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn take(&mut self, n: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(n.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn length_of(&self, of: impl Fn(&u8) -> bool) -> usize {
        self.rest.iter().take_while(|c| of(c)).count()
    }

    fn control(&mut self) -> Option<Token<'a>> {
        let letters = self.length_of(u8::is_ascii_alphabetic);
        if letters == 0 {
            let symbol = *self.take(1).first()?;
            if symbol != b'\'' {
                return Some(Token::Symbol(symbol));
            }
            let digits = self.take(2);
            let value = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
            return Some(Token::Escaped(value.unwrap_or(b'?'), digits));
        }
        let word = self.take(letters);
        let negative = self.rest.first() == Some(&b'-') && self.rest.get(1).is_some_and(u8::is_ascii_digit);
        self.take(usize::from(negative));
        let digits = self.length_of(u8::is_ascii_digit);
        let digits = self.take(digits);
        let value = digits.iter().take(18).fold(0i64, |n, c| n * 10 + i64::from(c - b'0'));
        let number = (!digits.is_empty()).then_some(if negative { -value } else { value });
        self.take(usize::from(self.rest.first() == Some(&b' ')));
        if word == b"bin" && number.is_some_and(|n| n > 0) {
            return Some(Token::Binary(self.take(usize::try_from(number?).unwrap_or(usize::MAX))));
        }
        Some(Token::Word(word, number))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        match self.rest.first()? {
            b'{' => {
                self.take(1);
                Some(Token::Open)
            }
            b'}' => {
                self.take(1);
                Some(Token::Close)
            }
            b'\\' => {
                self.take(1);
                self.control()
            }
            _ => {
                let length = memchr::memchr3(b'{', b'}', b'\\', self.rest).unwrap_or(self.rest.len());
                Some(Token::Text(self.take(length)))
            }
        }
    }
}

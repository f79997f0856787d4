//! Replies to the peer: code, enhanced code (RFC 3463) and a bland text. The reason behind one goes to the log, never here.

use std::fmt;

/// One reply (RFC 5321 section 4.2); written with CRLF line ends, continuation lines with `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Three digits.
    pub code: u16,
    /// Class, subject, detail; `None` where RFC 2034 has none (greeting, EHLO, 354).
    pub enhanced: Option<(u8, u16, u16)>,
    /// The text; several lines are separated by `\n`. ASCII without other control characters.
    pub text: String,
}

impl Reply {
    /// A reply with an enhanced code.
    pub fn new(code: u16, enhanced: (u8, u16, u16), text: impl Into<String>) -> Self {
        Self { code, enhanced: Some(enhanced), text: text.into() }
    }

    /// A reply without one.
    pub fn bare(code: u16, text: impl Into<String>) -> Self {
        Self { code, enhanced: None, text: text.into() }
    }

    /// 2yz or 3yz.
    pub fn is_positive(&self) -> bool {
        self.code < 400
    }

    /// 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code >= 500
    }

    /// Appends the bytes that go over the wire.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        use std::io::Write;
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { '-' } else { ' ' };
            let _infallible = match self.enhanced {
                Some((class, subject, detail)) => write!(out, "{}{mark}{class}.{subject}.{detail} {line}\r\n", self.code),
                None => write!(out, "{}{mark}{line}\r\n", self.code),
            };
        }
    }
}

impl fmt::Display for Reply {
    /// One line, for logs and records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.enhanced {
            Some((class, subject, detail)) => write!(f, "{} {class}.{subject}.{detail} {}", self.code, self.text.replace('\n', " ")),
            None => write!(f, "{} {}", self.code, self.text.replace('\n', " ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_the_wire() {
        let mut out = Vec::new();
        Reply::new(250, (2, 0, 0), "one\ntwo").write_to(&mut out);
        Reply::bare(354, "go").write_to(&mut out);
        assert_eq!(out, b"250-2.0.0 one\r\n250 2.0.0 two\r\n354 go\r\n");
    }
}

//! Held mail as harmless plain text: nothing that a terminal, a browser or a mail program would act on.

/// `text` without anything active: line ends and tabs stay, every other control character becomes its visible picture (ESC is `␛`),
/// direction changes and invisible characters become `\u{FFFD}`, and links are defanged ([`defang`]).
pub fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\t' => out.push(c),
            '\0'..='\x1f' => out.push(char::from_u32(0x2400 + c as u32).unwrap_or('\u{FFFD}')),
            '\x7f' => out.push('\u{2421}'),
            c if c.is_control() || is_invisible(c) => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    defang(&out)
}

/// The same on one line: for header values and names.
pub fn harmless_line(text: &str) -> String {
    harmless(&text.replace(['\r', '\n', '\t'], " "))
}

/// Characters that change the direction of text or are not seen at all: they disguise what is written.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
}

/// Links made unclickable: `http` becomes `hxxp`, `ftp` becomes `fxp`, any other `scheme://` becomes `scheme[:]//`, and `www.` becomes `www[.]`.
pub fn defang(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = (&rest[..at], &rest[at + 3..]);
        let (kept, scheme) = before.split_at(before.len() - scheme_length(before));
        out.push_str(kept);
        match scheme.to_ascii_lowercase().as_str() {
            "http" => out.push_str("hxxp://"),
            "https" => out.push_str("hxxps://"),
            "ftp" => out.push_str("fxp://"),
            _ => {
                out.push_str(scheme);
                out.push_str("[:]//");
            }
        }
        rest = after;
    }
    out.push_str(rest);
    without_www(out)
}

/// How many bytes at the end of `text` are a URI scheme (RFC 3986 section 3.1; all of them ASCII).
fn scheme_length(text: &str) -> usize {
    text.bytes().rev().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')).count()
}

fn without_www(text: String) -> String {
    let lower = text.to_ascii_lowercase();
    if !lower.contains("www.") {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut done = 0;
    for (at, _) in lower.match_indices("www.") {
        out.push_str(&text[done..at + 3]);
        out.push_str("[.]");
        done = at + 4;
    }
    out.push_str(&text[done..]);
    out
}

/// The first `most` bytes of `text`, cut at a character, and whether something was cut.
pub fn cut(text: &str, most: usize) -> (&str, bool) {
    if text.len() <= most {
        return (text, false);
    }
    let end = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    (&text[..end], true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_active_is_left() {
        for (text, want) in [
            ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
            ("\u{1b}]0;owned\u{7}\u{1b}[2Jx", "␛]0;owned␇␛[2Jx"),
            ("c1 \u{9b}31m", "c1 \u{FFFD}31m"),
            ("over\rwrite", "over␍write"),
            ("invoice\u{202E}fdp.exe", "invoice\u{FFFD}fdp.exe"),
            ("go to http://evil.example/a", "go to hxxp://evil.example/a"),
            ("HTTPS://Evil.example", "hxxps://Evil.example"),
            ("(https://a.example)(ftp://b.example)", "(hxxps://a.example)(fxp://b.example)"),
            ("smb://c.example file:///etc", "smb[:]//c.example file[:]///etc"),
            ("://x", "[:]//x"),
            ("see WWW.evil.example, www.b.example", "see WWW[.]evil.example, www[.]b.example"),
            ("http\u{200B}://x.example", "http\u{FFFD}[:]//x.example"),
            ("grüße://x 漢http://y", "grüße[:]//x 漢hxxp://y"),
            ("", ""),
        ] {
            assert_eq!(harmless(text), want, "{text:?}");
        }
        assert_eq!(harmless_line("a\r\nb"), "a  b");
    }

    #[test]
    fn any_bytes_come_out_harmless() {
        let wild: String = (0..0x3000).filter_map(char::from_u32).collect();
        let tame = harmless(&wild);
        assert!(tame.chars().all(|c| c == '\n' || c == '\t' || !c.is_control()));
        for at in 0..wild.len() {
            if let Some(part) = wild.get(at..) {
                let _ = cut(part, 10);
            }
        }
    }

    #[test]
    fn cuts_at_a_character() {
        assert_eq!(cut("äöü", 3), ("ä", true));
        assert_eq!(cut("abc", 3), ("abc", false));
        assert_eq!(cut("ä", 0), ("", true));
    }
}

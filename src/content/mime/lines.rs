//! What the lines of the raw message are like: long ones, bare CR and LF, NUL, 8-bit header bytes. Notes, since real mail has all of them.

use memchr::{memchr, memchr_iter};

use super::super::find::Problem;

/// The longest line of RFC 5322 section 2.1.1, without its end.
const LONGEST: usize = 998;

/// Looks at all lines of `raw`, whose body starts at `body`.
pub(crate) fn problems(raw: &[u8], body: usize) -> Vec<Problem> {
    let mut all = Vec::new();
    let (mut start, mut long, mut bare_lf, mut ends) = (0, 0usize, 0usize, 0usize);
    for at in memchr_iter(b'\n', raw) {
        let with_cr = at > 0 && raw.get(at - 1) == Some(&b'\r');
        long = long.max(at - start);
        bare_lf += usize::from(!with_cr);
        ends += usize::from(with_cr);
        start = at + 1;
    }
    long = long.max(raw.len() - start);
    // As many CR as CRLF: none stands alone.
    let bare_cr = memchr_iter(b'\r', raw).count().saturating_sub(ends);
    if long > LONGEST + 1 {
        all.push(Problem::note("mime.long_line", "A line longer than 998 bytes", format!("{long} bytes")));
    }
    if bare_lf > 0 {
        all.push(Problem::note("mime.bare_lf", "Lines that end in a bare LF", format!("{bare_lf} lines")));
    }
    if bare_cr > 0 {
        all.push(Problem::note("mime.bare_cr", "A CR without LF", format!("{bare_cr} times")));
    }
    if memchr(0, raw).is_some() {
        all.push(Problem::note("mime.nul", "A NUL byte in the message", ""));
    }
    let header = raw.get(..body).unwrap_or(raw);
    if !header.is_ascii() {
        all.push(Problem::note("mime.header_8bit", "Bytes above 127 in the header", ""));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes() {
        let long = format!("{}\r\n", "x".repeat(999));
        let rows: &[(&str, &[&str])] = &[
            ("", &[]),
            ("A: b\r\n\r\nc\r\n", &[]),
            ("A: b\n", &["mime.bare_lf"]),
            ("A: b\rc\r\n", &["mime.bare_cr"]),
            ("A: \0\r\n", &["mime.nul"]),
            ("A: ü\r\n", &["mime.header_8bit"]),
            (&long, &["mime.long_line"]),
        ];
        for (raw, want) in rows {
            let codes: Vec<&str> = problems(raw.as_bytes(), raw.len()).iter().map(|p| p.code).collect();
            assert_eq!(codes, *want, "{raw:?}");
        }
    }
}

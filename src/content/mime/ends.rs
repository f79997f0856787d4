//! A message with other line ends: readers differ on a CR that stands alone, and on vertical tabs, form feeds and the line ends of Unicode.

/// How much of a message is its header here, in bytes: any odd line end in it counts.
const HEADER: usize = 16_384;
/// How far a line is looked at, in bytes.
const LINE: usize = 1_000;

/// The message as other readers see its lines; empty where no odd line end shapes it.
pub(crate) fn variants(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    let bare = |at: &usize| bytes.get(at + 1) != Some(&b'\n');
    let alone: Vec<usize> = memchr::memchr_iter(b'\r', bytes).filter(bare).collect();
    let header = header_end(bytes);
    let matters = |at: &usize, len: usize| *at < header || shapes(bytes, *at, len);
    if alone.iter().any(|at| matters(at, 1)) {
        all.push(("a bare CR ends a line", replaced(bytes, &alone, 1, b"\r\n")));
        all.push(("a bare CR is nothing", replaced(bytes, &alone, 1, b"")));
    }
    let tabs: Vec<usize> = memchr::memchr3_iter(0x0b, 0x0c, 0x1e, bytes).collect();
    if tabs.iter().any(|at| matters(at, 1)) {
        all.push(("vertical tabs and form feeds end a line", replaced(bytes, &tabs, 1, b"\r\n")));
    }
    for (label, end) in [("NEL ends a line", &b"\xc2\x85"[..]), ("a line separator ends a line", b"\xe2\x80\xa8")] {
        let places: Vec<usize> = memchr::memmem::find_iter(bytes, end).collect();
        if places.iter().any(|at| shapes(bytes, *at, end.len())) {
            all.push((label, replaced(bytes, &places, end.len(), b"\r\n")));
        }
    }
    all
}

/// Where the first empty line stands, looked for within bounds.
fn header_end(bytes: &[u8]) -> usize {
    let start = bytes.get(..bytes.len().min(HEADER)).unwrap_or_default();
    memchr::memmem::find(start, b"\n\r\n").or_else(|| memchr::memmem::find(start, b"\n\n")).unwrap_or(start.len())
}

/// Whether a boundary, a field or an empty line begins behind this place, or it stands in what could be a boundary line.
fn shapes(bytes: &[u8], at: usize, len: usize) -> bool {
    let rest = bytes.get(at + len..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(LINE)).unwrap_or_default();
    let next = rest.trim_ascii_start();
    if next.len() < rest.len() && matches!(rest.first(), Some(b'\r' | b'\n')) {
        return true;
    }
    let before = bytes.get(at.saturating_sub(LINE)..at).unwrap_or_default();
    let line = memchr::memrchr(b'\n', before).map_or(before, |n| before.get(n + 1..).unwrap_or_default());
    line.starts_with(b"--") || line.is_empty() || next.starts_with(b"--") || super::loose::starts_field(next)
}

fn replaced(bytes: &[u8], places: &[usize], len: usize, with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + places.len() * with.len());
    let mut from = 0;
    for at in places {
        out.extend_from_slice(bytes.get(from..*at).unwrap_or_default());
        out.extend_from_slice(with);
        from = at + len;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        let rows: &[(&str, &[&str])] = &[
            ("A: b\r\n\r\nx\r\n", &[]),
            ("A: b\n\nx\n", &[]),
            ("A: b\rC: d\r\n\r\nx", &["A: b\r\nC: d\r\n\r\nx", "A: bC: d\r\n\r\nx"]),
            ("A: b\r\n\r\n10%\r20%\r\n", &[]),
            ("A: b\r\n\r\nx\r--B\r\n", &["A: b\r\n\r\nx\r\n--B\r\n", "A: b\r\n\r\nx--B\r\n"]),
            ("A: b\r\n\r\nx\u{c}y", &[]),
            ("A: b\r\n\r\nx\u{c}--B\r\n", &["A: b\r\n\r\nx\r\n--B\r\n"]),
            ("A: b\r\n\r\nx\u{85}--B\r\n", &["A: b\r\n\r\nx\r\n--B\r\n"]),
        ];
        for (text, want) in rows {
            let got: Vec<String> = variants(text.as_bytes()).into_iter().map(|(_, v)| String::from_utf8(v).unwrap()).collect();
            assert_eq!(got, *want, "{text:?}");
            for end in 0..text.len() {
                variants(&text.as_bytes()[..end]);
            }
        }
    }
}

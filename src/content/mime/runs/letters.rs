//! Long runs of base64's letters, over all that writers put between the pieces of one value.

use super::super::base64::is_letter;

/// Letters in one piece from which a run is looked for: shorter pieces may follow it.
const PIECE: usize = 8;
/// Letters in all from which a run counts.
const LEAST: usize = 64;
/// How far a tag goes on, in bytes.
const TAG: usize = 200;
/// How far back an address is looked for that a run belongs to.
const ADDRESS: usize = 512;
/// From so many letters on a run is no token of an address.
const MAX_TOKEN: usize = 2048;
/// Bytes looked at between two questions for the time.
const STRIDE: usize = 64 * 1024;

/// A run: its letters, with a line end where a piece ended, and where in the text it ends.
pub(super) struct Run {
    pub text: Vec<u8>,
    pub end: usize,
}

/// What [`next`] came to.
pub(super) enum Found {
    Run(Run),
    /// No more runs.
    End,
    /// There was no time to go on.
    Late,
}

/// The next run at or after `from`. Looks at a few bytes of each 64 that are words, and at every eighth one of what else is no run. Asks
/// `go_on` about every 64 KiB that it has looked at. `tags`: whether there may be any.
pub(super) fn next(data: &[u8], from: usize, tags: bool, go_on: &mut dyn FnMut() -> bool) -> Found {
    let mut floor = from;
    let mut at = from + PIECE - 1;
    // Up to here there may be a run.
    let mut known = from;
    let mut asked = at;
    // Bytes looked at again and again.
    let mut looked = 0;
    loop {
        if at.saturating_sub(asked) + looked > STRIDE {
            if !go_on() {
                return Found::Late;
            }
            (asked, looked) = (at, 0);
        }
        if floor >= known {
            let Some(behind) = behind_words(data, floor, floor.saturating_add(STRIDE), tags) else { return Found::End };
            floor = behind;
            at = at.max(floor + PIECE - 1);
            known = floor + LEAST;
            if at.saturating_sub(asked) > STRIDE {
                continue;
            }
        }
        let Some(c) = data.get(at) else { return Found::End };
        if !is_letter(*c) {
            floor = at + 1;
            at += PIECE;
            continue;
        }
        let before = data.get(floor..at).unwrap_or_default();
        let start = at - before.iter().rev().take_while(|c| is_letter(**c)).count();
        let end = start + piece(data.get(start..).unwrap_or_default());
        if end < start + PIECE {
            floor = end.max(start + 1);
            at = floor + PIECE - 1;
            continue;
        }
        // Nearly all pieces are words: nothing follows them that a run would go over.
        if end - start < LEAST && data.get(end..).and_then(joint).is_none() {
            floor = end;
            at = floor + PIECE - 1;
            continue;
        }
        let (text, stop) = collect(data, start, end);
        looked += text.len();
        let letters = text.iter().filter(|c| **c != b'\n').count();
        // A token in an address, or the name in one of mail.
        let could_be = (LEAST..MAX_TOKEN).contains(&letters);
        let address = could_be && (is_address(data, start) || data.get(stop) == Some(&b'@'));
        if letters >= LEAST && !address {
            return Found::Run(Run { text, end: stop });
        }
        // What follows the first piece of an address may be a run of its own.
        floor = if address { end } else { stop };
        at = floor + PIECE - 1;
    }
}

/// The first place from `floor` on where a run may start, `None` where there is no room for one. A run goes over no blank between two words,
/// so where such blanks stand nearer to each other than a run is long there is none. Looks no further than `most`.
fn behind_words(data: &[u8], mut floor: usize, most: usize, tags: bool) -> Option<usize> {
    loop {
        if floor >= most {
            return Some(floor);
        }
        let room = data.get(floor..floor.checked_add(LEAST)?)?;
        let mut places = (2..LEAST - 1).rev();
        match places.find(|at| parts(room, *at) && !(tags && is_in_tag(data, floor + at))) {
            Some(at) => floor += at + 1,
            None => return Some(floor),
        }
    }
}

/// Whether no run goes over what stands at `at`: a mark that is neither a letter nor part of any joint outside of tags, or a blank or dot
/// between two words. Two letters before it are no escape of a line end (`\n`, `%0a`, `&#10`, `&#xa`), over which a run goes on.
fn parts(text: &[u8], at: usize) -> bool {
    let c = text.get(at).copied().unwrap_or_default();
    if PARTS[c as usize] {
        return true;
    }
    let letter = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphabetic);
    matches!(c, b' ' | b'.' | b',')
        && letter(at - 1)
        && letter(at - 2)
        && !matches!(text.get(at - 2), Some(b'x' | b'X'))
        && text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
}

const fn parting() -> [bool; 256] {
    let mut table = [false; 256];
    let mut c = 0x80;
    while c < 256 {
        table[c] = true;
        c += 1;
    }
    let marks = b"!()*:?@[]^{|}~$";
    let mut i = 0;
    while i < marks.len() {
        table[marks[i] as usize] = true;
        i += 1;
    }
    table
}

const PARTS: [bool; 256] = parting();

/// Whether what stands here may be within a tag, over which a run may go on.
fn is_in_tag(data: &[u8], at: usize) -> bool {
    let mut before = data.get(at.saturating_sub(TAG)..at).unwrap_or_default();
    while let Some(last) = memchr::memrchr2(b'<', b'>', before) {
        let tag = before.get(last..).unwrap_or_default();
        if tag.starts_with(b">") {
            return false;
        }
        if matches!(tag.get(1), None | Some(b'/' | b'b' | b'B' | b'w' | b'W' | b'p' | b'P' | b'd' | b'D' | b's' | b'S' | b'c' | b'C')) {
            return true;
        }
        before = before.get(..last).unwrap_or_default();
    }
    false
}

/// The length of a piece: letters, but no rules of dashes.
fn piece(text: &[u8]) -> usize {
    let mut same = 0;
    let mut last = 0;
    for (at, c) in text.iter().enumerate() {
        if !is_letter(*c) {
            return at;
        }
        same = if *c == last && matches!(c, b'-' | b'_') { same + 1 } else { 0 };
        last = *c;
        if same == 2 {
            // A rule alone is stepped over in pieces too short to count.
            return if at == 2 { text.iter().take(PIECE - 1).take_while(|d| *d == c).count() } else { at - 2 };
        }
    }
    text.len()
}

/// The pieces from `start` on, the first one up to `end`; and where the last one ends.
fn collect(data: &[u8], start: usize, end: usize) -> (Vec<u8>, usize) {
    let mut text = data.get(start..end).unwrap_or_default().to_vec();
    let mut stop = end;
    while let Some((skip, letter)) = data.get(stop..).and_then(joint) {
        let next = stop + skip;
        let length = piece(data.get(next..).unwrap_or_default());
        match letter {
            Some(letter) => text.push(letter),
            None if length == 0 => break,
            None => text.push(b'\n'),
        }
        text.extend_from_slice(data.get(next..next + length).unwrap_or_default());
        stop = next + length;
    }
    (text, stop)
}

/// Marks that stand for one letter, or for a line end (`\n`).
const MARKS: [(&[u8], u8); 27] = [
    (b"\\/", b'/'),
    (b"\\u002b", b'+'),
    (b"\\u002f", b'/'),
    (b"\\u003d", b'='),
    (b"\\u000a", b'\n'),
    (b"\\u000d", b'\n'),
    (b"\\x2b", b'+'),
    (b"\\x2f", b'/'),
    (b"\\x3d", b'='),
    (b"\\n", b'\n'),
    (b"\\r", b'\n'),
    (b"\\t", b'\n'),
    (b"%2b", b'+'),
    (b"%2f", b'/'),
    (b"%3d", b'='),
    (b"%0a", b'\n'),
    (b"%0d", b'\n'),
    (b"=3d", b'='),
    (b"=0a", b'\n'),
    (b"=0d", b'\n'),
    (b"&plus;", b'+'),
    (b"&sol;", b'/'),
    (b"&equals;", b'='),
    (b"&newline;", b'\n'),
    (b"<wbr>", b'\n'),
    (b"<br>", b'\n'),
    (b"=\r\n", b'\n'),
];

/// Elements that end a line or nothing, in whose midst a value goes on.
const TAGS: [&[u8]; 7] = [b"br", b"wbr", b"p", b"div", b"span", b"pre", b"code"];

/// What may stand between two pieces of one value, where `rest` starts with it: its length, and the letter it stands for, if any.
fn joint(rest: &[u8]) -> Option<(usize, Option<u8>)> {
    let first = *rest.first()?;
    match first {
        b'"' | b'\'' | b'`' => literal(rest).map(|length| (length, None)),
        b'\\' | b'%' | b'&' | b'=' | b'<' | b' ' | b'\t' | b'\r' | b'\n' => {
            let mut at = 0;
            // Of a line's end, blanks, marks of a reply, and escapes of line ends, any number.
            let mut ended = false;
            loop {
                let here = rest.get(at..).unwrap_or_default();
                match here {
                    [b'\r' | b'\n', ..] => (at, ended) = (at + 1, true),
                    [b' ' | b'\t', ..] => at += 1,
                    [b'>', ..] if ended => at += 1,
                    [b'\\', b'\r' | b'\n', ..] => at += 1,
                    [b'"' | b'\'' | b'`', ..] if at > 0 && ended => return literal(here).map(|length| (at + length, None)),
                    _ => match mark(here) {
                        Some((length, b'\n')) => (at, ended) = (at + length, true),
                        Some((length, letter)) => return (ended || at == 0).then_some((at + length, Some(letter))),
                        None => break,
                    },
                }
            }
            (ended && at > 0).then_some((at, None))
        }
        _ => None,
    }
}

fn mark(text: &[u8]) -> Option<(usize, u8)> {
    if !matches!(text.first()?, b'\\' | b'%' | b'&' | b'=' | b'<') {
        return None;
    }
    // Nearly all of what starts so is none.
    let second = text.get(1).copied().unwrap_or_default().to_ascii_lowercase();
    let may_be = match text.first() {
        Some(b'\\') => matches!(second, b'/' | b'u' | b'x' | b'n' | b'r' | b't'),
        Some(b'%') => matches!(second, b'0' | b'2' | b'3'),
        Some(b'=') => matches!(second, b'0' | b'3' | b'\r'),
        Some(b'&') => matches!(second, b'p' | b's' | b'e' | b'n'),
        _ => matches!(second, b'w' | b'b'),
    };
    if may_be
        && let Some((mark, stands)) =
            MARKS.iter().find(|(mark, _)| text.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark)))
    {
        return Some((mark.len(), *stands));
    }
    match text {
        [b'=', b'\n', ..] => Some((2, b'\n')),
        [b'=', ..] => Some((1, b'=')),
        [b'&', b'#', ..] => super::super::escapes::numeric(text).and_then(|(c, length)| match c {
            10 | 13 => Some((length, b'\n')),
            0x2b | 0x2f | 0x3d => Some((length, c as u8)),
            _ => None,
        }),
        [b'<', tag @ ..] => {
            let tag = tag.get(..tag.len().min(TAG))?;
            let end = memchr::memchr(b'>', tag)?;
            let name = tag.strip_prefix(b"/").unwrap_or(tag);
            let name = name.get(..name.iter().take_while(|c| c.is_ascii_alphanumeric()).count())?;
            TAGS.iter().any(|known| known.eq_ignore_ascii_case(name)).then_some((end + 2, b'\n'))
        }
        _ => None,
    }
}

/// From the end of one string literal to the start of the next: `" + "`, `' . '`, `" & _`, two literals side by side.
fn literal(rest: &[u8]) -> Option<usize> {
    let quote = *rest.first()?;
    let blanks = |at: usize| at + super::super::escapes::blanks(rest.get(at..).unwrap_or_default());
    let mut at = blanks(1);
    if matches!(rest.get(at), Some(b'+' | b'.' | b',' | b'&')) {
        at = blanks(at + 1);
    }
    if rest.get(at) == Some(&b'_') {
        at = blanks(at + 1);
    }
    (at > 1 && rest.get(at) == Some(&quote)).then_some(at + 1)
}

/// Whether what starts at `start` is part of a link, whose tokens nobody decodes.
fn is_address(data: &[u8], start: usize) -> bool {
    let before = data.get(start.saturating_sub(ADDRESS)..start).unwrap_or_default();
    let ends = |c: &u8| c.is_ascii_whitespace() || matches!(c, b'"' | b'\'' | b'<' | b'>' | b'(' | b')' | 0);
    let from = before.iter().rposition(ends).map_or(0, |at| at + 1);
    memchr::memmem::find(before.get(from..).unwrap_or_default(), b"://").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joints() {
        type Row = (&'static str, Option<(usize, Option<u8>)>);
        let rows: &[Row] = &[
            ("", None),
            (" x", None),
            ("\r\n x", Some((3, None))),
            ("\n> > x", Some((5, None))),
            ("\\\nx", Some((2, None))),
            ("\\r\\nx", Some((4, None))),
            ("\\/x", Some((2, Some(b'/')))),
            ("\"+\"x", Some((3, None))),
            ("\" +\n \"x", Some((6, None))),
            ("' & _\n'x", Some((7, None))),
            ("\" + x", None),
            ("\",\"x", Some((3, None))),
            ("%2Bx", Some((3, Some(b'+')))),
            ("%41x", None),
            ("&#10;x", Some((5, None))),
            ("&#x2b;x", Some((6, Some(b'+')))),
            ("=\r\nx", Some((3, None))),
            ("=x", Some((1, Some(b'=')))),
            ("<br />\nx", Some((7, None))),
            ("<b>x", None),
            ("</b>x", None),
        ];
        for (text, want) in rows {
            assert_eq!(joint(text.as_bytes()), *want, "{text:?}");
        }
    }

    #[test]
    fn words_around_a_run_are_stepped_over_and_nothing_else() {
        let (a, b) = ("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNk", "ZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3");
        let words = "Some words, that stand (here) before it: and so on. So they do <i title=\"one two\">always</i> and more, ".repeat(2);
        let tags = ["<span class=\"one two\" style=\"color: red\">", "<p <b one two (three)>", "</div one two>"];
        let escapes = ["", "\r\n", "\\n ", "\\n <br>", "%0a ", "&#10 ", "&#xa ", "&newline; ", "' & _\r\n '", "\n> > "];
        for joint in tags.into_iter().chain(escapes) {
            for pad in 0..words.len() {
                let text = format!("{} {a}{joint}{b} and more words follow it here.", &words[..pad]);
                let Found::Run(run) = next(text.as_bytes(), 0, true, &mut || true) else { panic!("no run in {text:?}") };
                let letters: Vec<u8> = run.text.into_iter().filter(|c| *c != b'\n').collect();
                assert_eq!(letters, [a, b].concat().into_bytes(), "{text:?}");
            }
        }
        assert!(matches!(next(words.repeat(20).as_bytes(), 0, true, &mut || true), Found::End));
    }

    #[test]
    fn rules_are_no_letters() {
        for rule in ["---------------------", "_____", "---"] {
            assert!(piece(rule.as_bytes()) < PIECE);
        }
        assert_eq!(piece(b"abc-_-def "), 9);
        assert_eq!(piece(b"abcdefghij---x"), 10);
    }
}

//! Texts whose lines are only pieces of longer ones: folded lines (RFC 5545 section 3.1, RFC 6350, RFC 2849), and flowed ones whose blanks at
//! the end are no part of the text (RFC 3676, `delsp=yes`). Only where the pieces are so short that no honest writer made them; longer ones
//! are read as they stand.

use super::super::find::{Finds, Leaf};
use super::Reading;
use super::header::trim_line_end;

pub(super) const READING: Reading = Reading { name: "folded", reads: "text in very short folded or flowed lines, unfolded", read };

/// The longest piece that is called short, and how many must follow each other.
const SHORT: usize = 32;
const LEAST: usize = 4;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !super::is_all_text(leaf) {
        return;
    }
    let [folded, flowed] = has_pieces(leaf);
    for (is_so, join) in [(folded, unfold as fn(&[u8]) -> Vec<u8>), (flowed, unflow)] {
        if is_so && finds.look(leaf.data.len()) {
            finds.add_guess(super::untyped(join(leaf.data)));
        }
    }
}

/// A blank, and then a few characters without one.
fn is_folded(line: &[u8]) -> bool {
    matches!(line, [b' ' | b'\t', piece @ ..] if is_short(piece))
}

/// A few characters without a blank, and then one.
fn is_flowed(line: &[u8]) -> bool {
    matches!(line, [piece @ .., b' '] if is_short(piece))
}

fn is_short(piece: &[u8]) -> bool {
    (1..=SHORT).contains(&piece.len()) && piece.iter().all(|c| c.is_ascii_graphic())
}

/// Whether there are rows of folded lines, and of flowed ones.
fn has_pieces(leaf: &Leaf) -> [bool; 2] {
    let (mut rows, mut has) = ([0; 2], [false; 2]);
    let mut from = 0;
    for end in leaf.lines().skip(1).chain([leaf.data.len()]) {
        let line = leaf.data.get(from..end).map(trim_line_end).unwrap_or_default();
        from = end;
        for ((row, has), is_piece) in rows.iter_mut().zip(&mut has).zip([is_folded(line), is_flowed(line)]) {
            *row = if is_piece { *row + 1 } else { 0 };
            *has |= *row >= LEAST;
        }
    }
    has
}

fn unfold(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|c| *c == b'\n') {
        if let [b' ' | b'\t', piece @ ..] = line {
            let end = out.iter().rev().take(2).take_while(|c| matches!(c, b'\r' | b'\n')).count();
            out.truncate(out.len() - end);
            out.extend_from_slice(piece);
        } else {
            out.extend_from_slice(line);
        }
    }
    out
}

fn unflow(text: &[u8]) -> Vec<u8> {
    let lines = text.split_inclusive(|c| *c == b'\n');
    lines.flat_map(|line| line.strip_suffix(b" \r\n").or_else(|| line.strip_suffix(b" \n")).unwrap_or(line)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn lines() {
        let rows: &[(&str, &[&str])] = &[
            ("A\r\n B\r\n C\r\n D\r\n E:x\r\nF", &["ABCDE:x\r\nF"]),
            ("A\n\tBB\n\tC\n\tD\n\tE\n", &["ABBCDE\n"]),
            ("one \r\ntwo \r\nthree \r\nfour \r\nfive\r\n", &["onetwothreefourfive\r\n"]),
            (" a list\n of words\n that is\n indented\n", &[]),
            ("a flowed text \nof lines that \nare longer \nthan one word \n", &[]),
            ("A\n B\n C\n D\nE", &[]),
        ];
        for (text, want) in rows {
            let want: Vec<String> = want.iter().map(|want| format!("\0\n{want}")).collect();
            assert_eq!(found(READING.read, text.as_bytes()), want, "{text:?}");
        }
    }
}

//! Payment card numbers in text: digits in the usual grouping, a known issuer's prefix and length, and the check digit (ISO/IEC 7812-1).

use std::collections::BTreeSet;

use crate::mail::PartId;

/// Fewest and most digits of a card number.
const DIGITS: std::ops::RangeInclusive<usize> = 13..=19;
/// Numbers counted at most in a message; more are only "many".
const MOST: usize = 1000;

/// Card numbers found so far; the numbers themselves are not kept beyond the check.
#[derive(Default)]
pub(super) struct Found {
    numbers: BTreeSet<u64>,
    first: Option<Card>,
}

/// What may be said of a card number.
pub(super) struct Card {
    /// Visa, Mastercard, …
    pub issuer: &'static str,
    /// The last four digits.
    pub last_digits: String,
    /// Where it stood.
    pub part: Option<PartId>,
}

impl Found {
    /// How many different numbers there were.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }

    /// The first of them.
    pub fn first(&self) -> Option<&Card> {
        self.first.as_ref()
    }

    /// Looks through a text.
    pub fn look(&mut self, text: &str, part: Option<PartId>) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(start) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)).map(|skip| at + skip) {
            let (digits, end) = number_at(bytes, start);
            at = end;
            if self.numbers.len() >= MOST {
                return;
            }
            let Some(issuer) = issuer(&digits).filter(|_| has_check_digit(&digits) && stands_alone(bytes, start, end)) else { continue };
            let value = digits.iter().fold(0u64, |value, digit| value.wrapping_mul(10).wrapping_add(u64::from(*digit)));
            self.numbers.insert(value);
            let last = digits.iter().rev().take(4).rev();
            self.first.get_or_insert_with(|| Card { issuer, last_digits: last.map(|digit| char::from(b'0' + digit)).collect(), part });
        }
    }
}

/// The digits that begin at `start`, and where they end. One blank or hyphen may stand between groups of three digits or more,
/// always the same one.
fn number_at(bytes: &[u8], start: usize) -> (Vec<u8>, usize) {
    let mut digits = Vec::with_capacity(20);
    let (mut at, mut separator, mut group) = (start, None, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' => {
                // A longer run is read to its end, so that no part of it is taken for a number.
                if digits.len() <= *DIGITS.end() {
                    digits.push(byte - b'0');
                }
                group += 1;
            }
            b' ' | b'-'
                if group >= 3 && separator.is_none_or(|known| known == *byte) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) =>
            {
                separator = Some(*byte);
                group = 0;
            }
            _ => break,
        }
        at += 1;
    }
    (digits, at)
}

/// Whether what stands before and after lets it be a number of its own, not a piece of an address, a path or an identifier.
fn stands_alone(bytes: &[u8], start: usize, end: usize) -> bool {
    let is_part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"/=_&%@+-.".contains(byte);
    let before = start.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(end);
    let ends_sentence = matches!(after, Some(b'.' | b'-')) && !bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric);
    !before.is_some_and(is_part_of_word) && (ends_sentence || !after.is_some_and(is_part_of_word))
}

/// The issuer whose prefix and length it has.
fn issuer(digits: &[u8]) -> Option<&'static str> {
    let length = digits.len();
    if !DIGITS.contains(&length) {
        return None;
    }
    let prefix = |count: usize| digits.iter().take(count).fold(0u32, |value, digit| value * 10 + u32::from(*digit));
    let rows = [
        (prefix(1) == 4 && matches!(length, 13 | 16 | 19), "Visa"),
        (length == 16 && (matches!(prefix(2), 51..=55) || matches!(prefix(4), 2221..=2720)), "Mastercard"),
        (length == 15 && matches!(prefix(2), 34 | 37), "American Express"),
        (length >= 16 && (prefix(4) == 6011 || prefix(2) == 65 || matches!(prefix(3), 644..=649)), "Discover"),
        (length >= 16 && matches!(prefix(4), 3528..=3589), "JCB"),
        (length >= 14 && (matches!(prefix(2), 36 | 38 | 39) || matches!(prefix(3), 300..=305)), "Diners Club"),
        (length >= 16 && prefix(2) == 62, "UnionPay"),
        (matches!(prefix(4), 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763), "Maestro"),
    ];
    rows.into_iter().find(|(fits, _)| *fits).map(|(_, name)| name)
}

/// The Luhn sum over all digits is a multiple of ten.
fn has_check_digit(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match (place % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers() {
        let rows = [
            ("4111111111111111", 1),
            ("card 4111 1111 1111 1111, 12/30", 1),
            ("4111-1111-1111-1111", 1),
            ("Amex 3782 822463 10005.", 1),
            ("5555555555554444 and 2223003122003222", 2),
            ("the same 4111111111111111 and 4111 1111 1111 1111", 1),
            ("6011111111111117\n30569309025904\n3530111333300000", 3),
            ("4111111111111112", 0),
            ("1234567812345670", 0),
            ("41111111111111110000", 0),
            ("0004111111111111111", 0),
            ("x4111111111111111", 0),
            ("4111111111111111abc", 0),
            ("http://a.example/4111111111111111/x", 0),
            ("?id=4111111111111111", 0),
            ("4111 1111-1111 1111", 0),
            ("41 11 11 11 11 11 11 11", 0),
            ("4111 1111 1111", 0),
            ("1.4111111111111111", 0),
            ("", 0),
            ("-", 0),
            ("4", 0),
        ];
        for (text, want) in rows {
            let mut found = Found::default();
            found.look(text, None);
            assert_eq!(found.count(), want, "{text}");
            for cut in 0..text.len() {
                Found::default().look(&text[..cut], None);
            }
        }
        let mut found = Found::default();
        found.look("5555 5555 5555 4444", None);
        assert_eq!(found.first().map(|card| (card.issuer, card.last_digits.as_str())), Some(("Mastercard", "4444")));
    }
}

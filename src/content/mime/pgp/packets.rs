//! Packets (RFC 9580 section 4): tags and lengths in the new and the old format.

/// Literal data.
pub(super) const LITERAL: u8 = 11;
/// Compressed data.
pub(super) const COMPRESSED: u8 = 8;
/// A session key encrypted to a public key.
pub(super) const TO_KEY: u8 = 1;
/// A session key encrypted by a passphrase.
pub(super) const BY_PASSPHRASE: u8 = 3;
/// Session keys and encrypted data.
pub(super) const SEALED: [u8; 5] = [1, 3, 9, 18, 20];
/// Signatures, keys, user ids and what belongs to them.
pub(super) const KEYS: [u8; 11] = [2, 4, 5, 6, 7, 10, 12, 13, 14, 17, 21];

/// A marker, which every reader steps over.
const MARKER: u8 = 10;

/// Packets read of one message, markers not counted.
const MAX_PACKETS: usize = 100_000;

/// More packets than are read.
pub(super) struct TooMany;

/// One packet.
pub(super) struct Packet {
    pub tag: u8,
    /// Its content, put together where it came in pieces.
    pub body: Vec<u8>,
    /// Its length is what its header says.
    whole: bool,
}

/// The packets from the start of `data` on, until one is none; without markers. Where there are more than the limit the last one is an error.
pub(super) fn read(data: &[u8]) -> impl Iterator<Item = Result<Packet, TooMany>> {
    let mut rest = data;
    let mut left = MAX_PACKETS;
    std::iter::from_fn(move || {
        loop {
            let (packet, tail) = packet(rest)?;
            rest = tail;
            if packet.tag == MARKER {
                continue;
            }
            if left == 0 {
                rest = &[];
                return Some(Err(TooMany));
            }
            left -= 1;
            return Some(Ok(packet));
        }
    })
}

/// Whether `data` starts with a session key encrypted by a passphrase (RFC 9580 section 5.3), and encrypted data follows.
pub(super) fn is_locked(data: &[u8]) -> bool {
    let key = data.first().filter(|c| *c & 0x80 != 0).and_then(|_| packet(data)).filter(|(key, _)| key.tag == BY_PASSPHRASE && key.whole);
    let Some((key, rest)) = key else { return false };
    let makes_sense = matches!(key.body.as_slice(), [4..=6, cipher, ..] if (1..=32).contains(cipher)) && (4..100).contains(&key.body.len());
    makes_sense && packet(rest).is_some_and(|(next, _)| matches!(next.tag, BY_PASSPHRASE | 9 | 18 | 20))
}

/// Whether `data` is packets to its end, the first of which starts a message, with literal, compressed or encrypted data among them.
pub(super) fn looks_like(data: &[u8]) -> bool {
    // Most other bytes fail here, without anything being copied.
    let Some(first) = data.first().filter(|c| *c & 0x80 != 0) else { return false };
    let tag = if first & 0x40 != 0 { first & 0x3f } else { first >> 2 & 0x0f };
    if ![LITERAL, COMPRESSED, 4, 10, 2].contains(&tag) {
        return false;
    }
    let mut rest = data;
    let mut holds = false;
    let mut left = 16;
    while left > 0 {
        let Some((packet, tail)) = packet(rest) else { return false };
        left -= usize::from(packet.tag != MARKER || packet.body != b"PGP");
        holds |= match packet.tag {
            LITERAL => is_literal(&packet.body),
            COMPRESSED => packet.body.len() > 8 && packet.body.first().is_some_and(|method| *method <= 3),
            _ => false,
        };
        if !packet.whole || !(holds || KEYS.contains(&packet.tag)) {
            return false;
        }
        if tail.is_empty() {
            return holds;
        }
        rest = tail;
    }
    holds
}

fn is_literal(body: &[u8]) -> bool {
    let format = body.first().is_some_and(|c| matches!(c, b'b' | b't' | b'u' | b'm' | b'l' | b'1'));
    format && body.get(1).is_some_and(|length| body.len() >= 6 + usize::from(*length))
}

fn packet(data: &[u8]) -> Option<(Packet, &[u8])> {
    let (first, rest) = data.split_first().filter(|(first, _)| *first & 0x80 != 0)?;
    if first & 0x40 == 0 {
        return Some(old(*first, rest)).flatten();
    }
    let tag = first & 0x3f;
    let mut body = Vec::new();
    let mut rest = rest;
    loop {
        // RFC 9580 section 4.2.1.
        let (length, partial, tail) = match rest {
            [n @ 0..192, tail @ ..] => (usize::from(*n), false, tail),
            [n @ 192..224, m, tail @ ..] => ((usize::from(*n) - 192) * 256 + usize::from(*m) + 192, false, tail),
            [255, a, b, c, d, tail @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, false, tail),
            [n @ 224..=254, tail @ ..] => (1usize << (n & 0x1f), true, tail),
            _ if body.is_empty() => return None,
            _ => return Some((Packet { tag, body, whole: false }, &[])),
        };
        let whole = length <= tail.len();
        let (piece, tail) = tail.split_at(length.min(tail.len()));
        body.extend_from_slice(piece);
        rest = tail;
        if !partial || !whole {
            return Some((Packet { tag, body, whole }, rest));
        }
    }
}

/// RFC 9580 section 4.2.2: two bits say how many bytes the length has; three of them: it reaches to the end.
fn old(first: u8, rest: &[u8]) -> Option<(Packet, &[u8])> {
    let tag = first >> 2 & 0x0f;
    let (length, rest) = match (first & 3, rest) {
        (0, [n, rest @ ..]) => (usize::from(*n), rest),
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
        (2, [a, b, c, d, rest @ ..]) => (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest),
        (3, rest) => (rest.len(), rest),
        _ => return None,
    };
    let whole = length <= rest.len();
    let (body, rest) = rest.split_at(length.min(rest.len()));
    Some((Packet { tag, body: body.to_vec(), whole }, rest))
}

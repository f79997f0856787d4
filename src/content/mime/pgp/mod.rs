//! OpenPGP (RFC 9580): what stands in messages that are signed or compressed but not encrypted, armoured or as they are.

mod armor;
mod packets;

use bytes::Bytes;

use super::super::find::{Finds, Leaf, Problem, limit};
use super::super::unpack::inner::{self, Method};
use super::Reading;
use packets::Packet;

pub(super) const READING: Reading =
    Reading { name: "pgp", reads: "PGP messages that are not encrypted: literal and compressed data", read };

/// Compressed packets inside each other.
const MAX_INSIDE: usize = 16;

fn read(leaf: &Leaf, finds: &mut Finds) {
    for block in armor::blocks(leaf.data) {
        if !finds.look(block.text.len()) {
            return;
        }
        match block.kind {
            armor::Kind::Cleartext => {
                let _ = finds.add_decoded(None, armor::without_dashes(block.text));
            }
            armor::Kind::Packets => {
                let bytes = armor::decode(block.text);
                // Damaged beyond recognition: whatever a reader may make of it.
                if !open(&bytes, finds, true) && !finds.add_guess(bytes) {
                    return;
                }
            }
        }
    }
    let declared = leaf.declared.starts_with("application/pgp") || leaf.declared.starts_with("application/x-pgp");
    let named = leaf
        .name
        .and_then(|name| name.rsplit_once('.'))
        .is_some_and(|(_, ending)| ["pgp", "gpg", "asc", "sig"].iter().any(|known| ending.trim().eq_ignore_ascii_case(known)));
    if leaf.data.first().is_some_and(|c| c & 0x80 != 0)
        && (leaf.true_type.is_empty() || declared || named)
        && (declared || named || packets::looks_like(leaf.data) || packets::is_locked(leaf.data))
        && finds.look(leaf.data.len())
    {
        open(leaf.data, finds, declared || named || packets::is_locked(leaf.data));
    }
}

/// Whether bytes are packets from their start to their end, with something in them.
pub(super) fn looks_like(data: &[u8]) -> bool {
    packets::looks_like(data)
}

/// Opens packets inside packets; false where there is nothing known in them. `sure`: something says that these are packets.
fn open(data: &[u8], finds: &mut Finds, sure: bool) -> bool {
    let mut known = false;
    // Whom it is encrypted to: the owner of a key, or whoever knows a word.
    let (mut to_key, mut by_passphrase) = (false, false);
    let mut list: Vec<(Bytes, usize)> = vec![(Bytes::copy_from_slice(data), 0)];
    while let Some((bytes, inside)) = list.pop() {
        for packet in packets::read(&bytes) {
            let Ok(packet) = packet else {
                if sure || known {
                    finds.problems.push(limit("archive.limit.members", "More PGP packets than the limit"));
                }
                break;
            };
            to_key |= packet.tag == packets::TO_KEY;
            by_passphrase |= packet.tag == packets::BY_PASSPHRASE;
            match packet.tag {
                packets::LITERAL => {
                    let Some((name, content)) = literal(&packet) else { continue };
                    known = true;
                    finds.note("mime.pgp_literal", "A PGP message that is not encrypted", name.as_deref().unwrap_or_default());
                    if !finds.add_decoded(name, content) {
                        return known;
                    }
                }
                packets::COMPRESSED if inside < MAX_INSIDE => {
                    let Some((method, packed)) = packet.body.split_first() else { continue };
                    // RFC 9580 section 9.4.
                    let method = match method {
                        0 => None,
                        1 => Some(Method::Deflate),
                        2 => Some(Method::Zlib),
                        3 => Some(Method::Bzip2),
                        _ => continue,
                    };
                    let unpacked = match method {
                        None => Bytes::copy_from_slice(packed),
                        Some(method) => {
                            let before = finds.problems.len();
                            let (bytes, _) = inner::unpack(method, packed, finds, "PGP");
                            if !sure && bytes.is_empty() {
                                finds.problems.truncate(before);
                            }
                            bytes
                        }
                    };
                    known |= !unpacked.is_empty();
                    if !finds.look(unpacked.len()) {
                        return true;
                    }
                    list.push((unpacked, inside + 1));
                }
                packets::COMPRESSED => {
                    finds.problems.push(limit("mime.limit.depth", "More containers inside each other than the limit"));
                    return true;
                }
                tag if packets::SEALED.contains(&tag) && (sure || known) => {
                    known = true;
                    finds.note("mime.pgp", "PGP encrypted mail", "");
                }
                tag => known |= packets::KEYS.contains(&tag),
            }
        }
    }
    if known && by_passphrase && !to_key {
        finds.problems.push(Problem::encrypted("archive.encrypted", "A file encrypted by a passphrase (PGP)", ""));
    }
    known
}

/// The name and content of a literal packet (RFC 9580 section 5.9): format, length of the name, name, date, content.
fn literal(packet: &Packet) -> Option<(Option<String>, Vec<u8>)> {
    let [_, length, rest @ ..] = packet.body.as_slice() else { return None };
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    let content = rest.get(4..)?;
    let name = Some(name).filter(|name| !name.is_empty() && *name != b"_CONSOLE").map(|name| String::from_utf8_lossy(name).into_owned());
    Some((name, content.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
        [&[0xc0 | tag, body.len() as u8], body].concat()
    }

    fn literal_of(text: &str) -> Vec<u8> {
        [b"b\x05a.txt\0\0\0\0", text.as_bytes()].concat()
    }

    #[test]
    fn messages() {
        let plain = packet(11, &literal_of("hello"));
        let stored = [&b"\x01\x01"[..], &(plain.len() as u16).to_le_bytes(), &(!(plain.len() as u16)).to_le_bytes(), &plain].concat();
        let rows: &[Vec<u8>] = &[
            plain.clone(),
            // Old format: a length of one byte, of two, and to the end.
            [&[0xac, 0x10][..], &literal_of("hello")].concat(),
            [&[0xad, 0, 0x10][..], &literal_of("hello")].concat(),
            [&[0xaf][..], &literal_of("hello")].concat(),
            // In pieces: two bytes, one byte, the rest.
            [&[0xcb, 0xe1][..], &literal_of("hello")[..2], &[0xe0], &literal_of("hello")[2..3], &[0x0d], &literal_of("hello")[3..]]
                .concat(),
            [packet(4, &[3; 13]), plain.clone(), packet(2, &[7; 20])].concat(),
            packet(8, &stored),
            packet(8, &[&[0][..], &packet(8, &stored)].concat()),
        ];
        for row in rows {
            assert_eq!(found(READING.read, row), ["hello"], "{row:x?}");
        }
        let text = "-----BEGIN PGP MESSAGE-----\r\nVersion: x\r\n\r\nyxBiBWEudHh0AAAAAGhlbGxv\r\n=abcd\r\n-----END PGP MESSAGE-----\r\n";
        assert_eq!(found(READING.read, text.as_bytes()), ["hello"]);
        assert_eq!(found(READING.read, text.replace("\r\nVersion: x\r\n", "\n").as_bytes()), ["hello"]);
        assert_eq!(found(READING.read, format!("> {}", text.replace('\n', "\n> ")).as_bytes()), ["hello"]);
    }

    #[test]
    fn nothing_hides_behind_many_packets() {
        let plain = packet(11, &literal_of("hello"));
        let many = |first: Vec<u8>, times: usize| once(READING.read, &[first.repeat(times), plain.clone()].concat(), "application/pgp", "");
        assert_eq!(many(packet(10, b"PGP"), 200_000).0, ["hello"]);
        assert_eq!(once(READING.read, &[packet(10, b"PGP").repeat(20), plain.clone()].concat(), "", "").0, ["hello"]);
        assert_eq!(many(packet(13, b"a"), 99_999).0, ["hello"]);
        assert_eq!(many(packet(13, b"a"), 100_000), (vec![], vec!["archive.limit.members"]));
    }

    #[test]
    fn what_is_sealed_is_noted() {
        let sealed = "-----BEGIN PGP MESSAGE-----\n\nwQMDAQLSBQEBAgME\n-----END PGP MESSAGE-----\n";
        assert_eq!(once(READING.read, sealed.as_bytes(), "", ""), (vec![], vec!["mime.pgp", "mime.pgp"]));
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxgMEAQI=\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(once(READING.read, key.as_bytes(), "", ""), (vec![], vec![]));
    }

    #[test]
    fn cleartext() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- - a list\nwords\n-----BEGIN PGP SIGNATURE-----\n\nwgMEAQI=\n-----END PGP SIGNATURE-----\n";
        assert_eq!(found(READING.read, text.as_bytes()), ["- a list\nwords"]);
        assert_eq!(found(READING.read, text.replace("- - a list\n", "").as_bytes()), [""; 0]);
    }

    #[test]
    fn other_bytes_are_none() {
        for data in [&b"\x8f\x02\x03\x04 and so on"[..], b"\xcb\x05bab", "äöü".as_bytes(), b"\xff\xfe\xfd\xfc"] {
            assert_eq!(once(READING.read, data, "", ""), (vec![], vec![]), "{data:x?}");
        }
    }
}

//! Encryption of members: PKWARE's old one (APPNOTE 6.1) and WinZip's AES (AE-1, AE-2), undone with a password.

use aes::{Aes128, Aes192, Aes256};
use ctr::Ctr128LE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Bytes before the data of a member in PKWARE's old encryption.
const OLD_HEADER: usize = 12;
/// Rounds of WinZip's key derivation.
const ROUNDS: u32 = 1000;
/// Bytes that check a password, and bytes that check the data.
const CHECK: usize = 2;
const MAC: usize = 10;
/// Effort of one key derivation, in bytes looked at.
pub(super) const DERIVATION: usize = 512 * 1024;

/// Three keys that every byte changes.
struct OldKeys([u32; 3]);

impl OldKeys {
    fn new(password: &[u8]) -> Self {
        let mut keys = Self([0x1234_5678, 0x2345_6789, 0x3456_7890]);
        password.iter().for_each(|byte| keys.update(*byte));
        keys
    }

    fn update(&mut self, byte: u8) {
        let Self([a, b, c]) = self;
        *a = crc_step(*a, byte);
        *b = b.wrapping_add(*a & 0xff).wrapping_mul(134_775_813).wrapping_add(1);
        *c = crc_step(*c, b.to_le_bytes()[3]);
    }

    fn decrypt(&mut self, byte: u8) -> u8 {
        let mixed = self.0[2] | 2;
        let plain = byte ^ (mixed.wrapping_mul(mixed ^ 1) >> 8).to_le_bytes()[0];
        self.update(plain);
        plain
    }
}

/// One byte of the checksum of zip, without its inversions.
fn crc_step(crc: u32, byte: u8) -> u32 {
    const TABLE: [u32; 256] = table();
    (crc >> 8) ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)]
}

const fn table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut n = 0;
    while n < 256 {
        let mut value = n as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[n] = value;
        n += 1;
    }
    table
}

/// Whether the check byte in front of the data, which is one of `checks`, may come from this password: one in 256 wrong ones passes.
pub(super) fn may_open_old(data: &[u8], password: &[u8], checks: &[u8]) -> bool {
    let mut keys = OldKeys::new(password);
    let header = data.first_chunk::<OLD_HEADER>().map(|header| header.map(|byte| keys.decrypt(byte)));
    header.is_some_and(|header| header.last().is_some_and(|check| checks.contains(check)))
}

/// The data of a member, decrypted.
pub(super) fn open_old(data: &[u8], password: &[u8]) -> Vec<u8> {
    let mut keys = OldKeys::new(password);
    let plain = data.iter().map(|byte| keys.decrypt(*byte)).skip(OLD_HEADER);
    plain.collect()
}

/// What a password makes of a member in WinZip's encryption.
pub(super) enum Opened {
    /// It is the wrong one.
    Wrong,
    /// The data, and whether the code at its end is right.
    Plain(Vec<u8>, bool),
}

/// Tries a password on salt, check bytes, data and authentication code; `key` is the key's length in bytes.
pub(super) fn open_aes(data: &[u8], password: &[u8], key: usize) -> Opened {
    let salt = key / 2;
    let (Some(salt), Some(check), Some(body)) = (data.get(..salt), data.get(salt..salt + CHECK), data.get(salt + CHECK..)) else {
        return Opened::Wrong;
    };
    let mut derived = [0; 2 * 32 + CHECK];
    let Some(derived) = derived.get_mut(..2 * key + CHECK) else { return Opened::Wrong };
    pbkdf2::pbkdf2_hmac::<Sha1>(password, salt, ROUNDS, derived);
    let Some((keys, check_of)) = derived.split_last_chunk::<CHECK>() else { return Opened::Wrong };
    if check != check_of {
        return Opened::Wrong;
    }
    let (body, code) = body.split_at(body.len().saturating_sub(MAC));
    let (cipher_key, mac_key) = keys.split_at(key);
    let right = <Hmac<Sha1> as KeyInit>::new_from_slice(mac_key)
        .is_ok_and(|mac| mac.chain_update(body).finalize().into_bytes().get(..MAC) == Some(code));
    let mut plain = body.to_vec();
    let mut start = [0; 16];
    start[0] = 1;
    let done = match key {
        16 => apply::<Ctr128LE<Aes128>>(cipher_key, &start, &mut plain),
        24 => apply::<Ctr128LE<Aes192>>(cipher_key, &start, &mut plain),
        _ => apply::<Ctr128LE<Aes256>>(cipher_key, &start, &mut plain),
    };
    if done { Opened::Plain(plain, right) } else { Opened::Wrong }
}

fn apply<C: KeyIvInit + StreamCipher>(key: &[u8], start: &[u8; 16], data: &mut [u8]) -> bool {
    C::new_from_slices(key, start).map(|mut cipher| cipher.apply_keystream(data)).is_ok()
}

//! The headers of a zip: local ones, and those of the central directory, each as it has it.

use flate2::Crc;

use super::super::ints::{le16, le32};

/// Starts a local header.
pub(super) const LOCAL: &[u8] = b"PK\x03\x04";
/// Starts an entry of the central directory.
pub(super) const CENTRAL: &[u8] = b"PK\x01\x02";
/// Starts a data descriptor, where it has a signature.
pub(super) const DESCRIPTOR: &[u8] = b"PK\x07\x08";
/// Size of a local header without name and extra field.
const LOCAL_SIZE: usize = 30;
/// Size of an entry without name, extra field and comment.
const CENTRAL_SIZE: usize = 46;
/// The size that says: look into the zip64 field.
pub(super) const ZIP64: u64 = 0xffff_ffff;

/// Flag: encrypted.
const ENCRYPTED: u16 = 1;
/// Flag: sizes and checksum follow the data.
const FOLLOWED: u16 = 8;
/// Flags: strong encryption, masked values in local headers.
const STRONG: u16 = 0x2040;

/// What one header says about a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub name: String,
    pub flags: u16,
    /// The method; that behind the encryption, where WinZip's is used.
    pub method: u16,
    /// The upper byte of the time of change: it checks passwords.
    pub time: u8,
    pub crc: u32,
    pub packed: u64,
    pub size: u64,
    /// WinZip's encryption: length of the key in bytes.
    pub aes: Option<usize>,
    strong: bool,
}

impl Header {
    /// Whether it calls the member encrypted in whatever way.
    pub(super) fn is_encrypted(&self) -> bool {
        self.flags & (ENCRYPTED | STRONG) != 0 || self.aes.is_some() || self.method == 99
    }

    /// Whether the encryption is one that nobody outside of PKWARE's programs undoes.
    pub(super) fn is_strong(&self) -> bool {
        self.flags & STRONG != 0 || self.strong
    }

    /// Whether sizes and checksum stand behind the data.
    pub(super) fn is_followed(&self) -> bool {
        self.flags & FOLLOWED != 0
    }

    /// What two headers of one member disagree in, if what they say can be compared.
    pub(super) fn difference(&self, local: &Self) -> Option<&'static str> {
        let unknown = local.is_followed() && local.crc == 0;
        let rows = [
            (self.name != local.name, "name"),
            (self.method != local.method, "method"),
            (self.is_encrypted() != local.is_encrypted(), "encryption"),
            (!unknown && self.packed != local.packed, "packed size"),
            (!unknown && self.size != local.size, "size"),
            (!unknown && self.crc != local.crc, "checksum"),
        ];
        rows.into_iter().find(|(differs, _)| *differs).map(|(_, what)| what)
    }

    /// Reads the extra fields into it: zip64, WinZip's encryption, the name in Unicode. Hands back the values of the zip64 field.
    fn read_extra(&mut self, mut extra: &[u8], raw_name: &[u8]) -> Vec<u64> {
        let mut wide = Vec::new();
        while let (Some(id), Some(len)) = (le16(extra, 0), le16(extra, 2)) {
            let end = (4 + usize::from(len)).min(extra.len());
            let (field, rest) = extra.split_at(end);
            let field = field.get(4..).unwrap_or_default();
            match id {
                1 if wide.is_empty() => wide = field.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect(),
                0x9901 => {
                    let strength = field.get(4).copied().unwrap_or_default();
                    self.aes = Some(match strength {
                        1 => 16,
                        2 => 24,
                        _ => 32,
                    });
                    self.method = le16(field, 5).unwrap_or(self.method);
                }
                0x0017 => self.strong = true,
                // Only valid for the name it was made for.
                0x7075 if le32(field, 1) == Some(crc_of(raw_name)) => {
                    self.name = field.get(5..).map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default();
                }
                _ => {}
            }
            extra = rest;
        }
        wide
    }
}

/// The local header that stands at `offset`, and where the member's data starts.
pub(super) fn local(data: &[u8], offset: usize) -> Option<(Header, usize)> {
    let header = data.get(offset..).filter(|header| header.starts_with(LOCAL))?;
    let name_len = usize::from(le16(header, 26)?);
    let extra_len = usize::from(le16(header, 28)?);
    let name = header.get(LOCAL_SIZE..LOCAL_SIZE + name_len)?;
    let extra = header.get(LOCAL_SIZE + name_len..LOCAL_SIZE + name_len + extra_len)?;
    let mut own = Header {
        name: String::from_utf8_lossy(name).into_owned(),
        flags: le16(header, 6)?,
        method: le16(header, 8)?,
        time: header.get(11).copied()?,
        crc: le32(header, 14)?,
        packed: u64::from(le32(header, 18)?),
        size: u64::from(le32(header, 22)?),
        ..Header::default()
    };
    let mut wide = own.read_extra(extra, name).into_iter();
    if own.size == ZIP64 {
        own.size = wide.next().unwrap_or(own.size);
    }
    if own.packed == ZIP64 {
        own.packed = wide.next().unwrap_or(own.packed);
    }
    Some((own, offset + LOCAL_SIZE + name_len + extra_len))
}

/// An entry of the central directory, the offset of its local header, and its own size.
pub(super) fn central(entry: &[u8]) -> Option<(Header, u64, usize)> {
    let name_len = usize::from(le16(entry, 28)?);
    let extra_len = usize::from(le16(entry, 30)?);
    let comment_len = usize::from(le16(entry, 32)?);
    let name = entry.get(CENTRAL_SIZE..CENTRAL_SIZE + name_len)?;
    let extra = entry.get(CENTRAL_SIZE + name_len..CENTRAL_SIZE + name_len + extra_len).unwrap_or_default();
    let mut own = Header {
        name: String::from_utf8_lossy(name).into_owned(),
        flags: le16(entry, 8)?,
        method: le16(entry, 10)?,
        time: entry.get(13).copied()?,
        crc: le32(entry, 16)?,
        packed: u64::from(le32(entry, 20)?),
        size: u64::from(le32(entry, 24)?),
        ..Header::default()
    };
    let mut offset = u64::from(le32(entry, 42)?);
    // zip64: those of size, packed size and offset that are all ones stand in the extra field, in this order.
    let mut wide = own.read_extra(extra, name).into_iter();
    for value in [&mut own.size, &mut own.packed, &mut offset] {
        if *value == ZIP64 {
            *value = wide.next().unwrap_or(*value);
        }
    }
    Some((own, offset, CENTRAL_SIZE + name_len + extra_len + comment_len))
}

/// Whether `bytes` start with a local header that makes sense: a name and a version, or one of the usual methods.
pub(crate) fn is_local_header(bytes: &[u8]) -> bool {
    let (Some(version), Some(method), Some(name)) = (le16(bytes, 4), le16(bytes, 8), le16(bytes, 26)) else { return false };
    let plausible = version & 0xff < 100 && name > 0;
    bytes.starts_with(LOCAL) && name < 4096 && method < 100 && (plausible || matches!(method, 0 | 8 | 9 | 12 | 14))
}

/// The checksum of zip.
pub(super) fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

//! Archives, disk images and packed files that nobody here opens, or that take more than their first bytes to be told. A short mark alone is
//! no proof: the fields behind it have to make sense, since what is taken for a container that cannot be opened is held.

use super::super::unpack;

/// Marks that are long or odd enough by themselves.
const MARKS: &[(&[u8], &str)] = &[
    (b"\xed\xab\xee\xdb", "rpm"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"\xff\x06\0\0sNaPpY", "snappy"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"zPQ\x01", "zpaq"),
    (b"zPQ\x02", "zpaq"),
    (b"7kSt\xa0\x31\x83\xd3", "zpaq"),
    (b"KGB_arch -", "kgb"),
    (b"ArC\x01", "freearc"),
    (b"ALZ\x01", "alz"),
    (b"EGGA\0\x01", "egg"),
    (b"xar!\0\x1c", "xar"),
    (b"MSWIM\0\0\0", "wim"),
    (b"WLPWM\0", "wim"),
    (b"KDMV", "vmdk"),
    (b"COWD\x01", "vmdk"),
    (b"# Disk DescriptorFile", "vmdk"),
    (b"QFI\xfb", "qcow2"),
    (b"\x45\x3d\xcd\x28", "cramfs"),
    (b"\x28\xcd\x3d\x45", "cramfs"),
    (b"SZDD\x88\xf0\x27\x33", "szdd"),
    (b"SZ \x88\xf0\x27\x33\xd1", "szdd"),
    (b"KWAJ\x88\xf0\x27\xd1", "szdd"),
    (b"\x13\x5d\x65\x8c", "installshield"),
    (b"RZIP\x02", "rzip"),
    (b"!BDN", "pst"),
    (b"\xcf\xad\x12\xfe", "dbx"),
    (b"BZ3v1", "bzip3"),
    (b"\xea\x01\x03", "pea"),
    (b"LUKS\xba\xbe", "disk"),
    (b"AES\x01\0", "locked"),
    (b"AES\x02\0", "locked"),
    (b"age-encryption.org/v", "locked"),
    (b"Salted__", "locked"),
    (b"\xc0\xb9\x07\x2e\x4f\x93\xf1\x46\xa0\x15\x79\x2c\xa1\xd9\xe8\x21", "locked"),
    (b"StuffIt!", "sit"),
    (b"StuffIt?", "sit"),
    (b"StuffIt (c)19", "sit"),
    (b"ITOLITLS", "chm"),
    (b"\xa1\x2f\xff\x43\xd9\xef\x76\x4c\x9e\xe2\x10\xea\x57\x22\x76\x5f", "one"),
    (b"encrcdsa", "dmg"),
    (b"cdsaencr", "dmg"),
    (b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07", "zisofs"),
    (b"\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0", "cdimage"),
    (b"070701", "cpio"),
    (b"070702", "cpio"),
    (b"070707", "cpio"),
    (b"\xc7\x71", "cpio"),
    (b"\x71\xc7", "cpio"),
    (b"pbzx\0\0", "xar"),
    (b"\x8f\xaf\xac\x84", "ppmd"),
    (b"PP20", "amiga"),
    (b"XPKF\0", "amiga"),
    (b"LZX\0", "amiga"),
    (b"DMS!\0", "amiga"),
    (b"\xab\xcd\0\x54", "sit"),
    (b"\x91\x33HF", "hap"),
    (b"MSCompress", "szdd"),
    (b"# v2 git bundle\n", "gitpack"),
    (b"# v3 git bundle\n", "gitpack"),
    (b"\xae\x01NanoZip", "nanozip"),
    (b"UC2\x1a", "uc2"),
    (b"Yaz0\0", "yaz"),
    (b"Yay0\0", "yaz"),
    (b"XFSB\0", "disk"),
    (b"\x3a\xff\x26\xed\x01\0", "disk"),
    (b"ER\x02\0", "disk"),
    (b"-rom1fs-", "disk"),
    (b"UBI#\x01", "disk"),
    (b"\x31\x18\x10\x06", "disk"),
    (b"\x85\x19\x03\x20", "disk"),
    (b"EVF\x09\r\n\xff\0", "disk"),
    (b"sprs\0\0\0", "dmg"),
    (b"WithoutFreeSpace", "disk"),
    (b"WithouFreSpacExt", "disk"),
    (b"DAA\0\0", "cdimage"),
    (b"IsZ!", "cdimage"),
    (b"CISO\0", "cdimage"),
    (b"CISO\x18", "cdimage"),
    (b"MEDIA DESCRIPTOR\x01", "cdimage"),
    (b"MSCF", "cab"),
    (b"\x60\xea", "arj"),
    (b"\x1f\x9d", "compress"),
    (b"\x1f\x1e", "pack"),
    (b"\x1f\xa0", "pack"),
    (b"\x1f\x9f", "freeze"),
];

/// Marks of four letters and less, which a text may begin with: bytes that no text has must follow.
const WORDS: &[(&[u8], &str)] = &[
    (b"ISc(", "installshield"),
    (b"UHA", "uharc"),
    (b"LRZI", "lrzip"),
    (b"bvx", "lzfse"),
    (b"AA01", "aar"),
    (b"YAA1", "aar"),
    (b"AEA1", "aar"),
    (b"hsqs", "squashfs"),
    (b"sqsh", "squashfs"),
    (b"LZIP", "lzip"),
    (b"RE~^", "rar"),
    (b"PMag", "sit"),
    (b"PMa4", "sit"),
    (b"BCM!", "bzip3"),
    (b"QDA0", "arc"),
    (b"idska32", "installshield"),
    (b"PACK\0\0\0\x02", "gitpack"),
];

const MARKS_START_WITH: [bool; 256] = super::firsts(MARKS);

/// What kind of container it is, if it is one of these.
pub(super) fn kind(data: &[u8]) -> Option<&'static str> {
    let first = usize::from(*data.first()?);
    let marks = if MARKS_START_WITH[first] { MARKS } else { &[] };
    let marks = marks.iter().filter(|(mark, _)| data.starts_with(mark)).map(|(_, name)| *name);
    let mut known = marks.filter(|name| makes_sense(data, name));
    let head = data.get(..data.len().min(32)).unwrap_or_default();
    let binary = || head.iter().any(|c| *c < 9) || std::str::from_utf8(head).is_err_and(|error| error.error_len().is_some());
    let mut worded = WORDS.iter().filter(|(word, _)| data.starts_with(word) && binary()).map(|(_, name)| *name);
    known.next().or_else(|| worded.next()).or_else(|| inside(data))
}

/// Whether the fields behind a short mark are what they would be.
fn makes_sense(data: &[u8], name: &str) -> bool {
    match name {
        "cpio" => unpack::cpio::is_header(data),
        "cab" => data.get(4..8) == Some(&[0; 4]) || unpack::cab::is_header(data),
        "arj" => unpack::listed::is_arj(data),
        // Its third byte has the number of bits of a code, and two that are never set.
        "compress" => data.get(2).is_some_and(|bits| bits & 0x60 == 0 && (9..=16).contains(&(bits & 31))) && data.len() > 4,
        "pack" | "freeze" | "pea" => data.len() > 10,
        // The words of text that starts so come first where it is one.
        "locked" => !data.starts_with(b"AES") || data.len() > 50,
        "vmdk" => data.starts_with(b"#") || data.get(4..8).is_some_and(|version| version.contains(&0)),
        _ => true,
    }
}

/// Marks that stand further in, and headers known by their sense alone.
fn inside(data: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, mark: &[u8]| data.get(offset..).is_some_and(|rest| rest.starts_with(mark));
    let last = |offset: usize, mark: &[u8]| data.len().checked_sub(offset).is_some_and(|start| start > 0 && at(start, mark));
    let rows: [(bool, &str); 25] = [
        (unpack::listed::is_lzh(data), "lzh"),
        (at(7, b"**ACE**"), "ace"),
        (at(20, b"\xdc\xa7\xc4\xfd"), "zoo"),
        (at(10, b"rLau"), "sit"),
        (is_arc(data), "arc"),
        (at(0x40, b"\x7f\x10\xda\xbe"), "vdi"),
        (at(0x8001, b"CD001") || at(0x8801, b"CD001") || at(0x9001, b"CD001"), "iso"),
        (at(0x8001, b"BEA01") || at(0x8801, b"BEA01"), "udf"),
        (last(512, b"koly\0\0\0\x04"), "dmg"),
        (last(512, b"conectix"), "vhd"),
        (at(32, b"NXSB"), "apfs"),
        (at(7, b"-sqx-"), "sqx"),
        (at(14, b"\x1aJar\x1b\0"), "jarchive"),
        (at(1024, b"BD\0") || at(1024, b"BD\x9f") || at(1024, b"BD\xb1"), "hfs"),
        (at(0x10040, b"_BHRfS_M"), "disk"),
        (at(0x10034, b"ReIsEr"), "disk"),
        (at(512, b"LABELONE\0") || at(512, b"LABELONE\x01"), "disk"),
        (at(1024, b"\x10\x20\xf5\xf2") || at(1024, b"\xe2\xe1\xf5\xe0"), "disk"),
        (at(3, b"-FVE-FS-") || at(3, b"ReFS\0\0\0\0"), "disk"),
        (at(512, b"EFI PART"), "disk"),
        (at(1024, b"H+\0\x04") || at(1024, b"HX\0\x05"), "hfs"),
        (is_ext(data), "ext"),
        (at(3, b"NTFS    ") || at(3, b"EXFAT   "), "ntfs"),
        (is_fat(data), "fat"),
        (is_partitioned(data), "disk"),
    ];
    rows.into_iter().find(|(is, _)| *is).map(|(_, name)| name)
}

/// A member header: a method there is, a name of letters that ends with NUL, and a size that there is room for.
fn is_arc(data: &[u8]) -> bool {
    let Some((head, rest)) = data.split_first_chunk::<19>() else { return false };
    let end = head[2..15].iter().position(|c| *c == 0);
    let named = end.is_some_and(|end| end > 0 && head[2..2 + end].iter().all(|c| c.is_ascii_graphic()));
    let size = u32::from_le_bytes([head[15], head[16], head[17], head[18]]);
    head[0] == 0x1a && (1..=11).contains(&head[1]) && named && size > 0 && size as usize <= rest.len()
}

/// The superblock of ext2, 3 or 4: its mark, and a block size there is.
fn is_ext(data: &[u8]) -> bool {
    let number = |at: usize| data.get(at..).and_then(<[u8]>::first_chunk).map(|b| u32::from_le_bytes(*b));
    data.get(0x438..0x43a) == Some(b"\x53\xef") && number(0x418).is_some_and(|log| log <= 6) && number(0x44c).is_some_and(|rev| rev <= 1)
}

/// The boot sector of a FAT volume: a jump, sizes there are, the mark at its end.
pub(crate) fn is_fat(data: &[u8]) -> bool {
    let Some(boot) = data.first_chunk::<512>() else { return false };
    let sector = u16::from_le_bytes([boot[11], boot[12]]);
    let jump = boot[0] == 0xe9 || boot[0] == 0xeb;
    let tables = boot[16] == 1 || boot[16] == 2;
    jump && matches!(sector, 512 | 1024 | 2048 | 4096) && boot[13].is_power_of_two() && tables && boot[21] >= 0xf0
}

/// A partition table whose entries all make sense, one of them at least in use.
fn is_partitioned(data: &[u8]) -> bool {
    let Some(boot) = data.first_chunk::<512>() else { return false };
    let entries = boot[446..510].as_chunks::<16>().0;
    let number = |entry: &[u8; 16], at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    let sane = |entry: &[u8; 16]| matches!(entry[0], 0 | 0x80) && (entry[4] != 0 || entry.iter().all(|c| *c == 0));
    let used = |entry: &[u8; 16]| entry[4] != 0 && number(entry, 8) > 0 && number(entry, 12) > 0;
    data.len() > 512 && boot[510..] == [0x55, 0xaa] && entries.iter().all(sane) && entries.iter().any(used)
}

#[cfg(test)]
mod tests {
    use super::super::true_type;

    fn with(size: usize, marks: &[(usize, &[u8])]) -> Vec<u8> {
        let mut data = vec![0; size];
        for (at, mark) in marks {
            data[*at..*at + mark.len()].copy_from_slice(mark);
        }
        data
    }

    #[test]
    fn containers_are_known_by_more_than_two_bytes() {
        let rows: &[(Vec<u8>, &str)] = &[
            (with(40, &[(0, b"\x04\x22\x4d\x18\x64")]), "lz4"),
            (with(40, &[(0, b"\xff\x06\0\0sNaPpY")]), "snappy"),
            (with(40, &[(0, b"SIT!"), (10, b"rLau")]), "sit"),
            (with(40, &[(0, b"StuffIt (c)1997-2001 Aladdin")]), "sit"),
            (b"StuffIt is how this text starts".to_vec(), "text"),
            (b"Salted__\xff\xfe\xfd".to_vec(), "locked"),
            (b"bvx2\xe6R\xe4M\xa7".to_vec(), "lzfse"),
            (with(40, &[(0, b"StuffIt!\0\0")]), "sit"),
            (with(40, &[(0, b"ZOO 2.10 Archive.\x1a\0\0\xdc\xa7\xc4\xfd")]), "zoo"),
            (with(40, &[(0, b"\x1a\x08name.txt\0"), (15, b"\x05")]), "arc"),
            (with(20, &[(0, b"\x1a\x08name.txt\0"), (15, b"\x05")]), ""),
            (with(40, &[(0, b"\0\0\0\0\0\0\0**ACE**")]), "ace"),
            (with(40, &[(0, b"\x1f\x9d\x90")]), "compress"),
            (with(40, &[(0, b"\x1f\x9d\xf0")]), ""),
            (with(40, &[(0, b"\xc7\x71")]), ""),
            (with(40, &[(0, b"\x60\xea\xff\xff")]), ""),
            (b"070701 is how this text starts, with a number".to_vec(), "text"),
            (b"ISc( is how this text starts".to_vec(), "text"),
            (b"LZIP is how this text starts".to_vec(), "text"),
            (b"MSCF is how this text starts".to_vec(), "text"),
            (with(40, &[(0, b"MSCF"), (8, b"\xff"), (16, b"\x2c"), (24, b"\x03\x01\x01\0\x01\0")]), "cab"),
            (with(40, &[(0, b"MSWIM\0\0\0")]), "wim"),
            (with(0x9000, &[(0x8001, b"CD001")]), "iso"),
            (with(0x9000, &[(0x8001, b"BEA01")]), "udf"),
            (with(2048, &[(1536, b"koly\0\0\0\x04")]), "dmg"),
            (with(2048, &[(1536, b"conectix")]), "vhd"),
            (with(2048, &[(3, b"NTFS    ")]), "ntfs"),
            (with(2048, &[(0, b"\xeb\x3c\x90MSDOS5.0\0\x02\x01\x01\0\x02\xe0\0\x40\x0b\xf0")]), "fat"),
            (with(2048, &[(446, b"\x80\0\0\0\x0c\0\0\0\x3f\0\0\0\xff\x01\0\0"), (510, b"\x55\xaa")]), "disk"),
            (with(2048, &[(446, b"\x81\0\0\0\x0c\0\0\0\x3f\0\0\0\xff\x01\0\0"), (510, b"\x55\xaa")]), ""),
            (with(2048, &[(0x438, b"\x53\xef")]), "ext"),
            (with(2048, &[(1024, b"H+\0\x04")]), "hfs"),
            (with(40, &[(0, b"xar!\0\x1c")]), "xar"),
            (with(40, &[(0, b"hsqs")]), "squashfs"),
            (with(40, &[(0, b"\x19k-lh5-")]), "lzh"),
        ];
        for (data, want) in rows {
            let found = true_type(data);
            let head = String::from_utf8_lossy(&data[..data.len().min(30)]).into_owned();
            assert_eq!(found, *want, "{head:?}");
            for end in 0..data.len().min(2000) {
                true_type(&data[..end]);
            }
        }
    }
}

//! EBCDIC: the code pages of IBM's large machines, as far as they show ASCII characters. Which one a text is in is seldom said rightly, so
//! a text is decoded in all that differ.

/// Code page 37: a byte and its character, for the characters beside letters and digits.
const SIGNS: &[(u8, u8)] = &[
    (0x40, b' '),
    (0x4b, b'.'),
    (0x4c, b'<'),
    (0x4d, b'('),
    (0x4e, b'+'),
    (0x4f, b'|'),
    (0x50, b'&'),
    (0x5a, b'!'),
    (0x5b, b'$'),
    (0x5c, b'*'),
    (0x5d, b')'),
    (0x5e, b';'),
    (0x60, b'-'),
    (0x61, b'/'),
    (0x6b, b','),
    (0x6c, b'%'),
    (0x6d, b'_'),
    (0x6e, b'>'),
    (0x6f, b'?'),
    (0x79, b'`'),
    (0x7a, b':'),
    (0x7b, b'#'),
    (0x7c, b'@'),
    (0x7d, b'\''),
    (0x7e, b'='),
    (0x7f, b'"'),
    (0xa1, b'~'),
    (0xb0, b'^'),
    (0xba, b'['),
    (0xbb, b']'),
    (0xc0, b'{'),
    (0xd0, b'}'),
    (0xe0, b'\\'),
    (0x05, b'\t'),
    (0x0d, b'\r'),
    (0x15, b'\n'),
    (0x25, b'\n'),
];

/// What other code pages have elsewhere: pairs of a byte and its character. (From the tables of GNU libc's iconv.)
const PAGES: &[&[u8]] = &[
    // 37
    b"",
    // 1047, 939
    b"\x5f^\xad[\xbd]",
    // 500, 1148, 870, 875, 880, 423
    b"\x4a[\x4f!\x5a]\x5f^\xbb|",
    // 273, 1141
    b"\x43{\x4f!\x59~\x5f^\x63[\xb5@\xbb|\xdc}\xec\\\xfc]",
    // 277, 1142
    b"\x47}\x4a#\x4f!\x5f^\x67$\x80@\x9c{\x9e[\x9f]\xbb|\xdc~",
    // 278, 1143
    b"\x43{\x47}\x4f!\x51`\x5f^\x63#\x67$\x71\\\x9f]\xb5[\xbb|\xdc~\xec@",
    // 280, 1144
    b"\x44{\x48\\\x4f!\x51]\x54}\x58~\x5f^\x90[\xb1#\xb5@\xbb|\xdd`",
    // 284, 1145
    b"\x4a[\x5a]\x69#\xba^\xbb!\xbd~",
    // 285, 1146
    b"\x4a$\xb1[\xba^\xbc~",
    // 297, 1147
    b"\x44@\x48\\\x4f!\x51{\x54}\x5f^\x90[\xa0`\xb1#\xb5]\xbb|\xbd~",
    // 871, 1149
    b"\x4f!\x8c`\x8e{\x9c}\x9e]\xac@\xae[\xbb|\xbe\\\xcc~\xec^",
    // 1026
    b"\x48{\x4f!\x5f^\x68[\x8c}\x8d`\xac]\xad$\xae@\xbb|\xcc~\xdc\\\xec#\xfc\"",
    // 905
    b"\x48{\x4f!\x5f^\x68[\x8f|\xaf@\xb3}\xb6]\xb9$\xcc~\xda`\xdc\\\xec#\xfc\"",
    // 1160, 1132
    b"\x49[\x59]\x69^",
    // 933
    b"\x70[\x80]\xb2\\",
    // 935, 281, 290
    b"\xa0~\xb2\\\xe0$",
    // 930
    b"\x62a\x63b\x64c\x65d\x66e\x67f\x68g\x69h\x71i\x72j\x73k\x74l\x75m\x76n\x77o\x78p\x8bq\x9br\xabs\xb3t\xb4u\xb5v\xb6w\xb7x\xb8y\xb9z\x70[\x80]\xa0~\xb2\\\xe0$",
    // 803
    b"\x4a$",
    // Icelandic FRISS
    b"\x4a<\x4f!\x59$\x5a%\x5f&\x69#\x78|\xac[\xbc]",
];

/// Texts above this size are decoded in the usual code pages only.
const LARGE: usize = 1 << 20;
/// The usual ones.
const USUAL: usize = 3;

const fn base() -> [u8; 256] {
    let mut table = [0x1a; 256];
    // Letters stand in rows of nine and digits in one row.
    let mut i = 0;
    while i < 9 {
        table[0x81 + i] = b'a' + i as u8;
        table[0x91 + i] = b'j' + i as u8;
        table[0xc1 + i] = b'A' + i as u8;
        table[0xd1 + i] = b'J' + i as u8;
        table[0xf0 + i] = b'0' + i as u8;
        i += 1;
    }
    table[0xf9] = b'9';
    i = 0;
    while i < 8 {
        table[0xa2 + i] = b's' + i as u8;
        table[0xe2 + i] = b'S' + i as u8;
        i += 1;
    }
    i = 0;
    while i < SIGNS.len() {
        table[SIGNS[i].0 as usize] = SIGNS[i].1;
        i += 1;
    }
    table
}

const BASE: [u8; 256] = base();

/// Whether a charset's label names an EBCDIC code page, as `cp037`, `ibm-500`, `ebcdic-us`.
pub(super) fn is_label(label: &str) -> bool {
    let name: String = label.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    // Code pages of personal computers, and what else has a number.
    const PC: [&str; 34] = [
        "437", "720", "737", "775", "813", "819", "850", "852", "855", "857", "858", "860", "861", "862", "863", "864", "865", "866",
        "869", "874", "912", "915", "916", "920", "932", "936", "943", "949", "950", "1006", "1125", "10000", "65000", "65001",
    ];
    let number = ["csibm", "ibm", "cp", "xibm", "xcp"].into_iter().find_map(|start| name.strip_prefix(start));
    let number = number.map(|number| number.trim_start_matches('0')).filter(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
    name.contains("ebcdic") || number.is_some_and(|number| !PC.contains(&number) && !number.starts_with("125"))
}

/// Whether most bytes are letters, digits, blanks and signs of EBCDIC, and ASCII's blanks and line ends are missing.
pub(super) fn looks_like(data: &[u8]) -> bool {
    let head = data.get(..data.len().min(2048)).unwrap_or_default();
    if head.is_ascii() {
        return false;
    }
    let count = |is: fn(&u8) -> bool| head.iter().filter(|c| is(c)).count();
    // Nearly all other text fails here, at its first bytes.
    let high = count(|c| *c >= 0x80);
    if head.len() < LEAST || high * 10 < head.len() * 3 || count(|c| matches!(c, b' ' | b'\n')) * 20 > head.len() {
        return false;
    }
    let letters = count(|c| BASE[*c as usize].is_ascii_alphanumeric());
    let known = count(|c| BASE[*c as usize] != 0x1a || matches!(c, 0x4a | 0x5f | 0x63 | 0xad | 0xbd | 0xfc | 0 | 0x0c));
    letters * 10 >= head.len() * 3 && known * 20 >= head.len() * 17 && std::str::from_utf8(head).is_err()
}

/// The shortest text that is taken for EBCDIC by its look.
const LEAST: usize = 16;

/// The text in each code page, one after the other.
pub(super) fn decode(data: &[u8]) -> Vec<u8> {
    let pages = if data.len() > LARGE { PAGES.get(..USUAL).unwrap_or_default() } else { PAGES };
    let mut out = Vec::new();
    for page in pages {
        let mut table = BASE;
        for pair in page.as_chunks::<2>().0 {
            table[pair[0] as usize] = pair[1];
        }
        out.extend(data.iter().map(|c| table[*c as usize]));
        out.push(b'\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for label in ["cp037", "IBM-500", "ebcdic-cp-us", "ibm1047", "CP1140", "csIBM273"] {
            assert!(is_label(label), "{label}");
        }
        for label in ["", "cp1252", "ibm850", "cp437", "utf-8", "cp65001", "windows-1252", "ibm", "koi8-r", "cp1256"] {
            assert!(!is_label(label), "{label}");
        }
    }

    #[test]
    fn looks() {
        let text: Vec<u8> = b"A text, a long one, 123 words".iter().map(|c| BASE.iter().position(|b| b == c).unwrap() as u8).collect();
        assert!(looks_like(&text));
        assert!(decode(&text).starts_with(b"A text, a long one, 123 words\n"));
        for other in ["A text of plain words in ASCII", "Ein Text voller Umlaute: äöüÄÖÜß äöüÄÖÜß", "пример текста на русском языке"]
        {
            assert!(!looks_like(other.as_bytes()), "{other}");
        }
        // The same in KOI8-R.
        assert!(!looks_like(
            b"\xd0\xd2\xc9\xcd\xc5\xd2 \xd4\xc5\xcb\xd3\xd4\xc1 \xce\xc1 \xd2\xd5\xd3\xd3\xcb\xcf\xcd \xd1\xda\xd9\xcb\xc5"
        ));
    }
}

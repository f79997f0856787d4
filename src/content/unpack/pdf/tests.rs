use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use weezl::BitOrder;

use super::super::super::limits::{Budget, Limits};
use super::*;

/// What is hidden: a file that shows what it is.
const FILE: &[u8] = b"7z\xbc\xaf\x27\x1c\0\x04 and then the rest of what is hidden in here";

/// What is in a file, what was noticed, and whether it is encrypted.
type Opened = (Vec<(String, Vec<u8>)>, Vec<&'static str>, bool);

fn all(data: &[u8]) -> Opened {
    let mut budget = Budget::new(&Limits::default());
    let mut finds = Finds::new(&mut budget, 1000);
    let data = Bytes::copy_from_slice(data);
    open(&Leaf::new(&data, Some("a.pdf"), "", "", "pdf"), &mut finds);
    let items = finds.items.into_iter().filter_map(|item| match item {
        Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
        _ => None,
    });
    (items.collect(), finds.problems.iter().map(|p| p.code).collect(), finds.locked)
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn hex(content: &[u8]) -> Vec<u8> {
    content.iter().flat_map(|c| format!("{c:02X} ").into_bytes()).chain(*b">").collect()
}

fn base85(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for group in content.chunks(4) {
        let mut word = [0; 4];
        word[..group.len()].copy_from_slice(group);
        let mut value = u32::from_be_bytes(word);
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = (value % 85) as u8 + b'!';
            value /= 85;
        }
        out.extend(&digits[..=group.len()]);
    }
    [&out[..], b"~>"].concat()
}

fn runs(content: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = content.chunks(100).flat_map(|chunk| [&[chunk.len() as u8 - 1][..], chunk].concat()).collect();
    out.extend([255, b'!', 128]);
    out
}

fn lzw(content: &[u8]) -> Vec<u8> {
    weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(content).unwrap()
}

fn pdf(dictionary: &str, stream: &[u8]) -> Vec<u8> {
    let head = format!("%PDF-1.7\n%\u{e2}(\n5 0 obj\n<<{dictionary}>>\nstream\r\n");
    [head.as_bytes(), stream, b"\nendstream\nendobj\ntrailer\n<</Root 1 0 R>>\n"].concat()
}

#[test]
fn filters() {
    let up: Vec<u8> = FILE
        .chunks(10)
        .enumerate()
        .flat_map(|(row, line)| {
            let above = |n: usize| if row == 0 { 0 } else { FILE[(row - 1) * 10 + n] };
            std::iter::once(2)
                .chain(line.iter().enumerate().map(move |(n, c)| c.wrapping_sub(above(n))).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        })
        .collect();
    let mut damaged = zlib(FILE);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("/Filter/FlateDecode", zlib(FILE)),
        ("/Filter /Fl", zlib(FILE)),
        ("/Filter [ /Fl#61teDecode ]", zlib(FILE)),
        ("/Filter%comment >>\n/FlateDecode", zlib(FILE)),
        ("/Filter[/ASCIIHexDecode/FlateDecode]", hex(&zlib(FILE))),
        ("/Filter[/A85/AHx/Fl]", base85(&hex(&zlib(FILE)))),
        ("/Filter[/AHx/AHx/AHx/AHx/AHx/AHx/AHx/AHx]", (0..8).fold(FILE.to_vec(), |bytes, _| hex(&bytes))),
        ("/Filter/RunLengthDecode", runs(FILE)),
        ("/Filter/LZWDecode", lzw(FILE)),
        ("/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 10>>", zlib(&up)),
        ("/Filter/FlateDecode/Length 3", zlib(FILE)),
        ("/Filter/FlateDecode", damaged),
        ("/Filter/FlateDecode", zlib(FILE)[2..].to_vec()),
        ("/Filter 9 0 R", zlib(FILE)),
        ("/Filter/DCTDecode/Filter/FlateDecode", zlib(FILE)),
        ("", zlib(FILE)),
        ("/Type/EmbeddedFile", FILE.to_vec()),
    ];
    for (dictionary, stream) in rows {
        let whole = pdf(dictionary, &stream);
        let (items, problems, _) = all(&whole);
        assert!(items.iter().any(|(_, bytes)| bytes.starts_with(FILE)), "{dictionary}: {items:?}");
        assert!(problems.iter().all(|code| *code == "doc.pdf_attachment"), "{dictionary}: {problems:?}");
        // Without the mark of the end, and what follows it.
        let end = memmem::rfind(&whole, b"\nendstream").unwrap();
        let (items, ..) = all(&whole[..end]);
        assert!(items.iter().any(|(_, bytes)| bytes.starts_with(FILE)), "cut {dictionary}: {items:?}");
    }
}

#[test]
fn what_is_what() {
    let objects = b"12 0 <</Type/Filespec/UF(na\\155e.exe)/EF<</F 5 0 R>>>>";
    let mut two = pdf("/Type/ObjStm/Filter/FlateDecode", &zlib(objects));
    let text = b"a plain text that is attached";
    two.extend(pdf("/Filter/FlateDecode", &zlib(text)));
    let (items, problems, _) = all(&two);
    assert!(items.iter().any(|(name, bytes)| name == "name.exe" && bytes == text), "{items:?}");
    assert_eq!(problems, [""; 0]);
    // Text of pages, fonts and pictures are one part.
    let page = [pdf("/Filter/FlateDecode", &zlib(b"BT (hello) Tj ET")), pdf("/Filter/FlateDecode", &zlib(b"BT (you) Tj ET"))].concat();
    let (items, ..) = all(&page);
    assert_eq!(items.len(), 1);
    assert!(items[0].1.starts_with(PIECES) && memmem::find(&items[0].1, b"(you)").is_some());
    // A picture is looked at, but not to its end.
    let picture = pdf("/Subtype/Image/Width 2000/Height 2000/Filter/FlateDecode", &zlib(&vec![7; 4_000_000]));
    assert!(all(&picture).0[0].1.len() < 300_000);
    // A file that cannot be unpacked.
    assert_eq!(all(&pdf("/Type/EmbeddedFile/Filter/NewDecode", FILE)).1, ["doc.pdf_attachment", "archive.malformed"]);
}

#[test]
fn scripts_and_actions() {
    let rows: &[(&str, &[&str], &str)] = &[
        ("/S/JavaScript/JS(app.alert\\(1\\))", &["doc.pdf_script"], "app.alert(1)"),
        ("/S/J#61vaScript/#4aS<6170 702e>", &["doc.pdf_script"], "app."),
        ("/JS <FEFF00610070>", &["doc.pdf_script"], "ap"),
        ("/JS 5 0 R", &["doc.pdf_script"], "the stream"),
        ("/OpenAction<</S/Launch>>", &["doc.pdf_launch", "doc.pdf_action"], ""),
        ("/S/GoToR/AA<<>>", &["doc.pdf_action", "doc.pdf_remote"], ""),
    ];
    for (dictionary, want, script) in rows {
        let (items, problems, _) = all(&pdf(dictionary, b"the stream"));
        assert_eq!(problems, *want, "{dictionary}");
        let found = items.iter().find(|(name, _)| name == "script.js").map(|(_, bytes)| String::from_utf8_lossy(bytes).trim().to_owned());
        assert_eq!(found.unwrap_or_default(), *script, "{dictionary}");
    }
}

#[test]
fn encrypted() {
    let (_, problems, locked) = all(b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<</Encrypt 2 0 R>>\n");
    assert!(locked && problems == ["doc.encrypted"]);
    assert!(!all(b"%PDF-1.4\n1 0 obj\n<</EncryptMetadata true>>\nendobj\n").2);
    assert!(!all(b"%PDF-1.4\nThe trailer has a key /Encrypt where it is encrypted.\n").2);
}

/// Made by another program (pikepdf, which is qpdf): most open without a password, one has to be known.
#[test]
fn files_are_decrypted() {
    let rows: [(&[u8], &[&str]); 4] = [
        (include_bytes!("../../../../tests/documents/encrypted-rc4.pdf"), &[]),
        (include_bytes!("../../../../tests/documents/encrypted-aes128.pdf"), &[]),
        (include_bytes!("../../../../tests/documents/encrypted-aes256.pdf"), &[]),
        (include_bytes!("../../../../tests/documents/encrypted-password.pdf"), &["wrong", "winter26"]),
    ];
    for (data, passwords) in rows {
        let passwords: Vec<String> = passwords.iter().map(|word| (*word).to_owned()).collect();
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 1000).with_passwords(&passwords);
        let data = Bytes::copy_from_slice(data);
        open(&Leaf::new(&data, Some("a.pdf"), "", "", "pdf"), &mut finds);
        assert!(!finds.locked, "{passwords:?}");
        assert_eq!(finds.problems.iter().any(|p| p.code == "doc.password_in_text"), !passwords.is_empty());
        let plain = finds.items.iter().find_map(|item| match item {
            Item::Blob { name: Some(name), bytes } if name == "decrypted a.pdf" => Some(bytes.clone()),
            _ => None,
        });
        let (items, problems, locked) = all(&plain.unwrap());
        let seen = |(name, bytes): &(String, Vec<u8>)| name == "x.bin" && bytes.starts_with(b"This line stands for malware");
        assert!(items.iter().any(seen) && !locked, "{items:?} {problems:?}");
    }
}

#[test]
fn cut_and_flipped_at_every_byte() {
    let whole =
        pdf("/Filter[/A85/AHx/Fl]/DecodeParms<</Predictor 12/Columns 10>>/UF(a\\)b)/EF<</F 5 0 R>>/JS<41>", &base85(&hex(&zlib(FILE))));
    for at in 0..whole.len() {
        all(&whole[..at]);
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        all(&flipped);
    }
    for shape in [&b"("[..], b"<<stream\n", b">>stream\n", b"/Filter/AHx>>stream\n", b"/JS(", b"<"] {
        all(&[&b"%PDF-1.4 "[..], &shape.repeat(20_000)].concat());
    }
}

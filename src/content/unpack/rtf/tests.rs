use super::super::super::limits::{Budget, Limits};
use super::*;

fn opened(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut budget = Budget::new(&Limits::default());
    let mut finds = Finds::new(&mut budget, 100);
    let data = Bytes::copy_from_slice(data);
    open(&Leaf::new(&data, None, "", "", "rtf"), &mut finds);
    assert!(finds.problems.is_empty());
    let items = finds.items.into_iter().filter_map(|item| match item {
        Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
        _ => None,
    });
    items.collect()
}

const CONTENT: &[u8] = b"what the packaged file holds";

/// An object of the packager, as hexadecimal digits.
fn package() -> String {
    let native =
        [&b"\x02\0label.txt\0C:\\a\\file.txt\0\0\0\x03\0\x05\0\0\0temp\0"[..], &(CONTENT.len() as u32).to_le_bytes(), CONTENT, b"\0\0"]
            .concat();
    let header = b"\x01\x05\0\0\x02\0\0\0\x08\0\0\0Package\0\0\0\0\0\0\0\0\0";
    let object = [&header[..], &(native.len() as u32).to_le_bytes(), &native].concat();
    object.iter().map(|c| format!("{c:02x}")).collect()
}

#[test]
fn objects_in_any_dress() {
    let hex = package();
    let (a, b) = hex.split_at(101);
    let content: String = CONTENT.iter().map(|c| format!("{c:02x}")).collect();
    let (before, after) = hex.split_once(&content).unwrap();
    let raw =
        [format!("{{\\rt {{\\*\\objdata {before}\\bin{} ", CONTENT.len()).as_bytes(), CONTENT, format!("{after}}}}}").as_bytes()].concat();
    let rows: Vec<Vec<u8>> = [
        format!("{{\\rtf1{{\\object\\objemb{{\\*\\objdata {hex}}}}}}}"),
        format!("{{\\rt{{\\object{{\\objdata\r\n{}}}}}}}", hex.to_uppercase()),
        format!("junk\r\n{{\\rtf1{{\\*\\objdata {a}\r\n\t {b}"),
        format!("{{\\rtf1{{\\*\\objdata {a}{{\\*\\foo 4142}}{b}}}}}"),
        format!("{{\\rtf1{{\\*\\objdata {a}{{{{}}}}\\mmath {b}}}}}"),
        format!("{{\\rtf1{{\\*\\objdata {{{a}}}{{\\par {b}}}}}}}"),
        format!("{{\\rtf1{{\\*\\objdata {a}\\'41{b}}}}}"),
        format!("{{\\rtf1{{\\*\\objdata {a}xyz!{b}}}}}"),
        format!("{{\\rtf1{{\\*\\nobodyknows {hex}}}}}"),
    ]
    .into_iter()
    .map(String::into_bytes)
    .chain([raw])
    .collect();
    for row in rows {
        let items = opened(&row);
        let found = items.iter().any(|(name, bytes)| bytes.starts_with(CONTENT) && (name == "label.txt" || name.is_empty()));
        assert!(found, "{}: {items:?}", String::from_utf8_lossy(&row));
    }
}

#[test]
fn texts() {
    let rows = [
        ("{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}}gr\\'fc\\u223 ?e\\par {\\b bold} \\{\\}}", "text.txt", "grüße\nbold {}"),
        (
            "{\\rtf1\\fromhtml1{\\*\\htmltag64 <p>}\\htmlrtf {\\b \\htmlrtf0 hello\\htmlrtf }\\htmlrtf0{\\*\\htmltag72 </p>}}",
            "body.html",
            "<p>hello</p>",
        ),
        ("{\\rtf1\\uc2\\u8364 xxy}", "text.txt", "€y"),
    ];
    for (rtf, name, want) in rows {
        assert_eq!(opened(rtf.as_bytes()), [(name.to_owned(), want.as_bytes().to_vec())], "{rtf}");
    }
    assert_eq!(opened(b"{\\rtf1}"), []);
}

#[test]
fn cut_and_flipped_at_every_byte() {
    let hex = package();
    let whole = format!("{{\\rtf1 text\\u8364 ?{{\\*\\objdata {hex}{{\\*\\x 41}}\\bin4 {{}}{{}}41}}\\'41}}").into_bytes();
    for at in 0..whole.len() {
        opened(&whole[..at]);
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        opened(&flipped);
    }
    opened(&b"{".repeat(50_000));
    opened(&b"{\\objdata 41".repeat(50));
}

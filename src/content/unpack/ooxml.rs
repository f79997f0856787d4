//! Parts of OOXML (ECMA-376) and OpenDocument files, which are zips whose members the zip reader hands out: what in them starts or fetches
//! something, or is encrypted.

use memchr::memmem;

use super::super::find::{Finds, Leaf, Problem};
use super::Container;

pub(super) const CONTAINER: Container =
    Container { name: "office-parts", opens: "macros, links and encryption in parts of office documents", is, open };

/// The longest part that is looked at, in bytes; more than that is text of a document.
const MOST: usize = 16 << 20;
/// What of a link's target is told.
const MAX_TARGET: usize = 200;
/// Links noted of one part.
const MAX_LINKS: usize = 10;

fn is(leaf: &Leaf) -> bool {
    has_macros(leaf.true_type) || leaf.name.is_some_and(|name| name.contains('/') || name.ends_with(".xml") || name.ends_with(".rels"))
}

/// Documents that are called so because they have a project of Visual Basic.
fn has_macros(true_type: &str) -> bool {
    matches!(true_type, "docm" | "xlsm" | "pptm")
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let name = leaf.name.unwrap_or_default();
    let path = name.replace('\\', "/").to_ascii_lowercase();
    let data = leaf.data.get(..leaf.data.len().min(MOST)).unwrap_or_default();
    if has_macros(leaf.true_type) || is_macro(&path, data) {
        finds.note("doc.macros", "A document with macros", name);
    }
    if path.ends_with(".rels") && finds.look(data.len()) {
        links(data, finds);
    }
    let is_markup = leaf.true_type == "xml" || path.ends_with(".xml");
    if is_markup && path.ends_with("meta-inf/manifest.xml") && memmem::find(data, b"encryption-data").is_some() {
        finds.problems.push(Problem::encrypted("doc.encrypted", "An encrypted document", name));
    }
    if is_markup && (path.contains("word/") || path.contains("xl/") || path.contains("ppt/")) && finds.look(data.len()) && has_dde(data) {
        finds.note("doc.dde", "A document that asks another program for data", name);
    }
    if path.contains("/activex/") && path.ends_with(".xml") {
        finds.note("doc.activex", "A document with a control in it", name);
    }
}

/// Macros that are no project of Visual Basic: sheets of Excel 4, and the libraries of OpenDocument, which also lists those it has none of.
fn is_macro(path: &str, data: &[u8]) -> bool {
    let in_folder = |folder: &str| path.starts_with(folder) || path.contains(&format!("/{folder}"));
    let is_list = ["script-lb.xml", "script-lc.xml", "dialog-lb.xml", "dialog-lc.xml"].iter().any(|list| path.ends_with(list));
    in_folder("xl/macrosheets/")
        || (in_folder("basic/") && !is_list && memmem::find(data, b"script:module").is_some())
        || (in_folder("scripts/") && !path.ends_with('/') && [".py", ".bsh", ".js"].iter().any(|ending| path.ends_with(ending)))
}

/// Notes what is fetched from elsewhere by itself; links that a reader follows are no more than links.
fn links(data: &[u8], finds: &mut Finds) {
    let text = String::from_utf8_lossy(data);
    let external = text.split('<').filter(|tag| tag.contains("External") && !tag.contains("/hyperlink"));
    for tag in external.take(MAX_LINKS) {
        let target = tag.split_once("Target=").map(|(_, rest)| rest.trim_start_matches(['"', '\'']));
        let target = target.and_then(|rest| rest.split(['"', '\'']).next()).unwrap_or_default();
        let target: String = target.chars().take(MAX_TARGET).collect();
        finds.note("doc.external", "A document that fetches something from elsewhere", &target);
    }
}

/// Fields and links that start another program. A field's text may be in pieces, each between tags of its own.
fn has_dde(data: &[u8]) -> bool {
    if memmem::find(data, b"ddeLink").is_some() || memmem::find(data, b"w:ddeService").is_some() {
        return true;
    }
    let mut code = Vec::new();
    for found in memmem::find_iter(data, b"instrText").take(10_000) {
        let rest = data.get(found..).unwrap_or_default();
        let text = rest.split(|c| *c == b'>').nth(1).and_then(|text| text.split(|c| *c == b'<').next()).unwrap_or_default();
        code.extend_from_slice(text.get(..text.len().min(200)).unwrap_or_default());
    }
    memmem::find(&code.to_ascii_uppercase(), b"DDE").is_some() || memmem::find(data, b"w:instr=\"DDE").is_some()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn noted(name: &str, data: &[u8]) -> Vec<String> {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 100);
        let data = Bytes::copy_from_slice(data);
        let leaf = Leaf::new(&data, Some(name), "", "", "xml");
        assert!(is(&leaf));
        open(&leaf, &mut finds);
        finds.problems.iter().map(|p| format!("{} {}", p.code, p.evidence)).collect()
    }

    #[test]
    fn parts() {
        let rels = "<Relationships><Relationship Id='a' Type='http://x/hyperlink' Target='http://link.example/' TargetMode='External'/>\
             <Relationship Type='http://x/attachedTemplate' Target='http://evil.example/t.dotm' TargetMode='External'/></Relationships>";
        let rows: &[(&str, &str, &[&str])] = &[
            ("word/_rels/settings.xml.rels", rels, &["doc.external http://evil.example/t.dotm"]),
            ("xl/macrosheets/sheet1.xml", "<?xml version='1.0'?><m/>", &["doc.macros xl/macrosheets/sheet1.xml"]),
            ("Basic/Standard/Module1.xml", "<?xml version='1.0'?><script:module>", &["doc.macros Basic/Standard/Module1.xml"]),
            ("Basic/Standard/script-lb.xml", "<?xml version='1.0'?><library:library>", &[]),
            ("Scripts/python/x.py", "print()", &["doc.macros Scripts/python/x.py"]),
            ("META-INF/manifest.xml", "<?xml version='1.0'?><manifest:encryption-data>", &["doc.encrypted META-INF/manifest.xml"]),
            (
                "word/document.xml",
                "<w:instrText>DD</w:instrText><w:r/><w:instrText xml:space='preserve'>EAUTO c:\\</w:instrText>",
                &["doc.dde word/document.xml"],
            ),
            ("word/document.xml", "<w:t>DDE is a protocol</w:t><w:instrText>PAGE</w:instrText>", &[]),
            ("word/activeX/activeX1.xml", "<ax:ocx/>", &["doc.activex word/activeX/activeX1.xml"]),
        ];
        for (name, data, want) in rows {
            assert_eq!(noted(name, data.as_bytes()), *want, "{name}");
            for end in 0..data.len() {
                noted(name, &data.as_bytes()[..end]);
            }
        }
    }
}

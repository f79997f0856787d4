//! Visual Basic in documents (MS-OVBA): its modules unpacked to text, and the names by which one starts by itself.

use bytes::Bytes;

use super::super::super::find::Finds;
use super::super::ints::le16;
use crate::mail::Reason;

/// Bytes that a chunk unpacks to.
const CHUNK: usize = 4096;
/// Bytes that all chunks of one container may unpack to; programs that write modules stop at a fraction of it.
const MAX_UNPACKED: usize = 16 << 20;
/// Modules looked for in one stream: the second is what an editor left there.
const MAX_MODULES: usize = 1_000;
/// What every module's text begins with, as it stands packed.
const BEGIN: &[u8] = b"\0Attribut";
/// Procedures that an office program calls by itself, in lower case.
const AUTOSTART: [&str; 27] = [
    "autoopen",
    "auto_open",
    "autoexec",
    "auto_exec",
    "autonew",
    "autoclose",
    "auto_close",
    "autoexit",
    "auto_activate",
    "auto_deactivate",
    "document_open",
    "document_new",
    "document_close",
    "document_beforeclose",
    "documentopen",
    "documentbeforeclose",
    "workbook_open",
    "workbook_activate",
    "workbook_deactivate",
    "workbook_close",
    "workbook_beforeclose",
    "presentation_open",
    "slideshow_begin",
    "onslideshowpagechange",
    "inkpicture_painted",
    "auto_add",
    "workbook_addininstall",
];

/// Hands out the text of modules that stand in a stream; false where a limit is reached.
pub(super) fn modules(name: &str, bytes: &Bytes, finds: &mut Finds) -> bool {
    let mut starts: Vec<usize> = memchr::memmem::find_iter(bytes, BEGIN).filter_map(|at| at.checked_sub(3)).take(MAX_MODULES + 1).collect();
    let too_many = starts.len() > MAX_MODULES;
    starts.truncate(MAX_MODULES);
    // The list of modules is packed from its start; so is, oddly, a module without what an editor keeps before it.
    starts.insert(0, 0);
    starts.dedup();
    for start in starts {
        let Some(packed) = bytes.get(start..).filter(|packed| is_packed(packed)) else { continue };
        if !finds.look(packed.len()) {
            return false;
        }
        let text = unpack(packed);
        if text.len() >= MAX_UNPACKED {
            finds.unseen("archive.limit.bytes", Reason::Limit, "A macro longer than any is", name);
        }
        note_autostart(name, &text, finds);
        if !text.is_empty() && !finds.add_decoded(Some(format!("{name}.bas")), text) {
            return false;
        }
    }
    if too_many {
        finds.unseen("archive.limit.members", Reason::Limit, "More macro modules in one stream than the limit", name);
    }
    true
}

/// Whether a packed container starts here.
fn is_packed(bytes: &[u8]) -> bool {
    bytes.first() == Some(&1) && le16(bytes, 1).is_some_and(|header| header & 0x7000 == 0x3000)
}

/// Unpacks a container (MS-OVBA section 2.4.1): chunks of literal bytes and of copies from what came before in the chunk. Ends where it
/// breaks off.
pub(super) fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 1;
    while let Some(header) = le16(packed, at).filter(|header| header & 0x7000 == 0x3000 && out.len() < MAX_UNPACKED) {
        let size = usize::from(header & 0xfff) + 3;
        let end = at.saturating_add(size).min(packed.len());
        let chunk = packed.get(at + 2..end).unwrap_or_default();
        if header & 0x8000 == 0 {
            out.extend(chunk);
        } else {
            unpack_chunk(chunk, &mut out);
        }
        at = end;
    }
    out
}

fn unpack_chunk(chunk: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut at = 0;
    while let Some(flags) = chunk.get(at) {
        at += 1;
        for bit in 0..8 {
            if out.len() - start >= CHUNK {
                return;
            }
            if flags >> bit & 1 == 0 {
                let Some(byte) = chunk.get(at) else { return };
                out.push(*byte);
                at += 1;
                continue;
            }
            let Some(token) = le16(chunk, at) else { return };
            at += 2;
            // The further into the chunk, the more bits are for the distance.
            let done = out.len() - start;
            let bits = done.saturating_sub(1).checked_ilog2().map_or(0, |n| n + 1).clamp(4, 12);
            let length = usize::from(token & (0xffff >> bits)) + 3;
            let distance = usize::from(token >> (16 - bits)) + 1;
            if distance > done {
                return;
            }
            for _ in 0..length.min(CHUNK - done) {
                let Some(byte) = out.get(out.len() - distance).copied() else { return };
                out.push(byte);
            }
        }
    }
}

/// Notes procedures of the text that start by themselves.
fn note_autostart(name: &str, text: &[u8], finds: &mut Finds) {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let subs = text.match_indices("sub ").chain(text.match_indices("function "));
    let started = subs.filter_map(|(at, word)| {
        let called = text.get(at + word.len()..)?.trim_start();
        let end = called.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(called.len());
        called.get(..end).filter(|called| AUTOSTART.contains(called))
    });
    if let Some(called) = started.take(1).next() {
        finds.note("doc.macros_autostart", "A macro that starts by itself", &format!("{name}: {called}"));
    }
}

/// Names of streams under which Visual Basic keeps what it has.
pub(super) fn is_project(name: &str) -> bool {
    name.eq_ignore_ascii_case("_VBA_PROJECT") || name.eq_ignore_ascii_case("_VBA_PROJECT_CUR")
}

#[cfg(test)]
mod tests {
    use super::super::super::super::limits::{Budget, Limits};
    use super::*;

    #[test]
    fn many_modules() {
        for (decoys, want) in [(17, vec!["doc.macros_autostart"]), (MAX_MODULES, vec!["archive.limit.members"])] {
            let text = b"\0Attribut\0e a\nSub \0auto_ope\0n()\n";
            let module: Vec<u8> = [&b"\x01\x1f\xb0"[..], text].concat();
            let bytes = Bytes::from([b"xxx\0Attribut".repeat(decoys), module].concat());
            let mut budget = Budget::new(&Limits::default());
            let mut finds = Finds::new(&mut budget, 10);
            assert!(modules("x", &bytes, &mut finds));
            assert_eq!(finds.problems.iter().map(|p| p.code).collect::<Vec<_>>(), want, "{decoys}");
        }
    }
}

//! Strings of UTF-16 in files that are no texts: documents and links of Windows keep words so.

use super::super::find::{Finds, Leaf};
use super::super::sniff;
use super::Reading;

pub(super) const READING: Reading = Reading { name: "wide", reads: "strings of UTF-16 in files that are no texts", read };

/// Characters of the shortest string that is of interest.
const LEAST: usize = 24;
/// What strings hold besides what is shown.
const BLANKS: [u8; 3] = [b'\t', b'\r', b'\n'];

/// Whether strings may stand in it as they are: not where all is packed or pixels.
fn may_hold(leaf: &Leaf) -> bool {
    matches!(leaf.true_type, "" | "ole2" | "msi" | "exe" | "lnk" | "one" | "emf" | "wmf" | "swf" | "java" | "iso")
        && !sniff::is_text(leaf.true_type)
}

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    if !may_hold(leaf) || !finds.look(data.len()) {
        return;
    }
    let shown = |c: &u8| matches!(c, b' '..=b'~') || BLANKS.contains(c);
    let mut all: Vec<u8> = Vec::new();
    let mut from = 0;
    for zero in memchr::memchr_iter(0, data) {
        // The string goes on as long as each second byte is zero.
        let Some(at) = zero.checked_sub(1).filter(|at| *at >= from) else { continue };
        let run = data.get(at..).unwrap_or_default().as_chunks::<2>().0.iter().take_while(|[c, high]| *high == 0 && shown(c)).count();
        from = at + run * 2;
        if run >= LEAST {
            all.extend(data.get(at..from).unwrap_or_default().iter().step_by(2));
            // With the zeros first, none follows the last character.
            all.extend(data.get(from).filter(|c| shown(c)));
            all.push(b'\n');
        }
    }
    if !all.is_empty() {
        finds.add_guess(super::untyped(all));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn strings() {
        let words = "Words of a message that stands here";
        let little: Vec<u8> = words.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = words.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let junk = b"\x01\x02\x00\xff\xfe\x00\x00\x80";
        for string in [&little, &big] {
            let data = [&junk[..], string, junk].concat();
            assert_eq!(found(READING.read, &data), [format!("\0\n{words}\n")], "{data:?}");
        }
        assert!(found(READING.read, &[&junk[..], &little[..20], junk].concat()).is_empty());
        assert!(found(READING.read, words.as_bytes()).is_empty());
    }
}

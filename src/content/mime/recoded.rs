//! Text in a charset that does not show ASCII as itself (UTF-7, UTF-16, UTF-32), as UTF-8 for those who look at bytes.

use super::super::find::{Finds, Leaf};
use super::Reading;
use super::charset;

pub(super) const READING: Reading = Reading { name: "recoded", reads: "text in UTF-7, UTF-16 or UTF-32, turned into UTF-8", read };

fn read(leaf: &Leaf, finds: &mut Finds) {
    let text_like = leaf.declared.is_empty() || leaf.declared.starts_with("text") || leaf.true_type == "text" || leaf.true_type == "html";
    if text_like && let Some(text) = charset::decode_wide(leaf.data, leaf.charset) {
        finds.look(leaf.data.len());
        finds.add_decoded(None, text.into_bytes());
    }
}

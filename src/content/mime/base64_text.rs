//! A leaf that is nothing but base64, though its transfer encoding says otherwise or nothing.

use super::super::find::{Finds, Leaf};
use super::super::sniff;
use super::Reading;
use super::base64::{self, Style};

pub(super) const READING: Reading = Reading { name: "base64_text", reads: "a body that is all base64 without saying so", read };

/// Shorter ones could be a word or a number.
const LEAST: usize = 40;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if sniff::is_text(leaf.true_type) && base64::looks_like(leaf.data, LEAST) && finds.look(leaf.data.len()) {
        let decoded = base64::decode(leaf.data, Style::Chunks);
        if decoded.at_junk.is_none() {
            finds.note("mime.base64_undeclared", "A body is base64 without saying so", leaf.name.unwrap_or_default());
            finds.add_decoded(None, decoded.bytes);
        }
    }
}

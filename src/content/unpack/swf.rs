//! Flash, compressed: eight bytes of header, then a zlib stream.

use flate2::bufread::ZlibDecoder;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "swf", opens: "compressed Flash", is: |leaf| leaf.true_type == "swf", open };

fn open(leaf: &Leaf, finds: &mut Finds) {
    let name = leaf.name.unwrap_or_default();
    let packed = leaf.data.get(8..).unwrap_or_default();
    match leaf.data.first() {
        Some(b'C') => {
            let (bytes, _) = finds.unpack(ZlibDecoder::new(packed), packed.len(), name);
            finds.add(Item::Blob { name: None, bytes });
        }
        Some(b'Z') => finds.unseen("archive.unknown", Reason::UnknownContainer, "Flash packed in a way that is not opened here", name),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::testing::{each_cut_and_flip, opened};
    use super::*;

    #[test]
    fn compressed() {
        let mut packed = flate2::write::ZlibEncoder::new(b"CWS\x0a\x20\0\0\0".to_vec(), flate2::Compression::default());
        packed.write_all(b"hello").unwrap();
        let file = packed.finish().unwrap();
        assert_eq!(crate::content::sniff::true_type(&file), "swf");
        assert_eq!(opened(&CONTAINER, "swf", &file), (vec![(String::new(), b"hello".to_vec())], vec![]));
        each_cut_and_flip(&CONTAINER, "swf", &file);
        assert_eq!(opened(&CONTAINER, "swf", b"ZWS\x0a\x20\0\0\0x").1, ["archive.unknown"]);
    }
}

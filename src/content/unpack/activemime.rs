//! ActiveMime (`editdata.mso`, `oledata.mso`): what Office packs into pages and XML documents that it saves: a header, and an OLE2 file in zlib.

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::lenient;

pub(super) const CONTAINER: Container = Container {
    name: "activemime",
    opens: "macros and objects beside pages and XML documents of Office",
    is: |leaf| leaf.true_type == "activemime",
    open,
};

/// How far behind the mark the packed data may start, in bytes.
const HEADER: usize = 512;

fn open(leaf: &Leaf, finds: &mut Finds) {
    let starts = memchr::memchr_iter(b'x', leaf.data.get(..HEADER.min(leaf.data.len())).unwrap_or_default());
    for at in starts {
        let packed = leaf.data.get(at..).unwrap_or_default();
        if lenient::is_deflated(packed, true, 8) {
            let (bytes, _) = lenient::inflate(packed, u64::MAX, leaf.name.unwrap_or_default(), finds);
            finds.add(Item::Blob { name: None, bytes });
            return;
        }
    }
    finds.unseen("archive.malformed", crate::mail::Reason::Malformed, "Packed data that cannot be unpacked", leaf.name.unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};

    use super::super::testing::{each_cut_and_flip, opened};
    use super::*;

    #[test]
    fn what_is_packed_comes_out() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&b"hello ".repeat(10)).unwrap();
        let file = [&b"ActiveMime"[..], &[0, 0, 1, 0xf0, 4, 0, 0, 0], &[0xff; 8], &[0; 24], &encoder.finish().unwrap()].concat();
        let (items, problems) = opened(&CONTAINER, "", &file);
        assert_eq!((items.len(), problems.len()), (1, 0));
        assert_eq!(items[0].1, b"hello ".repeat(10));
        assert_eq!(opened(&CONTAINER, "", b"ActiveMime").1, ["archive.malformed"]);
        each_cut_and_flip(&CONTAINER, "", &file);
    }
}

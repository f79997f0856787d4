//! ar, which is what Debian packages and static libraries are: names short, after GNU's way and after BSD's.

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::ints::digits;
use crate::mail::Reason;

pub(super) const CONTAINER: Container =
    Container { name: "ar", opens: "ar archives and Debian packages", is: |leaf| leaf.true_type == "ar", open };

const HEADER: usize = 60;

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let mut at = 8;
    let mut long_names = Bytes::new();
    while let Some(header) = data.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
        let Some(size) = digits(&header[48..58], 10).filter(|_| header.ends_with(b"`\n")) else {
            finds.unseen(
                "archive.malformed",
                Reason::Malformed,
                "An ar archive with a member that cannot be read",
                leaf.name.unwrap_or_default(),
            );
            return;
        };
        let start = at + HEADER;
        let end = start.saturating_add(size).min(data.len());
        if size > data.len() - start {
            finds.unseen("archive.malformed", Reason::Malformed, "An ar archive that ends within a member", leaf.name.unwrap_or_default());
        }
        let mut content = data.slice(start..end);
        let mut name = String::from_utf8_lossy(header[..16].trim_ascii_end()).into_owned();
        if name == "//" {
            long_names = content.clone();
        }
        if let Some(length) = name.strip_prefix("#1/").and_then(|length| length.parse::<usize>().ok()) {
            let own = content.split_to(length.min(content.len()));
            name = super::ints::until_nul(&own);
        } else if let Some(place) = name.strip_prefix('/').and_then(|place| place.parse::<usize>().ok()) {
            let rest = long_names.get(place..).unwrap_or_default();
            name = String::from_utf8_lossy(rest.split(|c| *c == b'\n').next().unwrap_or_default()).into_owned();
        }
        let is_index = matches!(name.as_str(), "/" | "//" | "/SYM64/");
        if !is_index && !finds.add(Item::Blob { name: Some(name.trim_end_matches('/').to_owned()), bytes: content }) {
            return;
        }
        at = end + end % 2;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{each_cut_and_flip, opened};
    use super::*;

    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let mut out = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 644, content.len()).into_bytes();
        out.extend(content);
        out.resize(out.len().next_multiple_of(2), b'\n');
        out
    }

    #[test]
    fn members() {
        let archive = [
            b"!<arch>\n".to_vec(),
            member("//", b"a-rather-long-name.txt/\n"),
            member("short/", b"one"),
            member("/0", b"two"),
            member("#1/4", b"bsd\0three"),
        ]
        .concat();
        let (items, problems) = opened(&CONTAINER, "ar", &archive);
        let named: Vec<_> = items.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        assert_eq!(named, [("short", &b"one"[..]), ("a-rather-long-name.txt", b"two"), ("bsd", b"three")]);
        assert_eq!(problems, Vec::<&str>::new());
        each_cut_and_flip(&CONTAINER, "ar", &archive);
        assert_eq!(opened(&CONTAINER, "ar", &archive[..archive.len() - 4]).1, ["archive.malformed"]);
    }
}

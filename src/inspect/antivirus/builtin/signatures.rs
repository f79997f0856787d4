//! ClamAV's text signatures that can be matched by hash or by one literal: `.hdb`, `.hsb`, and `.ndb` with offset `*`
//! (ClamAV documentation, "Signatures": file hash and extended signatures).

use std::collections::{HashMap, HashSet};

/// The shortest literal that is taken, in bytes; shorter ones would match everything.
pub const MIN_LITERAL: usize = 4;

/// The lists of a directory, read but not yet made into a matcher.
#[derive(Debug, Default)]
pub struct Lists {
    /// Hash (16, 20 or 32 bytes), the size it is for (`None`: any), and the name.
    pub hashes: Hashes,
    /// Literals and their names, in the order of the files.
    pub literals: Vec<(Vec<u8>, String)>,
    /// Lines that need more than a hash or a literal, or are no signature.
    pub not_understood: usize,
    /// The first of those, as `file:line`.
    pub first_not_understood: Option<String>,
}

/// For which size in bytes a hash is meant (`None`: any), and the signature's name.
type Named = (Option<u64>, String);

/// File hashes, and for which sizes each kind of hash has to be computed at all.
#[derive(Debug, Default)]
pub struct Hashes {
    names: HashMap<Box<[u8]>, Vec<Named>>,
    sized: HashSet<(usize, u64)>,
    any_size: HashSet<usize>,
}

impl Hashes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.values().map(Vec::len).sum()
    }

    /// Whether a file of `size` bytes can be on a list of hashes of this length in bytes.
    pub fn wanted(&self, length: usize, size: u64) -> bool {
        self.any_size.contains(&length) || self.sized.contains(&(length, size))
    }

    /// The name for this hash of a file of `size` bytes.
    pub fn get(&self, hash: &[u8], size: u64) -> Option<&str> {
        let names = self.names.get(hash)?;
        names.iter().find(|(of, _)| of.is_none_or(|of| of == size)).map(|(_, name)| name.as_str())
    }

    fn add(&mut self, hash: Vec<u8>, size: Option<u64>, name: &str) {
        match size {
            Some(size) => _ = self.sized.insert((hash.len(), size)),
            None => _ = self.any_size.insert(hash.len()),
        }
        self.names.entry(hash.into()).or_default().push((size, name.to_owned()));
    }
}

impl Lists {
    /// Reads one file; `extension` says which format, without the dot. Says whether it is one that is read here.
    pub fn read(&mut self, file: &str, extension: &str, text: &[u8]) -> bool {
        let add: fn(&mut Self, &str) -> Option<()> = match extension {
            "hdb" | "hsb" => Self::hash,
            "ndb" => Self::literal,
            _ => return false,
        };
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if add(self, line).is_none() {
                self.not_understood += 1;
                self.first_not_understood.get_or_insert_with(|| format!("{file}:{}", at + 1));
            }
        }
        true
    }

    /// `HASH:SIZE:NAME[:…]`
    fn hash(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split(':');
        let hash = hex(fields.next()?).filter(|hash| matches!(hash.len(), 16 | 20 | 32))?;
        let size = match fields.next()? {
            "*" => None,
            number => Some(number.parse().ok()?),
        };
        let name = fields.next().filter(|name| !name.is_empty())?;
        self.hashes.add(hash, size, name);
        Some(())
    }

    /// `NAME:TARGET:OFFSET:HEX[:…]`; the target type is not looked at, so that more is found rather than less.
    fn literal(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        fields.next()?.parse::<u32>().ok()?;
        if fields.next()? != "*" {
            return None;
        }
        let literal = hex(fields.next()?).filter(|literal| literal.len() >= MIN_LITERAL)?;
        self.literals.push((literal, name.to_owned()));
        Some(())
    }

    /// How many signatures were understood.
    pub fn len(&self) -> usize {
        self.hashes.len() + self.literals.len()
    }
}

/// Plain hex digits as bytes; `None` for wildcards and anything else.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(value(pair.first()?)? << 4 | value(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let md5 = "44d88612fea8a8f36de82e1278abb02f";
        let rows: &[(&str, String, bool)] = &[
            ("hdb", format!("{md5}:68:Test.Md5"), true),
            ("hdb", format!("{}:*:Test.Md5:73", md5.to_uppercase()), true),
            ("hsb", format!("{}:68:Test.Sha1", "ab".repeat(20)), true),
            ("hsb", format!("{}:68:Test.Sha256", "ab".repeat(32)), true),
            ("hsb", format!("{}:68:Test", "ab".repeat(31)), false),
            ("hdb", format!("{md5}:x:Test"), false),
            ("hdb", format!("{md5}:68:"), false),
            ("hdb", md5.to_owned(), false),
            ("ndb", "Test.A:0:*:414243444546".to_owned(), true),
            ("ndb", "Test.A:4:*:414243444546:51:99".to_owned(), true),
            ("ndb", "Test.A:0:0:414243444546".to_owned(), false),
            ("ndb", "Test.A:0:EP+0:414243444546".to_owned(), false),
            ("ndb", "Test.A:0:*:4142??4546".to_owned(), false),
            ("ndb", "Test.A:0:*:4142*454647".to_owned(), false),
            ("ndb", "Test.A:0:*:4142{2-4}4546".to_owned(), false),
            ("ndb", "Test.A:0:*:414".to_owned(), false),
            ("ndb", "Test.A:0:*:4142".to_owned(), false),
            ("ndb", ":0:*:41424344".to_owned(), false),
            ("ndb", "ä:ö".to_owned(), false),
        ];
        for (extension, line, ok) in rows {
            let mut lists = Lists::default();
            assert!(lists.read("x", extension, format!("# comment\n\n{line}\r\n").as_bytes()));
            assert_eq!((lists.len(), lists.not_understood), if *ok { (1, 0) } else { (0, 1) }, "{line}");
            assert_eq!(lists.first_not_understood.as_deref(), if *ok { None } else { Some("x:3") }, "{line}");
            for cut in 0..line.len() {
                Lists::default().read("x", extension, &line.as_bytes()[..cut]);
            }
        }
        assert!(!Lists::default().read("x", "ldb", b"a"), "other formats are not read");
    }

    #[test]
    fn hashes_are_looked_up_by_size() {
        let mut lists = Lists::default();
        lists.read("x", "hdb", format!("{}:3:Three\n{}:*:Any", "00".repeat(16), "11".repeat(16)).as_bytes());
        let hashes = &lists.hashes;
        assert_eq!((hashes.get(&[0; 16], 3), hashes.get(&[0; 16], 4), hashes.get(&[0x11; 16], 4)), (Some("Three"), None, Some("Any")));
        assert!(hashes.wanted(16, 99) && !hashes.wanted(32, 3));
    }
}

//! Tokens for the API over HTTP: `Authorization: Bearer …`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::who::By;

/// A shorter token is refused: it could be guessed.
pub const MIN_TOKEN: usize = 20;

/// The tokens of a file, each with the name of its holder.
#[derive(Clone, Default)]
pub struct Tokens(Vec<(String, String)>);

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("token file {path}: {source}; write one `name:token` a line and give it mode 0600", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others than owner and group can read it.
    #[error("token file {path} can be read by everybody; chmod 0600 {path}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// A line is not `name:token`.
    #[error("token file {path}, line {line}: write `name:token`, the token with at least {MIN_TOKEN} characters", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// There is no token in it.
    #[error("token file {path} has no token; write one `name:token` a line", path = path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

impl Tokens {
    /// Reads a file of `name:token` lines; empty lines and lines that begin with `#` are passed over.
    ///
    /// # Errors
    /// When it cannot be read, everybody can read it, or a line is wrong.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |source| TokenError::Unreadable { path: path.into(), source };
        if fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o007 != 0 {
            return Err(TokenError::Open { path: path.into() });
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        let tokens = lines.map(|(number, line)| read_line(line).ok_or(TokenError::Line { path: path.into(), line: number + 1 }));
        let tokens: Vec<_> = tokens.collect::<Result<_, _>>()?;
        if tokens.is_empty() { Err(TokenError::Empty { path: path.into() }) } else { Ok(Self(tokens)) }
    }

    /// Whose token the value of an `Authorization` field carries (RFC 6750 section 2.1). Every token is compared to its end, so that the
    /// time it takes says nothing.
    pub fn holder(&self, authorization: &str) -> Option<By> {
        let (scheme, given) = authorization.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut holder = None;
        for (name, token) in &self.0 {
            if same(token.as_bytes(), given.trim().as_bytes()) {
                holder = Some(By(name.clone()));
            }
        }
        holder
    }
}

fn read_line(line: &str) -> Option<(String, String)> {
    let (name, token) = line.split_once(':')?;
    let (name, token) = (name.trim(), token.trim());
    let printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    (printable(name) && printable(token) && token.len() >= MIN_TOKEN).then(|| (name.to_owned(), token.to_owned()))
}

/// Compares in a time that depends on the length of `given` alone.
fn same(token: &[u8], given: &[u8]) -> bool {
    let differs = |at: usize, byte: &u8| token.get(at).map_or(1, |own| own ^ byte);
    let difference = given.iter().enumerate().fold(u8::from(token.len() != given.len()), |sum, (at, byte)| sum | differs(at, byte));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdefghij";

    fn load(text: &str, mode: u32) -> Result<Tokens, TokenError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Tokens::load(&path)
    }

    #[test]
    fn files() {
        let good = format!("# people\n\nann: {TOKEN}\nmonitor:{TOKEN}x\n");
        assert!(load(&good, 0o600).is_ok() && load(&good, 0o640).is_ok());
        assert!(matches!(load(&good, 0o644), Err(TokenError::Open { .. })));
        assert!(matches!(load("", 0o600), Err(TokenError::Empty { .. })));
        for bad in ["ann", "ann:short", ":0123456789abcdefghij", "ann:0123456789 abcdefghijk"] {
            let text = format!("# one\n{bad}\n");
            assert!(matches!(load(&text, 0o600), Err(TokenError::Line { line: 2, .. })), "{bad}");
        }
        assert!(matches!(Tokens::load(Path::new("/nonexistent/tokens")), Err(TokenError::Unreadable { .. })));
    }

    #[test]
    fn holders() {
        let tokens = load(&format!("ann:{TOKEN}\ncarl:{TOKEN}2\n"), 0o600).unwrap();
        for (value, want) in [
            (format!("Bearer {TOKEN}"), Some("ann")),
            (format!("bearer  {TOKEN}2"), Some("carl")),
            (format!("Basic {TOKEN}"), None),
            (format!("Bearer {TOKEN}3"), None),
            (format!("Bearer {}", &TOKEN[..19]), None),
            ("Bearer ".into(), None),
            ("Bearer".into(), None),
            (String::new(), None),
        ] {
            assert_eq!(tokens.holder(&value), want.map(|name| By(name.into())), "{value:?}");
        }
    }
}

//! The token for loopback HTTP where the configuration names no `token_file`: made on first start, and kept.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name in the data directory.
const NAME: &str = "admin.tokens";

/// The token file in the data directory, readable by the gateway's user alone.
///
/// # Errors
/// It cannot be written; the text says where.
pub fn made(data_dir: &Path) -> Result<PathBuf, String> {
    let path = data_dir.join(NAME);
    if path.exists() {
        return Ok(path);
    }
    let write = || -> std::io::Result<()> {
        let mut random = [0u8; 24];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        writeln!(file, "# one name:token a line, for admin.http\nadmin:{token}")?;
        file.sync_all()
    };
    write()
        .map_err(|error| format!("cannot make the token for admin.http in {}: {error}; name a token_file in [admin]", path.display()))?;
    tracing::info!(file = %path.display(), "made a token for admin.http");
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::token::Tokens;

    #[test]
    fn made_once_and_good() {
        let dir = tempfile::tempdir().unwrap();
        let path = made(dir.path()).unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(made(dir.path()).unwrap(), path);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
        assert!(Tokens::load(&path).is_ok());
        assert!(made(Path::new("/proc/none")).unwrap_err().contains("token_file"));
    }
}

//! The version in force: a number that every record carries, made of configuration and rules.

use sha2::{Digest, Sha256};

use crate::mail::VersionId;

/// The first 12 hex digits of a SHA-256 over the canonical configuration and the digest of all rule text.
pub fn version(canonical: &str, rules: [u8; 32]) -> VersionId {
    let mut digest = Sha256::new();
    digest.update((canonical.len() as u64).to_be_bytes());
    digest.update(canonical);
    digest.update(rules);
    let hex: String = digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    VersionId(hex.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_where_text_or_rules_do() {
        let one = version("a = 1\n", [0; 32]);
        assert_eq!(one.0.len(), 12);
        assert_eq!(one, version("a = 1\n", [0; 32]));
        assert_ne!(one, version("a = 2\n", [0; 32]));
        assert_ne!(one, version("a = 1\n", [1; 32]));
    }
}

//! The rule files that come with the program: the one list of them.

/// Name and text of each file of `rules/detect`.
pub(super) const FILES: &[(&str, &str)] = &[
    ("rules/detect/content.toml", include_str!("../../rules/detect/content.toml")),
    ("rules/detect/gtube.toml", include_str!("../../rules/detect/gtube.toml")),
    ("rules/detect/headers.toml", include_str!("../../rules/detect/headers.toml")),
    ("rules/detect/impersonation.toml", include_str!("../../rules/detect/impersonation.toml")),
    ("rules/detect/links.toml", include_str!("../../rules/detect/links.toml")),
    ("rules/detect/mime.toml", include_str!("../../rules/detect/mime.toml")),
    ("rules/detect/phrases.toml", include_str!("../../rules/detect/phrases.toml")),
    ("rules/detect/subjects.toml", include_str!("../../rules/detect/subjects.toml")),
];

#[cfg(test)]
mod tests {
    /// A file that is not in the list would be shipped and never used.
    #[test]
    fn every_file_is_listed() {
        let mut there: Vec<String> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/rules/detect"))
            .unwrap()
            .map(|entry| format!("rules/detect/{}", entry.unwrap().file_name().to_string_lossy()))
            .collect();
        there.sort();
        let listed: Vec<&str> = super::FILES.iter().map(|(name, _)| *name).collect();
        assert_eq!(listed, there);
    }
}

//! Named crash points: places where a test can stop the process dead, to see what the next start makes of it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The crash points of the store, in the order in which a message meets them. Other parts add their own names.
pub const POINTS: [&str; 14] = [
    "commit.large.after_write",
    "commit.large.after_link",
    "journal.before_write",
    "journal.after_write",
    "journal.after_sync",
    "journal.after_apply",
    "journal.after_rotate",
    "checkpoint.after_unlink",
    "checkpoint.after_eml",
    "checkpoint.after_sync",
    "checkpoint.between_renames",
    "checkpoint.after_rename",
    "checkpoint.after_index",
    "segment.after_zero",
];

/// The variable that says where: `NAME`, or `NAME:3` for the third time the point is passed.
pub const VARIABLE: &str = "MAILWEIR_CRASH_AT";

/// Aborts the process, as `kill -9` would, if `MAILWEIR_CRASH_AT` names this point. Costs one comparison otherwise.
pub fn point(name: &str) {
    static PASSED: AtomicU32 = AtomicU32::new(0);
    if let Some((wanted, times)) = at()
        && wanted == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 >= *times
    {
        std::process::abort();
    }
}

/// Whether `MAILWEIR_CRASH_AT` names this point: for what is only then looked for.
pub fn is_wanted(name: &str) -> bool {
    at().is_some_and(|(wanted, _)| wanted == name)
}

fn at() -> Option<&'static (String, u32)> {
    static AT: OnceLock<Option<(String, u32)>> = OnceLock::new();
    AT.get_or_init(|| std::env::var(VARIABLE).ok().map(|text| parse(&text))).as_ref()
}

fn parse(text: &str) -> (String, u32) {
    match text.rsplit_once(':').and_then(|(name, times)| Some((name, times.parse().ok()?))) {
        Some((name, times)) => (name.to_owned(), times),
        None => (text.to_owned(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse("journal.after_sync"), ("journal.after_sync".to_owned(), 1));
        assert_eq!(parse("journal.after_sync:7"), ("journal.after_sync".to_owned(), 7));
        let mut sorted = POINTS.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), POINTS.len());
    }
}

//! Tables for people: at most 100 columns wide, no lines drawn, so that they can be cut and pasted.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The widest that a table gets.
pub const WIDTH: u16 = 100;

/// A table with a heading; the last column takes what the others leave, and wraps.
pub fn table<const N: usize>(heading: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(heading);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// `text` in at most `width` characters; the end of what is too long is `…`.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Bytes for people: `1.4 MB`.
pub fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => (1_000.0, "kB"),
        1_000_000..1_000_000_000 => (1_000_000.0, "MB"),
        _ => (1_000_000_000.0, "GB"),
    };
    format!("{:.1} {name}", bytes as f64 / unit)
}

/// A time in a table: the time of day if it is today, else the day too; local, in at most 14 characters.
pub fn time(at: Timestamp) -> String {
    let (at, now) = (at.to_zoned(TimeZone::system()), Timestamp::now().to_zoned(TimeZone::system()));
    let format = match () {
        () if at.date() == now.date() => "%H:%M:%S",
        () if at.year() == now.year() => "%m-%d %H:%M",
        () => "%Y-%m-%d",
    };
    at.strftime(format).to_string()
}

/// The local time of day.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_fit() {
        let long = "a long subject ".repeat(20);
        let text = table(["TIME", "SUBJECT"], [["14:00".to_owned(), long], ["15:00".into(), "short".into()]]);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH.into() && !line.ends_with(' ')), "{text}");
        assert!(text.starts_with("TIME") && text.contains("\n15:00  short"), "{text}");
    }

    #[test]
    fn short_forms() {
        assert_eq!((fit("abcdef", 6), fit("abcdefg", 6), fit("äöü", 2)), ("abcdef".into(), "abcde…".into(), "ä…".into()));
        let sizes = [0, 999, 1_400, 2_000_000, 5_000_000_000].map(size);
        assert_eq!(sizes, ["0 B", "999 B", "1.4 kB", "2.0 MB", "5.0 GB"]);
    }
}

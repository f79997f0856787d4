//! Units of settings: sizes (`"50MB"`) and periods (`"30d"`), as configuration writes them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes: digits and an optional unit `B`, `KB`, `MB`, `GB` (of 1,000) or `KiB`, `MiB`, `GiB` (of 1,024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A length of time: digits and a unit `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

impl Size {
    /// The number as `usize`.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZES: [(&str, u64); 8] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("B", 1), ("", 1)];
const PERIODS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Splits `12KB` into 12 and what `units` says of `KB`, and multiplies.
fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.checked_mul(*factor)
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text, &SIZES)
            .map(Self)
            .ok_or_else(|| format!("not a size: {text:?}; write a number and KB, MB, GB, KiB, MiB or GiB, such as \"50MB\""))
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text, &PERIODS)
            .map(|ms| Self(Duration::from_millis(ms)))
            .ok_or_else(|| format!("not a period: {text:?}; write a number and ms, s, m, h or d, such as \"15m\""))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZES
            .iter()
            .filter(|(_, factor)| *factor > 1 && self.0 != 0 && self.0.is_multiple_of(*factor))
            .max_by_key(|(_, factor)| *factor);
        match unit {
            Some((name, factor)) => write!(f, "{}{name}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let unit = PERIODS.iter().filter(|(_, factor)| ms != 0 && ms.is_multiple_of(*factor)).max_by_key(|(_, factor)| *factor);
        match unit {
            Some((name, factor)) => write!(f, "{}{name}", ms / factor),
            None => write!(f, "0s"),
        }
    }
}

/// Serde for a type that is written as its text.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
as_text!(Size);
as_text!(Period);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_periods() {
        for (text, want) in [
            ("50MB", Some(50_000_000)),
            ("1 KiB", Some(1024)),
            ("7", Some(7)),
            ("0", Some(0)),
            ("5kb", Some(5000)),
            ("", None),
            ("MB", None),
            ("-1", None),
            ("1.5MB", None),
            ("99999999999GB", None),
        ] {
            assert_eq!(text.parse::<Size>().ok().map(|size| size.0), want, "{text:?}");
        }
        for (text, want) in [("5d", Some(432_000)), ("15m", Some(900)), ("1s", Some(1)), ("5", None), ("1w", None)] {
            assert_eq!(text.parse::<Period>().ok().map(|period| period.0.as_secs()), want, "{text:?}");
        }
        for text in ["50MB", "1MiB", "3d", "90s", "0s", "250ms"] {
            let shown = text.parse::<Size>().map(|s| s.to_string()).or_else(|_| text.parse::<Period>().map(|p| p.to_string()));
            assert_eq!(shown.as_deref(), Ok(text));
        }
    }
}

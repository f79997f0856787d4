//! Message ids: short, sortable by time, and safe to read out over a telephone.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The 32 characters of an id: digits and capitals without 0, O, 1 and I. In ASCII order, so ids sort by time.
const ALPHABET: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
/// Characters in an id: 12 of 5 bits.
const LENGTH: usize = 12;
/// The low bits, which tell apart the messages of one millisecond.
const SERIAL_BITS: u32 = 18;
/// 2020-01-01T00:00:00Z in milliseconds of the Unix epoch: ids count from there (42 bits last until 2159).
const EPOCH_MS: i64 = 1_577_836_800_000;

/// The name of one message from its acceptance to its end: twelve characters such as `8M4KX2Q9TZAB`.
///
/// It holds the time of its making in milliseconds, so records of a message are found by day without an index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

impl MessageId {
    /// A new id, greater than every other made by this process.
    pub fn new() -> Self {
        Self::at(Timestamp::now())
    }

    /// A new id for a message that came at `time`; still unique and increasing within the process.
    pub fn at(time: Timestamp) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let ms = u64::try_from(time.as_millisecond() - EPOCH_MS).unwrap_or(0) & ((1 << 42) - 1);
        let floor = ms << SERIAL_BITS;
        let previous =
            LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(floor.max(last + 1))).unwrap_or_else(|last| last);
        Self(floor.max(previous + 1))
    }

    /// When the id was made, to the millisecond.
    pub fn time(self) -> Timestamp {
        let ms = i64::try_from(self.0 >> SERIAL_BITS).unwrap_or(0) + EPOCH_MS;
        Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The id as a number, for fixed-size storage.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The id from its number; the upper four bits are ignored.
    pub fn from_u64(number: u64) -> Self {
        Self(number & ((1 << 60) - 1))
    }
}

impl Default for MessageId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; LENGTH];
        for (i, byte) in text.iter_mut().enumerate() {
            let shift = 5 * (LENGTH - 1 - i);
            *byte = ALPHABET[((self.0 >> shift) & 31) as usize];
        }
        f.pad(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no message id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a message id: {0:?}; an id has twelve characters of 2-9 and A-Z without I and O")]
pub struct NotAnId(String);

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let bytes = text.trim().as_bytes();
        if bytes.len() != LENGTH {
            return Err(NotAnId(text.into()));
        }
        let mut number = 0u64;
        for byte in bytes {
            let digit = ALPHABET.iter().position(|c| *c == byte.to_ascii_uppercase()).ok_or_else(|| NotAnId(text.into()))?;
            number = number << 5 | digit as u64;
        }
        Ok(Self(number))
    }
}

impl Serialize for MessageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The version of configuration and rules that judged a message: the first 12 hex digits of a SHA-256 over both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(pub std::sync::Arc<str>);

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_sorted_and_read_back() {
        let ids: Vec<MessageId> = (0..10_000).map(|_| MessageId::new()).collect();
        let texts: Vec<String> = ids.iter().map(MessageId::to_string).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(texts.windows(2).all(|pair| pair[0] < pair[1]), "text order is time order");
        for (id, text) in ids.iter().zip(&texts) {
            assert_eq!(text.parse::<MessageId>().as_ref(), Ok(id));
            assert_eq!(text.to_lowercase().parse::<MessageId>().as_ref(), Ok(id));
            assert!(!text.contains(['0', 'O', '1', 'I']));
        }
    }

    #[test]
    fn time_survives() {
        let now = Timestamp::now();
        let made = MessageId::at(now).time();
        assert!((made.as_millisecond() - now.as_millisecond()).abs() < 1_000);
    }

    #[test]
    fn what_is_no_id() {
        for text in ["", "8M4KX2Q9TZA", "8M4KX2Q9TZABC", "0M4KX2Q9TZAB", "8M4KX2Q9TZÄ", "../../etc/pa"] {
            assert!(text.parse::<MessageId>().is_err(), "{text:?}");
        }
    }
}

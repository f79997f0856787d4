//! The filters that several subcommands share.

use clap::Args;
use serde_json::Value;

use crate::operate::filter::Query;

/// Filters; all that are given must match.
#[derive(Debug, Clone, Default, Args)]
pub struct Filters {
    /// Part of a recipient's address
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<String>,
    /// Part of the sender's address or of the From field
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// Not before: 2h, 7d, 2026-11-03 or "2026-11-03 14:00"
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before: written like --since
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Part of subject, addresses, Message-ID, id or findings
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// Part of the subject
    #[arg(long, value_name = "WORDS")]
    pub subject: Option<String>,
    /// Rows at most; default 100
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

impl Filters {
    /// As the API takes them.
    pub fn query(&self) -> Query {
        Query {
            to: self.to.clone(),
            from: self.from.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            text: self.text.clone(),
            subject: self.subject.clone(),
            limit: self.limit,
            ..Query::default()
        }
    }
}

/// `path` with the query as parameters.
pub fn address(path: &str, query: &Query) -> String {
    let Ok(Value::Object(given)) = serde_json::to_value(query) else { return path.to_owned() };
    let pairs: Vec<String> = given.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Percent-encoded (RFC 3986 section 2.1): everything but letters, digits, `-`, `_`, `.`.
fn escaped(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("/x", &Query::default()), "/x");
        let query = Query { to: Some("a+b@c".into()), text: Some("ü &".into()), limit: Some(5), ..Query::default() };
        assert_eq!(address("/x", &query), "/x?limit=5&text=%C3%BC%20%26&to=a%2Bb%40c");
    }
}

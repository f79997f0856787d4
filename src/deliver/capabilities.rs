//! What a server offers in its answer to EHLO (RFC 5321 section 4.1.1.1).

use crate::smtp::reply_reader::ServerReply;

/// The extensions that matter to us. All off after HELO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Capabilities {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 1870: offered, and the limit in bytes (0 for none).
    pub size: Option<u64>,
    /// RFC 3461.
    pub dsn: bool,
    /// AUTH PLAIN (RFC 4616).
    pub auth_plain: bool,
    /// AUTH LOGIN: older than its RFC would be, and the only one that some servers have.
    pub auth_login: bool,
}

impl Capabilities {
    /// The first line is the server's name; each other one is an extension. Unknown ones are passed over.
    pub fn parse(reply: &ServerReply) -> Self {
        let mut found = Self::default();
        for line in reply.lines.iter().skip(1) {
            let mut words = line.split_ascii_whitespace();
            // Some old servers write SIZE=… for SIZE …, and AUTH=… for AUTH ….
            let (keyword, parameter) = match words.next().map(|word| word.split_once('=').map_or((word, None), |(k, p)| (k, Some(p)))) {
                Some((keyword, parameter)) => (keyword, parameter.or_else(|| words.next())),
                None => continue,
            };
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => found.pipelining = true,
                "8BITMIME" => found.eight_bit_mime = true,
                "SMTPUTF8" => found.smtputf8 = true,
                "STARTTLS" => found.starttls = true,
                "DSN" => found.dsn = true,
                "AUTH" => {
                    for mechanism in parameter.into_iter().chain(words) {
                        found.auth_plain |= mechanism.eq_ignore_ascii_case("PLAIN");
                        found.auth_login |= mechanism.eq_ignore_ascii_case("LOGIN");
                    }
                }
                "SIZE" => found.size = Some(parameter.and_then(|text| text.parse().ok()).unwrap_or(0)),
                _ => {}
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_to_ehlo() {
        let none = Capabilities::default();
        let all = Capabilities { pipelining: true, eight_bit_mime: true, smtputf8: true, starttls: true, size: Some(1000), ..none };
        let rows: &[(&[&str], Capabilities)] = &[
            (&["mx hello", "PIPELINING", "8BITMIME", "SMTPUTF8", "STARTTLS", "SIZE 1000", "X-EXPS GSSAPI"], all),
            (&["mx", "pipelining", "8bitmime", "smtputf8 ", "starttls", "size=1000"], all),
            (&["PIPELINING 8BITMIME"], none),
            (&["mx", "", "SIZE"], Capabilities { size: Some(0), ..none }),
            (&["mx", "SIZE 99999999999999999999999"], Capabilities { size: Some(0), ..none }),
            (&["mx", "NOSIZE 5", "XPIPELINING"], none),
            (&["mx", "dsn", "AUTH CRAM-MD5 LOGIN plain"], Capabilities { dsn: true, auth_plain: true, auth_login: true, ..none }),
            (&["mx", "AUTH=LOGIN", "AUTH"], Capabilities { auth_login: true, ..none }),
            (&["mx", "AUTH GSSAPI NTLM"], none),
        ];
        for (lines, want) in rows {
            let reply = ServerReply { code: 250, lines: lines.iter().map(|line| line.to_string()).collect() };
            assert_eq!(Capabilities::parse(&reply), *want, "{lines:?}");
        }
    }
}

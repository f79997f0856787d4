//! Log-in at a next hop: AUTH PLAIN and LOGIN (RFC 4954, RFC 4616). The password is in no text that leaves this file.

use tokio::time::Instant;

use super::capabilities::Capabilities;
use super::connection::{Greeter, Kind, Socket, Trouble};
use crate::mail::route::Credentials;
use crate::smtp::reply_reader::ServerReply;

/// What to log in with.
#[derive(Clone, Copy)]
pub(super) struct LogIn<'a> {
    pub credentials: &'a Credentials,
    /// `tls = "off"` was written: without encryption if the hop is on this machine.
    pub in_clear: bool,
}

impl LogIn<'_> {
    /// Logs in: PLAIN where it is offered, else LOGIN.
    pub async fn run<S: Socket + 'static>(
        &self,
        greeter: &mut Greeter<S>,
        capabilities: &Capabilities,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let Credentials { user, password } = self.credentials;
        let answer = if capabilities.auth_plain {
            let first = base64(format!("\0{user}\0{password}").as_bytes());
            greeter.ask(format!("AUTH PLAIN {first}\r\n").as_bytes(), deadline, "AUTH").await?
        } else if capabilities.auth_login {
            let mut answer = greeter.ask(b"AUTH LOGIN\r\n", deadline, "AUTH").await?;
            for text in [user, password] {
                if answer.code != 334 {
                    break;
                }
                answer = greeter.ask(format!("{}\r\n", base64(text.as_bytes())).as_bytes(), deadline, "AUTH").await?;
            }
            answer
        } else {
            return Err(Trouble {
                kind: Kind::LogIn,
                ..Trouble::new("it offers neither AUTH PLAIN nor AUTH LOGIN, and the route has a username")
            });
        };
        if answer.is_success() { Ok(()) } else { Err(self.refused(answer)) }
    }

    fn refused(&self, mut answer: ServerReply) -> Trouble {
        let Credentials { user, password } = self.credentials;
        // A server that repeats what it was sent must not bring it into logs and records.
        let secrets = [password.clone(), base64(password.as_bytes()), base64(format!("\0{user}\0{password}").as_bytes())];
        for line in &mut answer.lines {
            for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                *line = line.replace(secret.as_str(), "…");
            }
        }
        let mut trouble = Trouble::said(&format!("the log-in as {user:?}"), &answer);
        if !answer.is_transient() {
            trouble.kind = Kind::LogIn;
            trouble.why.push_str("; check username and password_file of the route");
        }
        trouble
    }
}

/// Base64 with padding (RFC 4648 section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let number = (0..3).fold(0_usize, |number, n| number << 8 | group.get(n).map_or(0, |byte| usize::from(*byte)));
        for n in 0..4 {
            let digit = DIGITS.get(number >> (18 - 6 * n) & 63).copied().unwrap_or(b'=');
            text.push(if n <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits() {
        for (bytes, want) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
            ("\0ann\0s\u{fc}\u{df}?>", "AGFubgBzw7zDnz8+"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), want);
        }
    }

    #[test]
    fn refusals_hold_no_secret() {
        let credentials = Credentials { user: "ann".into(), password: "s3cret".into() };
        let log_in = LogIn { credentials: &credentials, in_clear: false };
        let all = format!("5.7.8 bad: s3cret {} {}", base64(b"s3cret"), base64(b"\0ann\0s3cret"));
        let trouble = log_in.refused(ServerReply { code: 535, lines: vec![all] });
        assert_eq!(trouble.kind, Kind::LogIn);
        let text = format!("{trouble:?} {credentials:?}");
        assert!(
            text.contains("check username") && text.contains("535") && !text.contains("s3cret") && !text.contains("czNjcmV0"),
            "{text}"
        );
        let later = log_in.refused(ServerReply { code: 454, lines: vec!["4.7.0 later".into()] });
        assert_eq!(later.kind, Kind::Failed);
    }
}

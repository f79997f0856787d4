//! Commands of the client (RFC 5321 section 4.1), out of one line.
//!
//! The syntax is the RFC's with two kindnesses that every large server has: spaces at the end of a line, and spaces
//! between `FROM:` or `TO:` and the bracket.

use crate::mail::ReversePath;
use crate::mail::address::AddressError;
use crate::mail::dsn::RecipientRequest;

use super::lines;
use super::parameters::{self, MailParameters, ParameterError};
use super::path::{self, ForwardPath, Path, PathError};

/// The longest name taken in EHLO and HELO, in octets.
pub const MAX_HELLO: usize = 255;

/// One command, with what the session needs of its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO and the name the client gives itself.
    Ehlo(String),
    /// HELO, likewise.
    Helo(String),
    /// MAIL FROM. Of a source route only the address at its end is kept (RFC 5321 appendix C).
    Mail(ReversePath, MailParameters),
    /// RCPT TO, with NOTIFY and ORCPT.
    Rcpt(ForwardPath, RecipientRequest),
    /// DATA.
    Data,
    /// BDAT (RFC 3030): so many octets of the message stand behind the line.
    Bdat {
        /// How many.
        octets: u64,
        /// They are its last.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP, with or without a string.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY with something to look for.
    Vrfy,
    /// HELP, with or without a string.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
}

impl Command {
    /// Whether the client has to wait for the reply before it sends more (RFC 2920 section 3.1). QUIT is not counted, for
    /// nothing behind it is read; STARTTLS has a rule of its own, and a chunk stands behind BDAT.
    pub fn ends_group(&self) -> bool {
        matches!(self, Self::Ehlo(_) | Self::Helo(_) | Self::Data | Self::Vrfy | Self::Noop | Self::Help)
    }
}

/// Why a line is no command. [`super::replies::syntax`] says it to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyntaxError {
    /// No verb of SMTP.
    UnknownVerb,
    /// A verb of SMTP that is not offered here: AUTH, EXPN and others.
    NotOffered,
    /// A request of HTTP: a browser or a proxy was pointed at us, perhaps to make it speak SMTP in its body.
    Http,
    /// A BDAT that does not say how many octets follow: nothing behind it can be read as a command.
    Chunk,
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// The form of the whole command; how it should look.
    Form(&'static str),
    /// The sender's address.
    Sender(AddressError),
    /// The recipient's address.
    Recipient(AddressError),
    /// A parameter.
    Parameter(ParameterError),
}

const MAIL_SYNTAX: &str = "MAIL FROM:<address> [parameters]";
const RCPT_SYNTAX: &str = "RCPT TO:<address> [parameters]";

/// Reads one line, without its CRLF and without control characters ([`super::lines`] sees to both).
pub fn parse(line: &[u8]) -> Result<Command, SyntaxError> {
    if lines::is_chunk(line) {
        return chunk(line).ok_or(SyntaxError::Chunk);
    }
    let line = std::str::from_utf8(line).map_err(|_| SyntaxError::NotUtf8)?.trim_end_matches(' ');
    let (verb, rest) = line.split_once(' ').map_or((line, ""), |(verb, rest)| (verb, rest.trim_start_matches(' ')));
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => hello(rest).map(Command::Ehlo).ok_or(SyntaxError::Form("EHLO hostname")),
        "HELO" => hello(rest).map(Command::Helo).ok_or(SyntaxError::Form("HELO hostname")),
        "MAIL" => mail(rest),
        "RCPT" => rcpt(rest),
        "DATA" => alone(rest, Command::Data, "DATA"),
        "RSET" => alone(rest, Command::Rset, "RSET"),
        "QUIT" => alone(rest, Command::Quit, "QUIT"),
        "STARTTLS" => alone(rest, Command::StartTls, "STARTTLS"),
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" if rest.is_empty() => Err(SyntaxError::Form("VRFY string")),
        "VRFY" => Ok(Command::Vrfy),
        "AUTH" | "BURL" | "ETRN" | "EXPN" | "SAML" | "SEND" | "SOML" | "TURN" | "ATRN" | "XCLIENT" | "XFORWARD" => {
            Err(SyntaxError::NotOffered)
        }
        "GET" | "POST" | "PUT" | "HEAD" | "PATCH" | "DELETE" | "OPTIONS" | "CONNECT" | "TRACE" | "PRI" => Err(SyntaxError::Http),
        _ => Err(SyntaxError::UnknownVerb),
    }
}

fn alone(rest: &str, command: Command, syntax: &'static str) -> Result<Command, SyntaxError> {
    if rest.is_empty() { Ok(command) } else { Err(SyntaxError::Form(syntax)) }
}

/// `BDAT octets [LAST]`, in any case.
fn chunk(line: &[u8]) -> Option<Command> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ').filter(|word| !word.is_empty());
    words.next().filter(|verb| verb.len() == 4)?;
    let digits = words.next().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let last = words.next();
    let known = last.is_none_or(|word| word.eq_ignore_ascii_case("LAST")) && words.next().is_none();
    Some(Command::Bdat { octets: digits.parse().ok()?, last: last.is_some() }).filter(|_| known)
}

/// A name of letters, digits and the marks of host names and address literals. Whether it is a real host name is not
/// asked, for many honest clients have none to give; but it can be written into a trace field as it is.
fn hello(rest: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    (!rest.is_empty() && rest.len() <= MAX_HELLO && rest.chars().all(is_name)).then(|| rest.to_owned())
}

fn mail(rest: &str) -> Result<Command, SyntaxError> {
    let (path, rest) = path_after(rest, "FROM:").map_err(|error| path_error(error, MAIL_SYNTAX, SyntaxError::Sender))?;
    let sender = match path {
        Path::Empty => ReversePath::Null,
        Path::Mailbox(address) | Path::SourceRouted(address) => ReversePath::Address(address),
        Path::Word(_) => return Err(SyntaxError::Sender(AddressError::Incomplete)),
    };
    let parameters = MailParameters::parse(rest).map_err(|error| parameter_error(error, MAIL_SYNTAX))?;
    Ok(Command::Mail(sender, parameters))
}

fn rcpt(rest: &str) -> Result<Command, SyntaxError> {
    let (path, rest) = path_after(rest, "TO:").map_err(|error| path_error(error, RCPT_SYNTAX, SyntaxError::Recipient))?;
    let recipient = match path {
        Path::Word(word) if word.eq_ignore_ascii_case("postmaster") => ForwardPath::Postmaster,
        Path::Mailbox(address) => ForwardPath::Mailbox(address),
        Path::SourceRouted(address) => ForwardPath::SourceRouted(address),
        Path::Empty | Path::Word(_) => return Err(SyntaxError::Recipient(AddressError::Incomplete)),
    };
    let request = parameters::recipient(rest).map_err(|error| parameter_error(error, RCPT_SYNTAX))?;
    Ok(Command::Rcpt(recipient, request))
}

/// The path behind `FROM:` or `TO:`, which may be written in any case.
fn path_after<'a>(rest: &'a str, keyword: &str) -> Result<(Path, &'a str), PathError> {
    let (head, tail) = rest.split_at_checked(keyword.len()).ok_or(PathError::Brackets)?;
    if !head.eq_ignore_ascii_case(keyword) {
        return Err(PathError::Brackets);
    }
    path::parse(tail.trim_start_matches(' '))
}

fn path_error(error: PathError, syntax: &'static str, address: impl Fn(AddressError) -> SyntaxError) -> SyntaxError {
    match error {
        PathError::Brackets | PathError::Route => SyntaxError::Form(syntax),
        PathError::Address(error) => address(error),
    }
}

fn parameter_error(error: ParameterError, syntax: &'static str) -> SyntaxError {
    match error {
        ParameterError::Form => SyntaxError::Form(syntax),
        other => SyntaxError::Parameter(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Body;

    fn mailbox(text: &str) -> ReversePath {
        ReversePath::Address(text.parse().unwrap())
    }

    #[test]
    fn commands() {
        use Command::*;
        let plain = MailParameters::default;
        let rcpt = |path| Rcpt(path, RecipientRequest::default());
        let rows: &[(&str, Command)] = &[
            ("EHLO mx.client.example", Ehlo("mx.client.example".into())),
            ("ehlo [IPv6:2001:db8::1]", Ehlo("[IPv6:2001:db8::1]".into())),
            ("HELO printer_3", Helo("printer_3".into())),
            ("EHLO [192.0.2.1]", Ehlo("[192.0.2.1]".into())),
            ("MAIL FROM:<>", Mail(ReversePath::Null, plain())),
            ("mail from:<a@b.example>", Mail(mailbox("a@b.example"), plain())),
            ("MAIL FROM: <a@b.example>  ", Mail(mailbox("a@b.example"), plain())),
            ("MAIL FROM:<@x.example:a@b.example>", Mail(mailbox("a@b.example"), plain())),
            ("MAIL FROM:<a@[192.0.2.1]>", Mail(mailbox("a@[192.0.2.1]"), plain())),
            ("MAIL FROM:<a@[IPv6:2001:db8::1]>", Mail(mailbox("a@[IPv6:2001:db8::1]"), plain())),
            (
                "MAIL FROM:<a@b.example> SIZE=7 BODY=8BITMIME SMTPUTF8",
                Mail(mailbox("a@b.example"), MailParameters { size: Some(7), body: Body::EightBitMime, smtputf8: true, ..plain() }),
            ),
            ("RCPT TO:<a@b.example>", rcpt(ForwardPath::Mailbox("a@b.example".parse().unwrap()))),
            ("RCPT TO:<PostMaster>", rcpt(ForwardPath::Postmaster)),
            ("RCPT TO:<@x.example,@y.example:a@b.example>", rcpt(ForwardPath::SourceRouted("a@b.example".parse().unwrap()))),
            ("RCPT TO:<\"a b\"@c.example>", rcpt(ForwardPath::Mailbox("\"a b\"@c.example".parse().unwrap()))),
            ("RCPT TO:<\"a\\b\"@c.example>", rcpt(ForwardPath::Mailbox("\"a\\b\"@c.example".parse().unwrap()))),
            ("RCPT TO:<a@[IPv6:::1]>", rcpt(ForwardPath::Mailbox("a@[IPv6:::1]".parse().unwrap()))),
            ("BDAT 0", Bdat { octets: 0, last: false }),
            ("bdat 86  last ", Bdat { octets: 86, last: true }),
            ("BDAT 00018446744073709551615", Bdat { octets: u64::MAX, last: false }),
            ("DATA", Data),
            ("data ", Data),
            ("RSET", Rset),
            ("NOOP", Noop),
            ("NOOP anything goes", Noop),
            ("QUIT", Quit),
            ("VRFY a", Vrfy),
            ("HELP", Help),
            ("HELP MAIL", Help),
            ("STARTTLS", StartTls),
        ];
        for (line, want) in rows {
            assert_eq!(parse(line.as_bytes()).as_ref(), Ok(want), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_command() {
        use SyntaxError::*;
        let rows: &[(&str, SyntaxError)] = &[
            ("", UnknownVerb),
            (" NOOP", UnknownVerb),
            ("MAILFROM:<a@b.example>", UnknownVerb),
            ("XYZZY", UnknownVerb),
            ("AUTH PLAIN AGEAYg==", NotOffered),
            ("BDAT", Chunk),
            ("BDAT ", Chunk),
            ("BDAT x", Chunk),
            ("BDAT -1", Chunk),
            ("BDAT +1", Chunk),
            ("BDAT 1 FIRST", Chunk),
            ("BDAT 1 LAST LAST", Chunk),
            ("BDAT LAST", Chunk),
            ("BDAT10", Chunk),
            ("BDAT 18446744073709551616", Chunk),
            ("PRI * HTTP/2.0", Http),
            ("EXPN list", NotOffered),
            ("GET / HTTP/1.1", Http),
            ("POST /x HTTP/1.1", Http),
            ("EHLO", Form("EHLO hostname")),
            ("EHLO a b", Form("EHLO hostname")),
            ("EHLO a(b)", Form("EHLO hostname")),
            ("HELO <script>", Form("HELO hostname")),
            ("MAIL", Form(MAIL_SYNTAX)),
            ("MAIL FROM", Form(MAIL_SYNTAX)),
            ("MAIL TO:<a@b.example>", Form(MAIL_SYNTAX)),
            ("MAIL FROM:a@b.example", Form(MAIL_SYNTAX)),
            ("MAIL FROM:<a@b.example", Form(MAIL_SYNTAX)),
            ("MAIL FROM:<a@b.example>SIZE=1", Form(MAIL_SYNTAX)),
            ("MAIL FROM:<a@b.example> =", Form(MAIL_SYNTAX)),
            ("MAIL FRÖM:<a@b.example>", Form(MAIL_SYNTAX)),
            ("MAIL FROM:<a>", Sender(AddressError::Incomplete)),
            ("MAIL FROM:<postmaster>", Sender(AddressError::Incomplete)),
            ("MAIL FROM:<a@b..example>", Sender(AddressError::Domain)),
            ("MAIL FROM:<a@b.example> AUTH=<>", Parameter(ParameterError::Unknown("AUTH".into()))),
            ("RCPT TO:<>", Recipient(AddressError::Incomplete)),
            ("RCPT TO:<bob>", Recipient(AddressError::Incomplete)),
            ("RCPT TO:<a@b@c.example>", Recipient(AddressError::Local)),
            ("RCPT TO:<@x.example>", Form(RCPT_SYNTAX)),
            ("RCPT TO:<a@b.example> X=Y", Parameter(ParameterError::Unknown("X".into()))),
            ("MAIL FROM:<a@[192.0.2.256]>", Sender(AddressError::Domain)),
            ("MAIL FROM:<a@[IPv6:2001:db8::g]>", Sender(AddressError::Domain)),
            ("MAIL FROM:<a@[192.0.2.1>", Sender(AddressError::Domain)),
            ("RCPT FROM:<a@b.example>", Form(RCPT_SYNTAX)),
            ("DATA now", Form("DATA")),
            ("QUIT please", Form("QUIT")),
            ("RSET x", Form("RSET")),
            ("STARTTLS junk", Form("STARTTLS")),
            ("VRFY", Form("VRFY string")),
        ];
        for (line, want) in rows {
            assert_eq!(parse(line.as_bytes()).as_ref(), Err(want), "{line:?}");
        }
        assert_eq!(parse(b"MAIL FROM:<\xff@b.example>"), Err(NotUtf8));
        assert_eq!(parse(b"BDAT 1 \xff"), Err(Chunk));
        assert_eq!(parse(format!("EHLO {}", "a".repeat(MAX_HELLO + 1)).as_bytes()), Err(Form("EHLO hostname")));
    }

    #[test]
    fn no_prefix_and_no_changed_byte_panics() {
        let line = "RCPT TO:<@a.example,@[IPv6:::1]:\"a\\\"é>\"@c.example> NOTIFY=NEVER X=ü".as_bytes();
        for cut in 0..=line.len() {
            let _any = parse(&line[..cut]);
            for byte in [b'<', b'>', b'"', b'\\', b'@', b':', b' ', b'=', 0xC3, 0xFF] {
                let mut changed = line.to_vec();
                if let Some(place) = changed.get_mut(cut) {
                    *place = byte;
                }
                let _any = parse(&changed);
            }
        }
    }
}

//! Every reply of ours by name, so that code, enhanced code (RFC 3463) and text are decided once.

use std::net::IpAddr;

use crate::mail::{Address, MessageId};

use super::command::SyntaxError;
use super::decoder::DataFault;
use super::lines::LineFault;
use super::parameters::ParameterError;
use super::reply::Reply;

/// 220, the greeting.
pub fn greeting(hostname: &str) -> Reply {
    Reply::bare(220, format!("{hostname} ESMTP ready"))
}

/// 250 to HELO, and to EHLO with the extensions, one a line (RFC 5321 section 4.1.1.1).
pub fn hello(hostname: &str, extensions: &[String]) -> Reply {
    let lines = std::iter::once(hostname).chain(extensions.iter().map(String::as_str));
    Reply::bare(250, lines.collect::<Vec<_>>().join("\n"))
}

/// 250 to MAIL.
pub fn sender_ok() -> Reply {
    Reply::new(250, (2, 1, 0), "sender ok")
}

/// 250 to RCPT.
pub fn recipient_ok() -> Reply {
    Reply::new(250, (2, 1, 5), "recipient ok")
}

/// 354 to DATA.
pub fn send_data() -> Reply {
    Reply::bare(354, "send the message; end with a line that is a single dot")
}

/// 250 to a chunk that is not the last one (RFC 3030 section 2).
pub fn chunk_taken(octets: u64) -> Reply {
    Reply::new(250, (2, 0, 0), format!("{octets} octets received"))
}

/// 501 to a BDAT that does not say how much follows it.
pub fn chunk_syntax() -> Reply {
    let text = "Syntax: BDAT octets [LAST]. What follows cannot be told from commands; closing the connection";
    Reply::new(501, (5, 5, 4), text)
}

/// 503 to a command that cannot stand between chunks.
pub fn between_chunks() -> Reply {
    Reply::new(503, (5, 5, 1), "the message has begun; go on with BDAT, or send RSET")
}

/// 250 to RSET and NOOP.
pub fn ok() -> Reply {
    Reply::new(250, (2, 0, 0), "ok")
}

/// 252 to VRFY: nobody learns here who exists (RFC 5321 section 7.3).
pub fn not_verified() -> Reply {
    Reply::new(252, (2, 5, 0), "not verified; send the message and see")
}

/// 214 to HELP.
pub fn help() -> Reply {
    Reply::new(214, (2, 0, 0), "commands: EHLO HELO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP STARTTLS BDAT\nsee RFC 5321")
}

/// 221 to QUIT.
pub fn goodbye(hostname: &str) -> Reply {
    Reply::new(221, (2, 0, 0), format!("{hostname} goodbye"))
}

/// 220 to STARTTLS.
pub fn start_tls() -> Reply {
    Reply::new(220, (2, 0, 0), "ready to start TLS")
}

/// 502 to STARTTLS where there is no certificate.
pub fn no_tls() -> Reply {
    Reply::new(502, (5, 5, 1), "STARTTLS is not offered")
}

/// 503 to STARTTLS inside TLS.
pub fn already_tls() -> Reply {
    Reply::new(503, (5, 5, 1), "TLS is already active")
}

/// 554 to bytes behind STARTTLS, which somebody in the middle may have put there (CVE-2011-0411).
pub fn injected() -> Reply {
    Reply::new(554, (5, 5, 1), "nothing may follow STARTTLS before TLS; closing the connection")
}

/// 554 to a client that did not wait for a reply where it has to (RFC 2920 section 3.1).
pub fn out_of_step() -> Reply {
    Reply::new(554, (5, 5, 0), "SMTP synchronisation error: wait for the reply; closing the connection")
}

/// 554 in place of the greeting, to a client that did not wait for it (RFC 5321 section 3.1).
pub fn too_early() -> Reply {
    Reply::new(554, (5, 5, 0), "SMTP synchronisation error: wait for the greeting; closing the connection")
}

/// 554 to a client that begins with a TLS handshake.
pub fn tls_too_early() -> Reply {
    Reply::new(554, (5, 5, 1), "TLS begins with STARTTLS here; closing the connection")
}

/// 421 after a message with a CR or LF that stands alone: what follows it may be the rest of an attack.
pub fn not_trusted() -> Reply {
    Reply::new(421, (4, 7, 0), "nothing is taken behind such a message; closing the connection")
}

/// 530 to MAIL on a listener with `tls = "require"` (RFC 3207 section 4).
pub fn tls_first() -> Reply {
    Reply::new(530, (5, 7, 0), "send STARTTLS first")
}

/// 503: a command out of its order; `first` is what has to come before.
pub fn not_now(first: &str) -> Reply {
    Reply::new(503, (5, 5, 1), format!("send {first} first"))
}

/// 503 to MAIL inside a transaction.
pub fn nested_mail() -> Reply {
    Reply::new(503, (5, 5, 1), "a sender was already given; send RSET to start again")
}

/// 554 to DATA after every recipient was refused (RFC 5321 section 3.3).
pub fn no_valid_recipients() -> Reply {
    Reply::new(554, (5, 5, 1), "no valid recipients")
}

/// 552 to a SIZE above the limit (RFC 1870 section 6.1).
pub fn too_big(limit: u64) -> Reply {
    Reply::new(552, (5, 3, 4), format!("message is larger than the limit of {limit} bytes"))
}

/// 553 to an address outside ASCII without SMTPUTF8 (RFC 6531 section 3.5).
pub fn needs_smtputf8() -> Reply {
    Reply::new(553, (5, 6, 7), "address has characters outside ASCII; use SMTPUTF8 in MAIL")
}

/// 452 to one recipient more than the limit (RFC 5321 section 4.5.3.1.10).
pub fn too_many_recipients(limit: usize) -> Reply {
    Reply::new(452, (4, 5, 3), format!("more than {limit} recipients; send the others in another transaction"))
}

/// 550: the recipient is not ours to take from this client.
pub fn relaying_denied() -> Reply {
    Reply::new(550, (5, 7, 1), "relaying denied")
}

/// 550 to a recipient behind a source route (RFC 5321 appendix C lets us).
pub fn source_route() -> Reply {
    Reply::new(550, (5, 7, 1), "relaying denied: source routes are not followed")
}

/// 550: the domain is ours, the user is not.
pub fn no_such_user() -> Reply {
    Reply::new(550, (5, 1, 1), "no such user here")
}

/// A next hop's 5yz to a recipient, with its codes and without its words; 550 5.1.1 where they make no sense.
pub fn refused_by_next_hop(code: u16, enhanced: Option<&str>) -> Reply {
    let mut numbers = enhanced.unwrap_or_default().split('.');
    let enhanced = numbers.next().filter(|class| *class == "5").and_then(|_| {
        let mut number = || numbers.next().filter(|digits| digits.len() <= 3)?.parse().ok();
        Some((5, number()?, number()?))
    });
    let code = if (500..=599).contains(&code) { code } else { 550 };
    Reply::new(code, enhanced.unwrap_or((5, 1, 1)), "no such user here")
}

/// 550 to a client of ours: no route takes the domain.
pub fn no_route(address: &Address) -> Reply {
    let domain: String = address.domain().chars().filter(char::is_ascii).collect();
    Reply::new(550, (5, 1, 2), format!("no route for the domain {domain}"))
}

/// 452: the memory for mail is in use; `id` once the message has one.
pub fn no_memory(id: Option<MessageId>) -> Reply {
    let id = id.map_or(String::new(), |id| format!(" ({id})"));
    Reply::new(452, (4, 3, 1), format!("insufficient system storage, try later{id}"))
}

/// 421: too many commands without a message.
pub fn too_many_commands() -> Reply {
    Reply::new(421, (4, 7, 0), "too many commands; closing the connection")
}

/// 421: too many errors in this session.
pub fn too_many_errors() -> Reply {
    Reply::new(421, (4, 7, 0), "too many errors; closing the connection")
}

/// 421: too many refused recipients in this session.
pub fn too_many_refused() -> Reply {
    Reply::new(421, (4, 7, 0), "too many refused recipients; closing the connection")
}

/// 421: enough messages over one connection.
pub fn too_many_messages(limit: u32) -> Reply {
    Reply::new(421, (4, 7, 0), format!("{limit} messages over this connection are enough; connect again"))
}

/// 421: the client was silent or slow.
pub fn timed_out() -> Reply {
    Reply::new(421, (4, 4, 2), "time is up; closing the connection")
}

/// 421: we are going down.
pub fn shutting_down() -> Reply {
    Reply::new(421, (4, 3, 2), "service is shutting down; try later")
}

/// 421 in place of the greeting: all connections are in use.
pub fn too_many_connections() -> Reply {
    Reply::new(421, (4, 3, 2), "too many connections; try later")
}

/// 421 in place of the greeting: this peer has its share.
pub fn too_many_from_peer() -> Reply {
    Reply::new(421, (4, 7, 0), "too many connections from your address; try later")
}

/// 554 in place of the greeting: an outbound listener and a peer that is not among its clients.
pub fn not_a_client(peer: IpAddr) -> Reply {
    Reply::new(554, (5, 7, 1), format!("{peer} may not send mail here"))
}

/// 554 to a browser.
pub fn not_http() -> Reply {
    Reply::new(554, (5, 5, 1), "this is a mail server; closing the connection")
}

/// 500 to a line that is no command line.
pub fn line(fault: LineFault) -> Reply {
    let text = match fault {
        LineFault::BareLf => "bare LF in a command; end lines with CRLF".to_owned(),
        LineFault::BareCr => "bare CR in a command; end lines with CRLF".to_owned(),
        LineFault::Control => "control character in a command".to_owned(),
        LineFault::TooLong { limit } => format!("command line is longer than {limit} bytes"),
        LineFault::Chunk => return chunk_syntax(),
    };
    Reply::new(500, (5, 5, 2), text)
}

/// 500, 501, 502, 554 or 555 to a line that is no command; says how it should look.
pub fn syntax(error: &SyntaxError) -> Reply {
    match error {
        SyntaxError::UnknownVerb => Reply::new(500, (5, 5, 1), "command not recognised"),
        SyntaxError::NotOffered => Reply::new(502, (5, 5, 1), "command is not offered"),
        SyntaxError::Http => not_http(),
        SyntaxError::Chunk => chunk_syntax(),
        SyntaxError::NotUtf8 => Reply::new(501, (5, 5, 2), "command is not UTF-8"),
        SyntaxError::Form(form) => Reply::new(501, (5, 5, 4), format!("Syntax: {form}")),
        SyntaxError::Sender(error) => Reply::new(501, (5, 1, 7), format!("{error}. Syntax: MAIL FROM:<address> [parameters]")),
        SyntaxError::Recipient(error) => Reply::new(501, (5, 1, 3), format!("{error}. Syntax: RCPT TO:<address> [parameters]")),
        SyntaxError::Parameter(ParameterError::Form) => Reply::new(501, (5, 5, 4), "Syntax: KEYWORD or KEYWORD=value"),
        SyntaxError::Parameter(ParameterError::Value(form)) => Reply::new(501, (5, 5, 4), format!("Syntax: {form}")),
        SyntaxError::Parameter(ParameterError::Twice(keyword)) => {
            Reply::new(501, (5, 5, 4), format!("parameter {keyword} was given twice"))
        }
        SyntaxError::Parameter(ParameterError::Unknown(keyword)) => {
            Reply::new(555, (5, 5, 4), format!("parameter {keyword} is not offered"))
        }
    }
}

/// What a message hears that was read to its end and cannot be taken: what is wrong, where, and the id.
pub fn data(fault: DataFault, id: MessageId) -> Reply {
    const CRLF: &str = "send lines ended by CRLF";
    match fault {
        DataFault::BareCr { line } => Reply::new(550, (5, 6, 0), format!("message has a bare CR (line {line}); {CRLF} ({id})")),
        DataFault::BareLf { line } => Reply::new(550, (5, 6, 0), format!("message has a bare LF (line {line}); {CRLF} ({id})")),
        DataFault::Nul { line } => Reply::new(550, (5, 6, 0), format!("message has a NUL byte (line {line}) ({id})")),
        DataFault::LineTooLong { line, limit } => {
            Reply::new(552, (5, 3, 4), format!("line {line} is longer than the limit of {limit} bytes ({id})"))
        }
        DataFault::TooBig { limit } => Reply::new(552, (5, 3, 4), format!("message is larger than the limit of {limit} bytes ({id})")),
        DataFault::NoMemory => no_memory(Some(id)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_next_hops_codes_are_passed_on_where_they_make_sense() {
        for (code, enhanced, want) in [
            (550, Some("5.1.1"), "550 5.1.1"),
            (553, Some("5.1.10"), "553 5.1.10"),
            (554, None, "554 5.1.1"),
            (550, Some("4.1.1"), "550 5.1.1"),
            (550, Some("5.1"), "550 5.1.1"),
            (550, Some("5.x.1"), "550 5.1.1"),
            (550, Some("5.1000.1"), "550 5.1.1"),
            (450, Some("5.7.1"), "550 5.7.1"),
        ] {
            assert_eq!(refused_by_next_hop(code, enhanced).to_string(), format!("{want} no such user here"));
        }
    }
}

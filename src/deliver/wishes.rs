//! What the sender asked about notifications, passed on as it came to a server that offers DSN (RFC 3461 section 5.2.1).
//! Nothing is made up: a wish that was not said goes out unsaid.

use std::fmt::Write;

use crate::mail::dsn::{MessageRequest, RecipientRequest};

/// The parameters of MAIL.
pub(super) fn mail(request: &MessageRequest, out: &mut String) {
    if let Some(ret) = request.ret {
        let _infallible = write!(out, " RET={}", ret.as_str());
    }
    if let Some(envid) = request.envid.as_deref().filter(|text| is_safe(text) && text.is_ascii()) {
        let _infallible = write!(out, " ENVID={envid}");
    }
}

/// The parameters of RCPT. `utf8`: the transaction is one of SMTPUTF8.
pub(super) fn rcpt(request: &RecipientRequest, utf8: bool, out: &mut String) {
    if let Some(notify) = request.notify {
        let _infallible = write!(out, " NOTIFY={notify}");
    }
    if let Some(orcpt) = request.orcpt.as_deref().filter(|text| is_safe(text)) {
        out.push_str(" ORCPT=");
        for c in orcpt.chars() {
            // The form for servers without SMTPUTF8 (RFC 6533 section 3, utf-8-addr-xtext).
            if utf8 || c.is_ascii() {
                out.push(c);
            } else {
                let _infallible = write!(out, "\\x{{{:02X}}}", u32::from(c));
            }
        }
    }
}

/// Whether it cannot end the parameter or the command. The session that took it has seen to that; a file on disk may have been changed.
fn is_safe(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::dsn::{Notify, Ret};

    #[test]
    fn as_they_came() {
        let mail = |ret, envid: Option<&str>| {
            let mut out = String::new();
            super::mail(&MessageRequest { ret, envid: envid.map(str::to_owned) }, &mut out);
            out
        };
        assert_eq!(mail(None, None), "");
        assert_eq!(mail(Some(Ret::Hdrs), Some("QQ+3D314159")), " RET=HDRS ENVID=QQ+3D314159");
        assert_eq!(mail(None, Some("a\r\nRSET")), "", "nothing that ends the command");
        let rcpt = |notify, orcpt: Option<&str>, utf8| {
            let mut out = String::new();
            super::rcpt(&RecipientRequest { notify, orcpt: orcpt.map(str::to_owned) }, utf8, &mut out);
            out
        };
        let delay = Some(Notify::On { success: true, failure: false, delay: true });
        assert_eq!(rcpt(None, None, true), "");
        assert_eq!(rcpt(delay, Some("rfc822;Bob@b.example"), false), " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;Bob@b.example");
        assert_eq!(rcpt(Some(Notify::Never), None, false), " NOTIFY=NEVER");
        assert_eq!(rcpt(None, Some("utf-8;\u{fc}@b.example"), true), " ORCPT=utf-8;\u{fc}@b.example");
        assert_eq!(rcpt(None, Some("utf-8;\u{fc}@b.example"), false), " ORCPT=utf-8;\\x{FC}@b.example");
        assert_eq!(rcpt(None, Some("rfc822;a b"), true), "");
    }
}

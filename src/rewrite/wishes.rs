//! ENVID and ORCPT, as the sender wrote them in xtext, made fit for a notification (RFC 3461 section 4, RFC 6533 section 3).

use std::fmt::Write;

/// Decodes xtext (RFC 3461 section 4): `+` and two hex digits stand for an octet. What is malformed stays as it is.
fn decoded(xtext: &str) -> String {
    let mut out = Vec::with_capacity(xtext.len());
    let mut rest = xtext.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex = (*byte == b'+').then(|| after.get(..2)).flatten().and_then(|two| std::str::from_utf8(two).ok());
        match hex.filter(|two| two.bytes().all(|c| c.is_ascii_hexdigit())).and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(octet) => {
                out.push(octet);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Resolves `\x{FC}` (RFC 6533 section 3); what is malformed stays as it is.
fn unicode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x{") {
        out.push_str(before);
        let code = after.split_once('}').filter(|(hex, _)| hex.len() <= 6);
        match code.and_then(|(hex, tail)| Some((char::from_u32(u32::from_str_radix(hex, 16).ok()?)?, tail))) {
            Some((c, tail)) => {
                out.push(c);
                rest = tail;
            }
            None => {
                out.push_str("\\x{");
                rest = after;
            }
        }
    }
    out + rest
}

/// Text that may stand in a field: no control characters, which could end the line. Beyond ASCII as it is where `utf8`, else as
/// `\x{FC}` (RFC 6533 section 3).
pub(super) fn shown(text: &str, utf8: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() || c == ' ' || (utf8 && !c.is_ascii() && !c.is_control()) {
            out.push(c);
        } else {
            let _infallible = write!(out, "\\x{{{:X}}}", u32::from(c));
        }
    }
    out
}

/// The value of Original-Envelope-Id.
pub(super) fn envelope_id(envid: &str) -> String {
    shown(&decoded(envid), false)
}

/// The value of Original-Recipient: the type as given, the address decoded; `None` for what has no type.
pub(super) fn original_recipient(orcpt: &str, utf8: bool) -> Option<String> {
    let (kind, address) = orcpt.split_once(';')?;
    if kind.is_empty() || !kind.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-') {
        return None;
    }
    let address = decoded(address);
    let address = if utf8 && kind.eq_ignore_ascii_case("utf-8") { unicode(&address) } else { address };
    Some(format!("{kind}; {}", shown(&address, utf8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xtext() {
        for (text, want) in [
            ("QQ314159", "QQ314159"),
            ("a+2Bb+3Dc", "a+b=c"),
            ("+", "+"),
            ("+4", "+4"),
            ("+zz+41", "+zzA"),
            ("+C3+BC", "ü"),
            ("+FF", "\u{FFFD}"),
        ] {
            assert_eq!(decoded(text), want, "{text}");
        }
        assert_eq!(envelope_id("x+0D+0AAction:+20failed"), "x\\x{D}\\x{A}Action: failed", "no second line");
    }

    #[test]
    fn recipients() {
        for (orcpt, ascii, utf8) in [
            ("rfc822;bob@a.example", Some("rfc822; bob@a.example"), Some("rfc822; bob@a.example")),
            ("rfc822;bob+2Btag@a.example", Some("rfc822; bob+tag@a.example"), Some("rfc822; bob+tag@a.example")),
            ("utf-8;\\x{FC}@a.example", Some("utf-8; \\x{FC}@a.example"), Some("utf-8; ü@a.example")),
            ("utf-8;ü@a.example", Some("utf-8; \\x{FC}@a.example"), Some("utf-8; ü@a.example")),
            ("rfc822;a+0D+0AX:+20y", Some("rfc822; a\\x{D}\\x{A}X: y"), Some("rfc822; a\\x{D}\\x{A}X: y")),
            ("utf-8;\\x{D800}\\x{}\\x{A", Some("utf-8; \\x{D800}\\x{}\\x{A"), Some("utf-8; \\x{D800}\\x{}\\x{A")),
            ("bob@a.example", None, None),
            ("r\r\nx;bob", None, None),
            (";bob", None, None),
        ] {
            assert_eq!(original_recipient(orcpt, false).as_deref(), ascii, "{orcpt:?}");
            assert_eq!(original_recipient(orcpt, true).as_deref(), utf8, "{orcpt:?}");
        }
        let wild = "rfc822;+4x\\x{FC}ü+41";
        for end in (0..=wild.len()).filter(|end| wild.is_char_boundary(*end)) {
            let _no_panic = (original_recipient(&wild[..end], true), envelope_id(&wild[..end]));
        }
    }
}

//! Addresses and host names as header fields and links show them: read for comparison only, never for delivery.

/// The address in a field such as `Ann <ann@a.example>`, in lower case; the last in angle brackets, else the first with an `@`.
pub(super) fn address(field: &str) -> Option<String> {
    let inner = match field.rfind('<') {
        Some(at) => field.get(at + 1..)?.split('>').next()?,
        None => field.split([' ', ',', ';', '"', '(', ')', '\t']).find(|word| word.contains('@'))?,
    };
    let inner = inner.trim();
    let (local, domain) = inner.rsplit_once('@')?;
    (!local.is_empty() && !domain.is_empty()).then(|| inner.to_lowercase())
}

/// All addresses of a list field, in lower case.
pub(super) fn all(field: &str) -> Vec<String> {
    field.split(',').filter_map(address).collect()
}

/// The domain of the address in a field, in lower case.
pub(super) fn domain(field: &str) -> Option<String> {
    address(field).and_then(|address| address.rsplit_once('@').map(|(_, domain)| domain.trim_end_matches('.').to_owned()))
}

/// The part of a domain that somebody registered: the last two labels, or three below such as `co.uk` and `gov.uk`.
///
/// An estimate without the public suffix list; good enough to say "another organisation" of most pairs.
pub(super) fn organisation(host: &str) -> &str {
    let mut dots = host.rmatch_indices('.').map(|(at, _)| at);
    let Some(last) = dots.next() else { return host };
    let Some(second) = dots.next() else { return host };
    let top = host.get(last + 1..).unwrap_or_default();
    let middle = host.get(second + 1..last).unwrap_or_default();
    let public = top.len() == 2
        && matches!(
            middle,
            "co" | "com"
                | "org"
                | "net"
                | "ac"
                | "gov"
                | "edu"
                | "ltd"
                | "plc"
                | "or"
                | "ne"
                | "go"
                | "nhs"
                | "sch"
                | "police"
                | "me"
                | "gob"
                | "gouv"
                | "mil"
        );
    match (public, dots.next()) {
        (false, _) => host.get(second + 1..).unwrap_or(host),
        (true, Some(third)) => host.get(third + 1..).unwrap_or(host),
        (true, None) => host,
    }
}

/// The host of a web address in lower case, without user, port and path; `None` where the text is no http(s) address.
pub(super) fn host(url: &str) -> Option<String> {
    let scheme = url
        .get(..8)
        .filter(|start| start.eq_ignore_ascii_case("https://"))
        .or_else(|| url.get(..7).filter(|start| start.eq_ignore_ascii_case("http://")))?;
    let rest = url.get(scheme.len()..)?.split(['/', '?', '#', '\\']).next()?;
    let host = rest.rsplit('@').next()?.split(':').next()?.trim_end_matches('.');
    (!host.is_empty()).then(|| host.to_lowercase())
}

/// Whether the display name of a From field shows an address of another organisation than the real one.
pub(super) fn name_shows_other(field: &str) -> bool {
    let Some(at) = field.rfind('<') else { return false };
    let Some(real) = domain(field) else { return false };
    let name = field.get(..at).unwrap_or_default();
    name.split([' ', '"', '<', '>', '(', ')', ',', ';', '\'', '[', ']']).filter_map(|word| word.split_once('@')).any(|(local, shown)| {
        let shown = shown.trim_end_matches('.').to_lowercase();
        !local.is_empty() && shown.contains('.') && organisation(&shown) != organisation(&real)
    })
}

/// Whether a To field gives its address's local part as the name: `"ann.smith" <ann.smith@a.example>`.
pub(super) fn name_is_mailbox(field: &str) -> bool {
    let Some(at) = field.find('<') else { return false };
    let name = field.get(..at).unwrap_or_default().trim().trim_matches(['"', '\'']).trim();
    let local = field.get(at + 1..).and_then(|rest| rest.split('@').next()).unwrap_or_default();
    name.len() > 2 && name.eq_ignore_ascii_case(local.trim())
}

/// Whether Outlook Express names another version (up to the third number) in X-MimeOLE than in X-Mailer.
pub(super) fn versions_differ(mailer: &str, mime_ole: &str) -> bool {
    let version = |text: &str, before: &str| -> Option<String> {
        let rest = text.get(text.find(before)? + before.len()..)?.trim_start_matches(['V', 'v', ' ']);
        let rest: Vec<&str> = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.split('.').take(3).collect();
        (rest.len() == 3).then(|| rest.join("."))
    };
    let (mailer, mime_ole) = (version(mailer, "Outlook Express"), version(mime_ole, "MimeOLE"));
    mailer.zip(mime_ole).is_some_and(|(mailer, mime_ole)| mailer != mime_ole)
}

/// Whether a text holds the address, or its local part as a word of five characters or more.
pub(super) fn named_in(address: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    text.contains(address)
        || (local.len() >= 5 && text.split(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '_' | '-' | '+')).any(|word| word == local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        for (field, want) in [
            ("Ann <Ann@A.example>", Some("ann@a.example")),
            ("ann@a.example (Ann)", Some("ann@a.example")),
            ("\"x@y.example\" <ann@a.example>", Some("ann@a.example")),
            ("Ann", None),
            ("<>", None),
            ("<", None),
            ("@", None),
            ("", None),
        ] {
            assert_eq!(address(field).as_deref(), want, "{field}");
        }
        assert_eq!(all("a@a.example, B <b@b.example>,undisclosed").len(), 2);
        assert!(name_shows_other("\"PayPal service@paypal.com\" <x@evil.example>"));
        assert!(!name_shows_other("\"ann@mail.a.example\" <ann@a.example>"));
        assert!(!name_shows_other("Ann @ Work <ann@a.example>"));
        assert!(name_is_mailbox("\"Theorize\" <theorize@a.example>") && !name_is_mailbox("Ann <ann.s@a.example>") && !name_is_mailbox("<"));
        assert!(versions_differ("Microsoft Outlook Express 6.00.2800.2969", "Produced By Microsoft MimeOLE V6.00.2900.2180"));
        assert!(!versions_differ("Microsoft Outlook Express 6.00.2900.2180", "Produced By Microsoft MimeOLE V6.00.2900.3028"));
        assert!(!versions_differ("Microsoft Outlook, Build 10.0.2616", "Produced By Microsoft MimeOLE V6.00.2900.2180"));
        assert!(named_in("johnny@a.example", "johnny, you won"));
        assert!(named_in("a@a.example", "Re: a@a.example"));
        assert!(!named_in("john@a.example", "john, you won"));
    }

    #[test]
    fn hosts() {
        for (url, want) in [
            ("https://User@Shop.example:8443/x?y", Some("shop.example")),
            ("http://a.example.", Some("a.example")),
            ("http://", None),
            ("mailto:a@a.example", None),
            ("httpß", None),
        ] {
            assert_eq!(host(url).as_deref(), want, "{url}");
        }
        for (name, want) in [
            ("a.b.example.com", "example.com"),
            ("x.example.co.uk", "example.co.uk"),
            ("example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(organisation(name), want, "{name}");
        }
    }
}

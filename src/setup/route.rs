//! `[[route]]`: which recipients go to which mail servers.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::deliver::profile;
use crate::mail::route::Credentials;
use crate::mail::units::Period;
use crate::mail::{Address, Delivery, NextHop, Profile, Route, TlsUse};

/// Which way a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteDirection {
    /// To our own mail servers.
    #[default]
    Inbound,
    /// To the outside.
    Outbound,
}

/// One `[[route]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSettings {
    /// A name for messages and for `unknown_user`; unique.
    pub name: String,
    /// Domains whose mail goes here; `"*"` is every domain that no other route names.
    pub domains: Vec<String>,
    /// A file with the addresses that exist here, one a line, `#` begins a comment. With `domains`, nobody else exists there; without,
    /// the addresses come here whatever route their domain has. Relative to the configuration file. Default: none.
    pub recipients: Option<PathBuf>,
    /// Mail servers, tried in order: `"host"`, `"host:port"` (port 25 otherwise), `"[IPv6]:port"`, or `"mx"` for the domain's own.
    pub next_hops: Vec<String>,
    /// Kind of mail server, for pacing and quirks: `generic`, `groupwise` or `exchange`. Default: `generic`.
    pub profile: Profile,
    /// A recipient that the next hop does not know is tried on the route of this name. Default: none.
    pub unknown_user: Option<String>,
    /// `outbound` for the route to the internet, `inbound` for our own mail servers. Default: `inbound`.
    pub direction: RouteDirection,
    /// `cut-through`: handed over inside the sender's session where the next hop is up; `spool`: always through the spool.
    /// Default: `cut-through` for inbound routes, `spool` for outbound ones.
    pub delivery: Option<Delivery>,
    /// Waits between delivery attempts; the last one repeats. Default: 1m, 5m, 15m, 1h.
    pub retry: Vec<Period>,
    /// Age at which an undelivered recipient is given up and the sender told. Default: 5d.
    pub expire: Period,
    /// Age at which the sender is told that it takes longer, where the sender wants to hear of that. `"0s"` is never. Default: 4h.
    pub warn_after: Period,
    /// Encryption towards its next hops: `opportunistic`, `required` (with a certificate valid for the name in `next_hops`) or `off`.
    /// Default: `tls` of `[delivery]`.
    pub tls: Option<TlsUse>,
    /// User name to log in with at its next hops (AUTH PLAIN or LOGIN), such as a smart host. Needs `password_file`, and named next hops.
    /// It and the password are sent encrypted only; without encryption only to this machine, and with `tls = "off"`. Default: none.
    pub username: Option<String>,
    /// A file with the password and nothing else, readable for the gateway's user only; a line end behind it does not count. Relative to
    /// the configuration file. Default: none.
    pub password_file: Option<PathBuf>,
    /// Whether a next hop is asked for each recipient before it is accepted (RCPT). Answers are remembered (`callout_positive`,
    /// `callout_negative` of `[delivery]`). Default: `true` for inbound routes without `recipients` whose next hops are all named,
    /// else `false`.
    pub callout: Option<bool>,
    /// Connections to one next hop at once. Default: by profile (generic 20, groupwise 8, exchange 15).
    pub connections: Option<usize>,
    /// Messages per second to one next hop. Default: by profile (groupwise 2.5; others as fast as they take them).
    pub rate: Option<f64>,
}

impl Default for RouteSettings {
    fn default() -> Self {
        Self {
            name: String::new(),
            domains: Vec::new(),
            recipients: None,
            next_hops: Vec::new(),
            profile: Profile::Generic,
            unknown_user: None,
            direction: RouteDirection::Inbound,
            delivery: None,
            retry: [60, 300, 900, 3600].map(|seconds| Period(Duration::from_secs(seconds))).to_vec(),
            expire: Period(Duration::from_secs(5 * 86_400)),
            warn_after: Period(Duration::from_secs(4 * 3600)),
            tls: None,
            username: None,
            password_file: None,
            callout: None,
            connections: None,
            rate: None,
        }
    }
}

impl RouteSettings {
    /// Puts in what depends on other settings, so that every value in force can be shown.
    pub fn fill(&mut self) {
        let outbound = self.direction == RouteDirection::Outbound;
        self.delivery.get_or_insert(if outbound { Delivery::Spool } else { Delivery::CutThrough });
        let asks = !outbound && self.recipients.is_none() && self.has_named_hops();
        self.callout.get_or_insert(asks);
        let defaults = profile::defaults(self.profile);
        self.connections.get_or_insert(defaults.connections);
        self.rate = self.rate.or(defaults.rate);
    }

    /// Whether all next hops are named, none found by MX.
    pub fn has_named_hops(&self) -> bool {
        !self.next_hops.is_empty() && self.next_hops.iter().all(|hop| !matches!(hop.parse(), Ok(NextHop::Mx) | Err(_)))
    }

    /// The route, with the addresses of its list file and the password of its password file. Next hops that cannot be read are left out:
    /// the check has named them.
    pub fn build(&self, recipients: Option<HashSet<String>>, password: Option<String>) -> Route {
        let mut filled = self.clone();
        filled.fill();
        Route {
            name: self.name.as_str().into(),
            domains: self.domains.iter().map(|domain| domain.to_lowercase()).collect(),
            recipients,
            next_hops: self.next_hops.iter().filter_map(|hop| hop.parse().ok()).collect(),
            profile: self.profile,
            unknown_user: self.unknown_user.as_deref().map(Into::into),
            outbound: self.direction == RouteDirection::Outbound,
            delivery: filled.delivery.unwrap_or(Delivery::CutThrough),
            retry: self.retry.iter().map(|period| period.0).collect(),
            expire: self.expire.0,
            connections: filled.connections.unwrap_or(1),
            rate: filled.rate,
            warn_after: Some(self.warn_after.0).filter(|age| !age.is_zero()),
            tls: self.tls,
            auth: self.username.clone().zip(password).map(|(user, password)| Credentials { user, password }),
            callout: filled.callout.unwrap_or(false),
        }
    }
}

/// Reads a password: the file's text without its line end. `Err` says what is wrong with it.
pub fn read_password(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read the password file {}: {error}", path.display()))?;
    let password = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if password.is_empty() {
        return Err(format!("the password file {} is empty", path.display()));
    }
    if password.contains(['\n', '\r', '\0']) {
        return Err(format!("the password file {} has more than one line: it holds the password and nothing else", path.display()));
    }
    Ok(password.to_owned())
}

/// Whether everybody on this machine may read the file.
pub fn is_open_to_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| std::os::unix::fs::PermissionsExt::mode(&file.permissions()) & 0o004 != 0)
}

/// Reads a list of recipients: the addresses in lower case, and every line that is none.
pub fn read_recipients(path: &Path) -> Result<(HashSet<String>, Vec<Problem>), std::io::Error> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let bytes = std::fs::read(path)?;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes);
    let file = path.display().to_string();
    let mut addresses = HashSet::new();
    let mut problems = Vec::new();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let content = line.split('#').next().unwrap_or_default();
        let address = content.trim();
        if address.is_empty() {
            continue;
        }
        match address.parse::<Address>() {
            Ok(address) => {
                addresses.insert(address.key());
            }
            Err(error) => {
                let column = content.chars().take_while(|c| c.is_whitespace()).count() + 1;
                let shown: String = address.chars().take(80).collect();
                let problem =
                    Problem::error(format!("{shown:?} is not an address: {error}"), "one address a line, such as ann@example.org");
                problems.push(problem.at(&file, number + 1, column));
            }
        }
    }
    Ok((addresses, problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users.txt");
        std::fs::write(&path, "# GroupWise\nAnn@Example.org\n\n  bob@example.org # left in May\r\n  carl\nann@example.org\n\u{feff}\n")
            .unwrap();
        let (addresses, problems) = read_recipients(&path).unwrap();
        assert_eq!(addresses, HashSet::from(["ann@example.org".to_owned(), "bob@example.org".to_owned()]));
        let places: Vec<(usize, usize)> = problems.iter().map(|problem| (problem.line, problem.column)).collect();
        assert_eq!(places, [(5, 3), (7, 1)]);
        assert!(problems[0].to_string().contains("users.txt:5:3: error: \"carl\" is not an address"));
        assert!(read_recipients(&dir.path().join("none")).is_err());
    }

    #[test]
    fn defaults_depend_on_direction_and_profile() {
        let build = |direction, profile| RouteSettings { direction, profile, ..RouteSettings::default() }.build(None, None);
        let inbound = build(RouteDirection::Inbound, Profile::Groupwise);
        assert_eq!((inbound.delivery, inbound.outbound, inbound.connections, inbound.rate), (Delivery::CutThrough, false, 8, Some(2.5)));
        let outbound = build(RouteDirection::Outbound, Profile::Generic);
        assert_eq!((outbound.delivery, outbound.outbound, outbound.connections, outbound.rate), (Delivery::Spool, true, 20, None));
        assert_eq!(outbound.retry.len(), 4);
        assert_eq!((outbound.warn_after, outbound.tls), (Some(Duration::from_secs(4 * 3600)), None));
        let never = RouteSettings { warn_after: "0s".parse().unwrap(), ..RouteSettings::default() };
        assert_eq!(never.build(None, None).warn_after, None);
    }

    #[test]
    fn who_is_asked_about_recipients() {
        let hops =
            |hops: &[&str]| RouteSettings { next_hops: hops.iter().map(|hop| hop.to_string()).collect(), ..RouteSettings::default() };
        let named = hops(&["gwia.example", "192.0.2.1:2525"]);
        for (settings, want) in [
            (named.clone(), true),
            (hops(&["gwia.example", "mx"]), false),
            (hops(&[]), false),
            (RouteSettings { recipients: Some("users.txt".into()), ..named.clone() }, false),
            (RouteSettings { recipients: Some("users.txt".into()), callout: Some(true), ..named.clone() }, true),
            (RouteSettings { direction: RouteDirection::Outbound, ..named.clone() }, false),
            (RouteSettings { callout: Some(false), ..named }, false),
        ] {
            assert_eq!(settings.build(None, None).callout, want, "{settings:?}");
        }
    }

    #[test]
    fn passwords() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        for (text, want) in [
            ("s3cret\n", Some("s3cret")),
            ("s3cret\r\n", Some("s3cret")),
            (" with blanks ", Some(" with blanks ")),
            ("\n", None),
            ("", None),
            ("user\npassword\n", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_password(&path).ok().as_deref(), want, "{text:?}");
            let settings = RouteSettings { username: Some("ann".into()), ..RouteSettings::default() };
            let route = settings.build(None, read_password(&path).ok());
            assert_eq!(route.auth.as_ref().map(|auth| auth.password.as_str()), want);
            assert!(!format!("{route:?}").contains("s3cret"), "never shown");
        }
        assert!(read_password(&dir.path().join("none")).unwrap_err().contains("cannot read"));
    }
}

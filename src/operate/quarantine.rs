//! The quarantine: list, show and export held mail. Looking is recorded; nothing shown is active.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::plain::{cut, harmless, harmless_line};
use super::{Error, blocking};
use crate::content;
use crate::mail::{Address, Area, Direction, Entry, Event, Finding, Message, MessageId, Place, RecipientState, Record, Release, VersionId};
use crate::pipeline;
use crate::store::Store;

/// Text of the body shown at most, in bytes.
pub const MAX_TEXT: usize = 32 * 1024;
/// Header fields, parts and links shown at most, each.
pub const MAX_LISTED: usize = 200;

/// One held message, for a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The message.
    pub id: MessageId,
    /// Where it lies.
    pub area: Option<Area>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// MAIL FROM; empty for `<>`.
    pub sender: String,
    /// From, decoded.
    pub from: String,
    /// Subject, decoded.
    pub subject: String,
    /// Bytes as received.
    pub size: u64,
    /// The rule that held it and its evidence.
    pub why: String,
    /// Everybody it is for.
    pub recipients: Vec<HeldFor>,
    /// Set once it was released.
    pub release: Option<Release>,
}

/// One recipient of a held message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldFor {
    /// Whom.
    pub address: Address,
    /// Which way.
    pub direction: Direction,
    /// `held`, `released`, `deleted` …
    pub state: String,
}

/// The answer of `quarantine list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// Newest first.
    pub messages: Vec<Held>,
    /// All that match, those beyond the limit included.
    pub total: usize,
}

/// The answer of `quarantine show`: everything about a held message, none of it active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// As in the list.
    #[serde(flatten)]
    pub held: Held,
    /// Where it came from: peer, EHLO name, listener.
    pub origin: String,
    /// The version that judged it.
    pub version: VersionId,
    /// The header fields in order, decoded: name and value.
    pub headers: Vec<(String, String)>,
    /// The text of the body, links defanged.
    pub text: String,
    /// The text is longer than what is shown.
    pub text_cut: bool,
    /// What is in the message.
    pub parts: Vec<ShownPart>,
    /// Links found anywhere in it, defanged.
    pub links: Vec<String>,
    /// What the checks saw.
    pub findings: Vec<Finding>,
}

/// One part of a shown message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownPart {
    /// Its number.
    pub part: u32,
    /// How deep it lies in others.
    pub depth: u16,
    /// The type it claims.
    pub declared_type: String,
    /// The type it is.
    pub true_type: String,
    /// The name it claims.
    pub name: Option<String>,
    /// Decoded bytes.
    pub size: usize,
    /// It is an attachment.
    pub attachment: bool,
    /// SHA-256 of the decoded bytes, in hex.
    pub sha256: String,
}

/// Lists held mail. Only what is still held, unless the filter asks for a `state` (`delivered`, `spooled` and the other states after a
/// release are all "released" here).
///
/// # Errors
/// Only where the work is cut off at shutdown.
pub async fn list(store: Arc<Store>, filter: Filter) -> Result<Listing, Error> {
    use super::fate::State;
    blocking(move || {
        let wanted = |entry: &Entry| match filter.state {
            None | Some(State::Held) => entry.is_held(),
            Some(State::Deleted) => entry.recipients.iter().any(|r| matches!(r.state, RecipientState::Deleted { .. })),
            Some(_) => entry.release.is_some(),
        };
        let (entries, total) = matching(&store, Place::Quarantine, |entry| wanted(entry) && filter.takes(entry), filter.limit);
        Ok(Listing { messages: entries.iter().map(held).collect(), total })
    })
    .await
}

/// The newest entries that match, and how many do in all. Blocking.
pub(crate) fn matching(store: &Store, place: Place, wanted: impl Fn(&Entry) -> bool, limit: usize) -> (Vec<Entry>, usize) {
    let total = Cell::new(0usize);
    let counted = |entry: &Entry| {
        let yes = wanted(entry);
        total.set(total.get() + usize::from(yes));
        // Beyond the limit entries are only counted, so the walk goes on to the end without copying them.
        yes && total.get() <= limit
    };
    let entries = store.list(place, counted, usize::MAX);
    (entries, total.get())
}

/// Shows a held message to `by`, and records that.
///
/// # Errors
/// [`Error::Unknown`] when it is not in the quarantine; [`Error::Store`] when the bytes cannot be read or the look not recorded.
pub async fn show(store: Arc<Store>, limits: &content::Limits, version: &VersionId, id: MessageId, by: &str) -> Result<Shown, Error> {
    let (entry, raw) = look(&store, version, id, by, "show").await?;
    let limits = limits.clone();
    // What ended the program while it was taken apart is not taken apart for being looked at.
    let crashes = entry.findings.iter().any(|finding| finding.code == pipeline::CRASHED);
    let open = move |raw| if crashes { content::header(raw) } else { pipeline::take_apart_alone(raw, &limits) };
    blocking(move || Ok(shown(&entry, &open(raw)))).await
}

/// The message of `id` byte for byte, for `by`, and records that.
///
/// # Errors
/// As [`show`].
pub async fn export(store: Arc<Store>, version: &VersionId, id: MessageId, by: &str) -> Result<Bytes, Error> {
    look(&store, version, id, by, "export").await.map(|(_, raw)| raw)
}

/// Fetches entry and bytes. The look is recorded first: what cannot be recorded is not shown.
async fn look(store: &Arc<Store>, version: &VersionId, id: MessageId, by: &str, how: &str) -> Result<(Entry, Bytes), Error> {
    let entry = store.get(Place::Quarantine, id).ok_or(Error::not_in(Place::Quarantine, id))?;
    let event = Event::Looked { by: by.to_owned(), how: how.to_owned() };
    let record = Record { at: Timestamp::now(), id, version: version.clone(), event };
    let books = store.clone();
    blocking(move || Ok(books.record(&[record])?)).await?;
    Ok((entry, store.bytes(Place::Quarantine, id).await?))
}

fn held(entry: &Entry) -> Held {
    let why = entry.recipients.first().map(|recipient| {
        let decision = &recipient.decision;
        if decision.because.is_empty() { decision.rule.clone() } else { format!("{}: {}", decision.rule, decision.because) }
    });
    let recipients = entry.recipients.iter().map(|recipient| HeldFor {
        address: recipient.address.clone(),
        direction: recipient.direction,
        state: word(&recipient.state).to_owned(),
    });
    Held {
        id: entry.id,
        area: entry.area,
        received_at: entry.received_at,
        sender: entry.sender.as_str().to_owned(),
        from: harmless_line(&entry.from),
        subject: harmless_line(&entry.subject),
        size: entry.size,
        why: harmless_line(&why.unwrap_or_default()),
        recipients: recipients.collect(),
        release: entry.release.clone(),
    }
}

fn word(state: &RecipientState) -> &'static str {
    match state {
        RecipientState::Spooled { .. } => "spooled",
        RecipientState::Held => "held",
        RecipientState::Delivered { .. } => "delivered",
        RecipientState::Bounced { .. } => "bounced",
        RecipientState::Released => "released",
        RecipientState::Deleted { .. } => "deleted",
    }
}

fn shown(entry: &Entry, message: &Message) -> Shown {
    let headers = message.headers.iter().take(MAX_LISTED).map(|header| (harmless_line(&header.name), harmless_line(&header.value)));
    let (text, text_cut) = body_text(message);
    let parts = message.parts.iter().take(MAX_LISTED).map(|part| ShownPart {
        part: part.id.0,
        depth: part.depth,
        declared_type: harmless_line(&part.declared_type),
        true_type: part.true_type.to_owned(),
        name: part.name.as_deref().map(harmless_line),
        size: part.data.len(),
        attachment: part.attachment,
        sha256: part.sha256.iter().map(|byte| format!("{byte:02x}")).collect(),
    });
    Shown {
        held: held(entry),
        origin: describe(&entry.origin),
        version: entry.version.clone(),
        headers: headers.collect(),
        text,
        text_cut,
        parts: parts.collect(),
        links: message.urls.iter().take(MAX_LISTED).map(|url| harmless_line(url)).collect(),
        findings: entry.findings.iter().map(harmless_finding).collect(),
    }
}

/// The first text that is shown inline (plain text before reduced HTML), cut and made harmless.
fn body_text(message: &Message) -> (String, bool) {
    let texts = || message.parts.iter().filter(|part| !part.attachment && part.text.as_deref().is_some_and(|text| !text.trim().is_empty()));
    let best = texts().find(|part| part.declared_type == "text/plain").or_else(|| texts().next());
    let (text, was_cut) = cut(best.and_then(|part| part.text.as_deref()).unwrap_or_default(), MAX_TEXT);
    (harmless(text), was_cut)
}

/// Where a message came from, on one line.
pub(crate) fn describe(origin: &crate::mail::Origin) -> String {
    let peer = origin.ip().map_or("no peer".to_owned(), |ip| ip.to_string());
    let tls = origin.tls.as_deref().map_or("no TLS", |tls| tls);
    harmless_line(&format!("{peer} ({}) on listener {}, {tls}", origin.helo, origin.listener))
}

/// The same finding with harmless evidence.
pub fn harmless_finding(finding: &Finding) -> Finding {
    Finding { evidence: harmless_line(&finding.evidence), ..finding.clone() }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mail::{Body, Disposition, EntryRecipient, ReversePath};
    use crate::operate::fate::tests::{address, decision, origin};
    use crate::operate::filter::Query;
    use crate::store::{Change, Settings};

    pub(crate) const RAW: &[u8] =
        b"From: Bob <bob@else.example>\r\nSubject: Win \x1b[31mnow\r\n\r\nGo to http://evil.example/\x1b]0;x\x07 now\r\n";

    pub(crate) fn entry(place: Place, state: RecipientState) -> Entry {
        Entry {
            id: MessageId::new(),
            place,
            area: (place == Place::Quarantine).then_some(Area::Spam),
            received_at: Timestamp::now(),
            origin: origin(),
            sender: ReversePath::Address(address("bob@else.example")),
            body: Body::SevenBit,
            smtputf8: false,
            dsn: Default::default(),
            recipients: vec![EntryRecipient {
                dsn: Default::default(),
                warned: false,
                address: address("ann@ours.example"),
                direction: Direction::Inbound,
                route: "groupwise".into(),
                decision: crate::mail::Decision { rule: "score.hold".into(), because: "9.5".into(), ..decision(Disposition::Hold) },
                state,
            }],
            size: RAW.len() as u64,
            subject: "Win now".into(),
            from: "Bob <bob@else.example>".into(),
            trace: String::new(),
            findings: vec![Finding::new(
                "heuristics",
                "spam.link",
                crate::mail::Class::Score { points: 9.5 },
                "A link",
                "http://evil.example",
            )],
            version: VersionId("v1".into()),
            release: None,
        }
    }

    pub(crate) async fn put(store: &Store, entry: Entry) -> MessageId {
        let id = entry.id;
        store.commit(vec![Change::Put { entry, bytes: Bytes::from_static(RAW) }]).await.unwrap();
        id
    }

    #[tokio::test]
    async fn looks_are_recorded_and_harmless() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let id = put(&store, entry(Place::Quarantine, RecipientState::Held)).await;
        let version = VersionId("v2".into());
        let shown = show(store.clone(), &content::Limits::default(), &version, id, "ann").await.unwrap();
        let json = serde_json::to_string(&shown).unwrap();
        assert!(!json.contains("\\u001b") && !json.contains("http://") && shown.text.contains("hxxp://evil.example"), "{json}");
        assert_eq!(serde_json::from_str::<Shown>(&json).unwrap(), shown);
        assert_eq!(export(store.clone(), &version, id, "carl").await.unwrap(), RAW);
        let looks: Vec<Event> = store.records_of(id).unwrap().into_iter().map(|record| record.event).collect();
        let look = |by: &str, how: &str| Event::Looked { by: by.into(), how: how.into() };
        assert_eq!(looks, [look("ann", "show"), look("carl", "export")]);
        assert!(matches!(export(store, &version, MessageId::new(), "ann").await, Err(Error::Unknown { .. })));
    }

    #[tokio::test]
    async fn lists_what_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let one = put(&store, entry(Place::Quarantine, RecipientState::Held)).await;
        let released = Release { by: "ann".into(), at: Timestamp::now(), reason: String::new() };
        let two = put(&store, Entry { release: Some(released), ..entry(Place::Quarantine, RecipientState::Released) }).await;
        let three = put(&store, Entry { area: Some(Area::Virus), ..entry(Place::Quarantine, RecipientState::Held) }).await;
        let query = Query::default;
        for (query, want, total) in [
            (query(), vec![three, one], 2),
            (Query { limit: Some(1), ..query() }, vec![three], 2),
            (Query { area: Some("spam".into()), ..query() }, vec![one], 1),
            (Query { state: Some("spooled".into()), ..query() }, vec![two], 1),
            (Query { text: Some("WIN".into()), from: Some("bob".into()), ..query() }, vec![three, one], 2),
            (Query { to: Some("carl".into()), ..query() }, vec![], 0),
        ] {
            let got = list(store.clone(), query.read(Timestamp::now()).unwrap()).await.unwrap();
            assert_eq!((got.messages.iter().map(|held| held.id).collect::<Vec<_>>(), got.total), (want, total), "{query:?}");
        }
    }
}

//! The admin API as people and monitors reach it: over a real unix socket, over HTTP, and in process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use mailweir::admin::api::Done;
use mailweir::admin::{BindError, Bound, Desk, Metrics, Settings};
use mailweir::cli::client::{Client, Said};
use mailweir::mail::{
    Address, Area, Body, Decision, Direction, Disposition, Entry, EntryRecipient, Event, MessageId, Mode, Origin, Place, RecipientState,
    Record, ReversePath, VersionId,
};
use mailweir::operate::Error;
use mailweir::operate::engines::Engines;
use mailweir::operate::explain::Explanation;
use mailweir::operate::hands::{Hands, Released, ReleasedTo, Task, Went};
use mailweir::operate::quarantine::{Listing, Shown};
use mailweir::operate::status::{Engine, Hop, Listening, Status, Verdict};
use mailweir::pipeline::Age;
use mailweir::store::{Change, Store};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const RAW: &[u8] = b"From: Bob <bob@else.example>\r\nSubject: Win\r\n\r\nGo to http://evil.example/\x1b]0;x\x07 now\r\n";
const TOKEN: &str = "a-token-that-is-long-enough";

/// Hands that move no mail: they remember who asked for what.
#[derive(Default)]
struct Fake {
    done: Mutex<Vec<String>>,
    released: Mutex<Option<(String, Timestamp)>>,
}

impl Hands for Fake {
    fn release<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, _wait: Duration) -> Task<'a, Released> {
        Box::pin(async move {
            if let Some((by, at)) = self.released.lock().unwrap().clone() {
                return Err(Error::AlreadyReleased { by, at });
            }
            *self.released.lock().unwrap() = Some((by.to_owned(), Timestamp::now()));
            self.done.lock().unwrap().push(format!("release by {by}: {reason}"));
            let to =
                ReleasedTo { address: "ann@ours.example".parse().unwrap(), went: Went::Delivered, detail: "gwia:25 said: 250 ok".into() };
            Ok(Released { id, recipients: vec![to] })
        })
    }

    fn delete<'a>(&'a self, _id: MessageId, by: &'a str, reason: &'a str) -> Task<'a, ()> {
        Box::pin(async move {
            self.done.lock().unwrap().push(format!("delete by {by}: {reason}"));
            Ok(())
        })
    }

    fn retry<'a>(&'a self, id: MessageId, _by: &'a str, _whom: &'a [Address]) -> Task<'a, ()> {
        Box::pin(async move { Err(Error::not_in(Place::Spool, id)) })
    }

    fn hold<'a>(&'a self, _id: MessageId, by: &'a str, reason: &'a str, whom: &'a [Address]) -> Task<'a, Vec<Address>> {
        Box::pin(async move {
            self.done.lock().unwrap().push(format!("hold by {by}: {reason}"));
            Ok(whom.to_vec())
        })
    }

    fn bounce<'a>(&'a self, id: MessageId, _by: &'a str, _reason: &'a str, _whom: &'a [Address]) -> Task<'a, Vec<Address>> {
        Box::pin(async move { Err(Error::Conflict(format!("{id} is being tried"))) })
    }

    fn ages(&self) -> Vec<Age> {
        vec![Age { state: "spooled".into(), name: "groupwise".into(), count: 1, oldest: 7, deadline: 9 }]
    }

    fn hops(&self) -> Vec<Hop> {
        Vec::new()
    }
}

struct OneEngine(bool);

impl Engines for OneEngine {
    fn engines(&self) -> Vec<Engine> {
        vec![Engine { name: "clamd".into(), up: self.0, version: "1".into(), signatures: None, warnings: vec![] }]
    }
}

/// A gateway's admin side, without a gateway.
struct Office {
    dir: TempDir,
    store: Arc<Store>,
    hands: Arc<Fake>,
    shutdown: CancellationToken,
}

impl Office {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        Self { dir, store, hands: Arc::default(), shutdown: CancellationToken::new() }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("run/admin.sock")
    }

    fn desk(&self, engine_up: bool) -> Desk {
        Desk {
            hostname: "mx1.ours.example".into(),
            data_dir: self.dir.path().into(),
            store: self.store.clone(),
            hands: Some(self.hands.clone()),
            read_only: String::new(),
            limits: Default::default(),
            version: VersionId("v1".into()),
            mode: Mode::Normal,
            started: Some(Timestamp::now()),
            listeners: vec![Listening { name: "internet".into(), address: "127.0.0.1:25".into() }],
            engines: Some(Arc::new(OneEngine(engine_up))),
            engine_optional: false,
            reloads: None,
            shutdown: self.shutdown.clone(),
        }
    }

    async fn open(&self, settings: Settings, engine_up: bool) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let bound = Bound::bind(&Settings { socket: self.socket(), ..settings }).await.unwrap();
        let addresses = (bound.http_address(), bound.metrics_address());
        let serving = bound.serve(Arc::new(self.desk(engine_up)), Metrics::detached().unwrap(), self.shutdown.clone());
        tokio::spawn(serving);
        addresses
    }

    async fn held(&self) -> MessageId {
        let entry = entry();
        let id = entry.id;
        self.store.commit(vec![Change::Put { entry, bytes: Bytes::from_static(RAW) }]).await.unwrap();
        id
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn open(dir: &Path) -> (Arc<Store>, mailweir::store::Recovery) {
    Store::open(dir, &Default::default()).unwrap()
}

fn entry() -> Entry {
    let decision = Decision {
        disposition: Disposition::Hold,
        area: Some(Area::Spam),
        rule: "score.hold".into(),
        because: String::new(),
        score: 9.0,
        would: None,
        tagged: true,
    };
    Entry {
        id: MessageId::new(),
        place: Place::Quarantine,
        area: Some(Area::Spam),
        received_at: Timestamp::now(),
        origin: Origin { listener: "internet".into(), peer: None, helo: "x".into(), esmtp: true, tls: None, normalised: false },
        sender: ReversePath::Address("bob@else.example".parse().unwrap()),
        body: Body::SevenBit,
        smtputf8: false,
        dsn: Default::default(),
        recipients: vec![EntryRecipient {
            dsn: Default::default(),
            warned: false,
            address: "ann@ours.example".parse().unwrap(),
            direction: Direction::Inbound,
            route: "groupwise".into(),
            decision,
            state: RecipientState::Held,
        }],
        size: RAW.len() as u64,
        subject: "Win".into(),
        from: "Bob".into(),
        trace: String::new(),
        findings: vec![],
        version: VersionId("v1".into()),
        release: None,
    }
}

/// One plain HTTP request: status line and everything after it.
async fn http(address: SocketAddr, path: &str, extra: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{extra}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn me() -> String {
    mailweir::admin::who::myself().0
}

#[tokio::test]
async fn over_the_socket() {
    let office = Office::new();
    let id = office.held().await;
    office.open(Settings::default(), true).await;
    let mode = std::fs::metadata(office.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let client = Client::at(&office.socket());

    let status: Status = client.get("/api/v1/status").await.unwrap().value().unwrap();
    assert_eq!((status.verdict, status.facts.hostname.as_str()), (Verdict::Ok, "mx1.ours.example"), "{status:?}");
    let listing: Listing = client.get("/api/v1/quarantine?area=spam&limit=5").await.unwrap().value().unwrap();
    assert_eq!((listing.total, listing.messages[0].id), (1, id));
    let shown: Shown = client.get(&format!("/api/v1/quarantine/{id}")).await.unwrap().value().unwrap();
    assert!(shown.text.contains("hxxp://evil.example") && !shown.text.contains('\u{1b}'), "{shown:?}");
    let raw = client.get(&format!("/api/v1/quarantine/{id}/raw")).await.unwrap();
    assert_eq!(raw.bytes().unwrap(), RAW, "byte for byte");
    let explained: Explanation = client.get(&format!("/api/v1/explain/{id}")).await.unwrap().value().unwrap();
    let looks: Vec<&Event> = explained.records.iter().map(|record| &record.event).collect();
    let look = |how: &str| Event::Looked { by: me(), how: how.into() };
    assert_eq!(looks, [&look("show"), &look("export")]);

    let address = format!("/api/v1/quarantine/{id}/release");
    let change = json!({ "reason": "asked", "wait": "5s" });
    let released: Released = client.post(&address, &change).await.unwrap().value().unwrap();
    assert_eq!(released.recipients[0].went, Went::Delivered);
    match client.post(&address, &change).await.unwrap().said::<Released>().unwrap() {
        Said::No(refusal) => assert!(refusal.by == Some(me()) && refusal.at.is_some(), "{refusal:?}"),
        Said::Yes(released) => panic!("released twice: {released:?}"),
    }
    let _nothing: Value =
        client.post(&format!("/api/v1/quarantine/{id}/delete"), &json!({ "reason": "old" })).await.unwrap().value().unwrap();
    assert_eq!(*office.hands.done.lock().unwrap(), [format!("release by {}: asked", me()), format!("delete by {}: old", me())]);
}

#[tokio::test]
async fn bad_requests_say_what_to_do() {
    let office = Office::new();
    let client = Client::here(office.desk(true));
    let id = MessageId::new();
    for (address, wanted) in [
        ("/api/v1/quarantine?since=soon".to_owned(), "not a time"),
        ("/api/v1/quarantine?colour=red".into(), "unknown field `colour`"),
        ("/api/v1/find?limit=many".into(), "limit"),
        ("/api/v1/find?state=lost".into(), "one of refused, deferred-in"),
        ("/api/v1/quarantine?area=Attic".into(), "one of Operator, Held, Spam"),
        ("/api/v1/explain/nonsense".into(), "an id has twelve characters"),
        (format!("/api/v1/quarantine/{id}"), "no message"),
        (format!("/api/v1/explain/{id}"), "no message"),
        (format!("/api/v1/queue/{id}"), "no message"),
        ("/api/v2/status".into(), "the API begins with /api/v1/"),
    ] {
        let error = client.get(&address).await.unwrap().value::<Value>().expect_err(&address).to_string();
        assert!(error.contains(wanted), "{address}: {error}");
    }
    let error = client.post(&format!("/api/v1/quarantine/{id}/release"), &json!({ "because": 1 })).await.unwrap().value::<Value>();
    assert!(error.unwrap_err().to_string().contains("unknown field `because`"));
    assert!(client.post(&format!("/api/v1/queue/{id}/retry"), &json!({})).await.unwrap().value::<Value>().is_err());
    assert_eq!(office.store.records_of(id).unwrap(), [], "what failed is not recorded");
}

#[tokio::test]
async fn orders_about_waiting_mail() {
    let office = Office::new();
    let client = Client::here(office.desk(true));
    let id = MessageId::new();
    let order = json!({ "reason": "look", "recipients": ["ann@ours.example"] });
    let done: Done = client.post(&format!("/api/v1/queue/{id}/hold"), &order).await.unwrap().value().unwrap();
    assert_eq!((done.id, done.recipients.len()), (id, 1));
    assert_eq!(*office.hands.done.lock().unwrap(), [format!("hold by {}: look", me())]);
    let answer = client.post(&format!("/api/v1/queue/{id}/bounce"), &order).await.unwrap();
    assert!(matches!(answer.said::<Done>().unwrap(), Said::No(refusal) if refusal.error.contains("is being tried")));
    let wrong = json!({ "reason": "look", "recipients": ["not an address"] });
    assert!(client.post(&format!("/api/v1/queue/{id}/hold"), &wrong).await.unwrap().value::<Value>().is_err());
}

#[tokio::test]
async fn read_only_without_a_gateway() {
    let office = Office::new();
    let id = office.held().await;
    let read_only = "no gateway answers at /x; to change the store without one add --offline".to_owned();
    let client = Client::here(Desk { hands: None, read_only: read_only.clone(), started: None, ..office.desk(true) });
    let answer = client.post(&format!("/api/v1/quarantine/{id}/release"), &json!({})).await.unwrap();
    assert_eq!(answer.value::<Value>().unwrap_err().to_string(), read_only);
    let status: Status = client.get("/api/v1/status").await.unwrap().value().unwrap();
    assert_eq!((status.verdict, status.line().as_str()), (Verdict::Critical, "critical: no gateway is running"));
}

#[tokio::test]
async fn sockets_that_are_there_already() {
    let office = Office::new();
    let settings = Settings { socket: office.socket(), ..Settings::default() };
    let first = Bound::bind(&settings).await.unwrap();
    assert!(matches!(Bound::bind(&settings).await, Err(BindError::Running(_))));
    drop(first);
    // A dead gateway leaves its socket behind.
    assert!(office.socket().exists());
    drop(Bound::bind(&settings).await.unwrap());
    std::fs::remove_file(office.socket()).unwrap();
    std::fs::write(office.socket(), "not a socket").unwrap();
    assert!(matches!(Bound::bind(&settings).await, Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read(office.socket()).unwrap(), b"not a socket");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = Some(taken.local_addr().unwrap());
    let settings = Settings { metrics, socket: office.dir.path().join("other.sock"), ..Settings::default() };
    let error = Bound::bind(&settings).await.err().unwrap().to_string();
    assert!(error.starts_with("admin.metrics = ") && error.contains("in use"), "{error}");
}

#[tokio::test]
async fn http_wants_a_token() {
    let office = Office::new();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let file = office.dir.path().join("tokens");
    std::fs::write(&file, format!("monitor:{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let without = Settings { socket: office.socket(), http: Some(any), ..Settings::default() };
    assert!(matches!(Bound::bind(&without).await, Err(BindError::NoToken(_))));

    let (address, _) = office.open(Settings { http: Some(any), token_file: Some(file), ..Settings::default() }, true).await;
    let address = address.unwrap();
    let refused = http(address, "/api/v1/status", "").await;
    assert!(refused.starts_with("HTTP/1.1 401") && refused.contains("www-authenticate: Bearer"), "{refused}");
    let wrong = http(address, "/api/v1/status", "authorization: Bearer wrong\r\n").await;
    assert!(wrong.starts_with("HTTP/1.1 401"), "{wrong}");
    let right = http(address, "/api/v1/status", &format!("authorization: Bearer {TOKEN}\r\n")).await;
    assert!(right.starts_with("HTTP/1.1 200") && right.contains("\"verdict\":\"ok\""), "{right}");

    let id = office.held().await;
    let shown = http(address, &format!("/api/v1/quarantine/{id}"), &format!("authorization: Bearer {TOKEN}\r\n")).await;
    assert!(shown.starts_with("HTTP/1.1 200"), "{shown}");
    let looked = Event::Looked { by: "monitor".into(), how: "show".into() };
    assert_eq!(office.store.records_of(id).unwrap()[0].event, looked, "who it was comes from the token");
}

#[tokio::test]
async fn monitors() {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    for (up, ready) in [(true, "HTTP/1.1 200"), (false, "HTTP/1.1 503")] {
        let office = Office::new();
        let (_, address) = office.open(Settings { metrics: Some(any), ..Settings::default() }, up).await;
        let address = address.unwrap();
        office.held().await;
        assert!(http(address, "/healthz", "").await.starts_with("HTTP/1.1 200"));
        assert!(http(address, "/readyz", "").await.starts_with(ready), "engine up: {up}");
        let metrics = http(address, "/metrics", "").await;
        assert!(metrics.contains("mailweir_quarantine_depth{area=\"Spam\"} 1"), "{metrics}");
        assert!(metrics.contains("mailweir_oldest_age_seconds{state=\"spooled\",route=\"groupwise\"} 7"), "{metrics}");
        assert!(http(address, "/api/v1/status", "").await.starts_with("HTTP/1.1 404"), "nothing else is served there");
    }
}

#[tokio::test]
async fn watching() {
    let office = Office::new();
    office.open(Settings::default(), true).await;
    let id = MessageId::new();
    let record = Record { at: Timestamp::now(), id, version: VersionId("v1".into()), event: Event::Retried { by: "ann".into() } };
    let client = Client::at(&office.socket());
    let (store, wanted) = (office.store.clone(), record.clone());
    let mut seen = Vec::new();
    let watch = client.lines("/api/v1/watch", |line| {
        if !line.is_empty() {
            seen.push(serde_json::from_slice::<Record>(line).unwrap());
            office.shutdown.cancel();
        }
        Ok(())
    });
    // Written again and again, since nobody says when the watch has begun.
    let write = async move {
        loop {
            store.record(std::slice::from_ref(&record)).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        done = watch => done.unwrap(),
        () = write => {}
    }
    assert_eq!(seen[0], wanted);
}

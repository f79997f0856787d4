//! The desk: what the API works on. Setup fills it for a gateway, the command line where none runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::FromRef;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::health;
use crate::content;
use crate::mail::{Mode, VersionId};
use crate::operate::Error;
use crate::operate::engines::Engines;
use crate::operate::hands::Hands;
use crate::operate::reload::Reloads;
use crate::operate::status::{Facts, Listening, Pile, Status, judge};
use crate::store::Store;

/// A full disk is trouble for so long after the last message that it refused.
const FULL: Duration = Duration::from_secs(60);

/// Everything the API needs.
#[derive(Clone)]
pub struct Desk {
    /// Our name in SMTP.
    pub hostname: String,
    /// Where the store lies: asked for its writability.
    pub data_dir: PathBuf,
    /// What we own, and the records.
    pub store: Arc<Store>,
    /// What changes mail; `None`: nothing may be changed, for the reason in `read_only`.
    pub hands: Option<Arc<dyn Hands>>,
    /// Why nothing may be changed, and what to do about it.
    pub read_only: String,
    /// How far messages are taken apart to be shown.
    pub limits: content::Limits,
    /// The version in force.
    pub version: VersionId,
    /// How strictly findings are acted on.
    pub mode: Mode,
    /// When the gateway started; `None` where none runs.
    pub started: Option<Timestamp>,
    /// Bound listeners for mail.
    pub listeners: Vec<Listening>,
    /// The virus engines; `None` where the virus check is not configured.
    pub engines: Option<Arc<dyn Engines>>,
    /// Mail may pass although no engine answers (`on_unavailable = "deliver"`): being ready does not need one.
    pub engine_optional: bool,
    /// Who reads the configuration again; `None` where no gateway runs.
    pub reloads: Option<Arc<dyn Reloads>>,
    /// Ends streams that would never end by themselves.
    pub shutdown: CancellationToken,
}

/// The desk in force: a reload puts another in its place, and every request works on the one it found.
#[derive(Clone)]
pub struct Desks(Arc<ArcSwap<Desk>>);

impl Desks {
    /// Puts another one in force.
    pub fn put(&self, desk: Desk) {
        self.0.store(Arc::new(desk));
    }

    /// The one in force.
    pub fn now(&self) -> Arc<Desk> {
        self.0.load_full()
    }
}

impl From<Arc<Desk>> for Desks {
    fn from(desk: Arc<Desk>) -> Self {
        Self(Arc::new(ArcSwap::new(desk)))
    }
}

impl FromRef<Desks> for Arc<Desk> {
    fn from_ref(desks: &Desks) -> Self {
        desks.now()
    }
}

impl Desk {
    /// What changes mail.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] where nothing may be changed.
    pub fn hands(&self) -> Result<&Arc<dyn Hands>, Error> {
        self.hands.as_ref().ok_or_else(|| Error::ReadOnly(self.read_only.clone()))
    }

    /// All facts, as they are now; nobody is asked but the disk.
    pub async fn facts(&self) -> Facts {
        Facts {
            hostname: self.hostname.clone(),
            running: self.started.is_some(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            version: self.version.clone(),
            mode: self.mode,
            started: self.started,
            not_reloaded: self.reloads.as_ref().and_then(|reloads| reloads.failed()),
            store_trouble: self.store_trouble().await,
            index: crate::operate::store::index_trouble(&self.store.index()),
            listeners: self.listeners.clone(),
            antivirus: self.engines.is_some(),
            engines: self.engines.as_ref().map(|engines| engines.engines()).unwrap_or_default(),
            hops: self.hands.as_ref().map(|hands| hands.hops()).unwrap_or_default(),
            piles: self.piles(),
            ages: self.hands.as_ref().map(|hands| hands.ages()).unwrap_or_default(),
        }
    }

    /// The facts, judged.
    pub async fn status(&self) -> Status {
        judge(self.facts().await, Timestamp::now())
    }

    /// Why the store cannot be written; `None` if it can, or if nothing writes here.
    pub async fn store_trouble(&self) -> Option<String> {
        self.started?;
        match self.store.full_ago() {
            Some(ago) if ago < FULL => Some(format!("the disk was full {} s ago, and mail was put off (452); make room", ago.as_secs())),
            _ => health::trouble_writing(self.data_dir.clone()).await,
        }
    }

    fn piles(&self) -> Vec<Pile> {
        let piles = self.store.depths().into_iter();
        piles.map(|d| Pile { place: d.place, area: d.area, count: d.count, bytes: d.bytes, oldest: d.oldest }).collect()
    }
}

//! The way of a message, one screen each: accept, dispatch, release.
//!
//! ```text
//! accept    decompose ─► inspect ─► decide ─► settle: cut through | keep (spool, quarantine) | refuse ─► reply
//! dispatch  spool ─► hand over ─► conclude: delivered, tried again later, or bounced
//! deadlines spool ─► told that it takes longer, given up in time, whatever its route does
//! orders    spool ─► tried now, held, or bounced, because a person says so
//! release   quarantine ─► virus scan ─► spool ─► dispatch
//! expire    quarantine ─► gone, after its time
//! ```

mod accept;
mod ages;
mod backoff;
mod bounce;
mod deadlines;
mod dispatch;
mod expire;
mod hand_over;
mod ledger;
mod memory;
mod opening;
mod orders;
mod reconcile;
mod release;
mod schedule;
mod settle;
#[cfg(test)]
mod testing;
mod unscanned;
mod verify;

pub use ages::Age;
pub use opening::{CRASHED, take_apart_alone};
pub use orders::{GivenUp, HeldBack};
pub use release::{ReleaseError, Released};

use std::collections::HashSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::content;
use crate::deliver::Courier;
use crate::inspect::Inspector;
use crate::mail::record::TurnedAway;
use crate::mail::{Envelope, HopReply, MessageId, Mode, Origin, Recipient, Routes, VersionId};
use crate::policy;
use crate::smtp::Reply;
use crate::store::Store;

/// A whole message as the gateway received it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Made when the data began; also in our Received field and in every reply about it.
    pub id: MessageId,
    /// The session it came over.
    pub origin: Origin,
    /// Sender and recipients, each with its route and direction.
    pub envelope: Envelope,
    /// The message: dots unstuffed, CRLF line ends, without the final dot.
    pub raw: Bytes,
    /// When the data began.
    pub received_at: Timestamp,
    /// How long the data took.
    pub receiving: Duration,
}

/// What the gateway hands whole messages to.
pub trait Accept: Send + Sync + 'static {
    /// Judges and settles the message; the reply is for the sender, whose session waits for it.
    /// Must be awaited to its end: half-way, the next hop may have the message already.
    fn accept(&self, incoming: Incoming) -> impl Future<Output = Reply> + Send;

    /// Writes down what was refused before there was a message to judge; `id` stands in the reply.
    fn turned_away(&self, id: MessageId, what: TurnedAway);

    /// Asks the next hop about a recipient that the routes take, where the route wants that (`callout`): the recipient, perhaps on
    /// another route (`unknown_user`), or what the next hop said against it.
    fn verify(&self, recipient: Recipient) -> impl Future<Output = Result<Recipient, HopReply>> + Send;

    /// The routes in force, for RCPT.
    fn routes(&self) -> Arc<Routes>;
}

/// What a pipeline is built of; setup fills it in.
pub struct Parts {
    /// Our name, in trace fields and notifications.
    pub hostname: Arc<str>,
    /// The way to the next hops.
    pub courier: Courier,
    /// What we own.
    pub store: Arc<Store>,
    /// Bytes that messages may take while they are opened, all together.
    pub opening: u64,
    /// The same while they are on their way out of the spool.
    pub leaving: u64,
    /// Where the crash ledger lies.
    pub data_dir: PathBuf,
}

/// What a reload replaces, as one: a message is judged and settled by the set in force when its data had ended.
pub struct InForce {
    /// How strictly findings are acted on.
    pub mode: Mode,
    /// The version in force, written into every record.
    pub version: VersionId,
    /// Where mail goes.
    pub routes: Arc<Routes>,
    /// How far messages are taken apart.
    pub limits: content::Limits,
    /// What findings lead to.
    pub policy: policy::Settings,
    /// The checks.
    pub inspector: Inspector,
}

/// The way of a message, with all that stands beside it.
pub struct Pipeline {
    parts: Parts,
    in_force: ArcSwap<InForce>,
    schedule: schedule::Schedule,
    /// Held while a spool entry is read, changed and written back, so that no two tasks change one at once.
    spool_change: Mutex<()>,
    /// Entries that somebody is releasing or deleting at this moment.
    turns: std::sync::Mutex<HashSet<MessageId>>,
    opening: opening::Opening,
    leaving: memory::Memory,
    unscanned: std::sync::Mutex<unscanned::Unscanned>,
    /// Messages being settled, and entries being released.
    accepting: ages::Underway,
    releasing: ages::Underway,
}

impl Pipeline {
    /// A pipeline that accepts and releases; [`Pipeline::dispatch`] must run beside it for the spool to be emptied.
    pub fn new(parts: Parts, in_force: InForce) -> Self {
        describe();
        let opening = opening::Opening::new(parts.opening, ledger::Ledger::open(&parts.data_dir.join(ledger::NAME)));
        let leaving = memory::Memory::new(parts.leaving);
        Self {
            parts,
            in_force: ArcSwap::from_pointee(in_force),
            schedule: schedule::Schedule::default(),
            spool_change: Mutex::new(()),
            turns: std::sync::Mutex::default(),
            opening,
            leaving,
            unscanned: std::sync::Mutex::default(),
            accepting: ages::Underway::default(),
            releasing: ages::Underway::default(),
        }
    }

    /// What it is built of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// What is in force at this moment.
    pub fn in_force(&self) -> Arc<InForce> {
        self.in_force.load_full()
    }

    /// Puts another set in force; messages that are being judged are finished by the one before.
    pub fn put_in_force(&self, in_force: InForce) {
        self.in_force.store(Arc::new(in_force));
    }
}

/// Declares the metrics of the way of a message.
fn describe() {
    use metrics::{Unit, describe_counter, describe_histogram};
    opening::describe();
    describe_counter!("mailweir_messages_total", "Messages judged, by direction and by what became of them");
    describe_counter!("mailweir_messages_cut_off_total", "Messages given up before their reply, at the end of a shutdown's grace");
    describe_counter!("mailweir_findings_total", "Findings, by check and class");
    describe_histogram!("mailweir_message_size_bytes", Unit::Bytes, "Size of received messages, by direction");
    describe_histogram!("mailweir_stage_duration_seconds", Unit::Seconds, "Time a message spends in each stage of its way");
    describe_counter!("mailweir_possible_duplicates_total", "Deliveries whose reply never came: spooled again, so perhaps delivered twice");
    describe_counter!("mailweir_bounces_total", "Recipients given up, by whether a notification was sent");
    describe_counter!("mailweir_notifications_total", "Notifications sent to senders, by what they tell: failed, delayed, relayed");
    describe_counter!("mailweir_busy_total", "Attempts put off for seconds because the next hop was busy, by route");
    describe_counter!("mailweir_releases_total", "Releases from the quarantine, by result");
}

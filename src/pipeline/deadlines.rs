//! Deadlines of the spool: what waits too long is acted on, whether its route is tried at this moment or not. A route that is down, paced,
//! full or gone from the configuration keeps nobody waiting for longer than `expire`.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use super::bounce::{Failure, Notice};
use super::orders::{GivenUp, Whom};
use crate::mail::route::Lookup;
use crate::mail::{Address, Entry, MessageId, Outcome, Place, RecipientState};
use crate::rewrite::dsn::{Action, Why};
use crate::store::StoreError;
use bytes::Bytes;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(30);
/// After a start, everything is tried before it is given up: a gateway that was down for a week has not tried.
const GRACE: Duration = Duration::from_secs(900);
/// For a route that is gone, of a domain that no other route takes.
const WITHOUT_ROUTE: Duration = Duration::from_secs(5 * 86_400);

impl Pipeline {
    /// The age at which a recipient on this route is given up: by the route, by the one that takes the address today, or after 5 days.
    pub(super) fn expire_of(&self, route: &str, address: Option<&Address>) -> Duration {
        let routes = &self.in_force().routes;
        let today = || match routes.lookup(address?) {
            Lookup::Found(name) => routes.get(&name),
            Lookup::NoSuchUser | Lookup::NoRoute => None,
        };
        routes.get(route).or_else(today).map_or(WITHOUT_ROUTE, |route| route.expire)
    }

    /// Runs until `stop`.
    pub(super) async fn watch_deadlines(&self, stop: CancellationToken) {
        let begun = tokio::time::Instant::now();
        loop {
            let now = Timestamp::now();
            self.warn_all(now).await;
            if begun.elapsed() >= GRACE {
                self.expire_all(now).await;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Gives up what is past its deadline and not being tried: what is being tried is settled by its attempt.
    pub(super) async fn expire_all(&self, now: Timestamp) {
        let in_force = self.in_force();
        // On a route that is gone each address has its own deadline: the shortest there is says which to look at.
        let shortest = in_force.routes.iter().map(|route| route.expire).min().unwrap_or(WITHOUT_ROUTE).min(WITHOUT_ROUTE);
        let limit = |name: &str| Some(in_force.routes.get(name).map_or(shortest, |route| route.expire));
        for id in self.schedule.older(now, limit) {
            match self.give_up(id, Whom::Expired(now), Duration::ZERO).await {
                Ok(GivenUp::Nobody | GivenUp::BeingTried) => {}
                Ok(GivenUp::Recipients(whom)) => tracing::info!(%id, recipients = whom.len(), "given up: too old"),
                Err(error) => tracing::error!(%id, %error, "what is too old cannot be given up; trying again later"),
            }
        }
    }

    async fn warn_all(&self, now: Timestamp) {
        let in_force = self.in_force();
        let limit = |name: &str| in_force.routes.get(name).and_then(|route| route.warn_after);
        for id in self.schedule.untold(now, limit) {
            if let Err(error) = self.warn(id, now).await {
                tracing::error!(%id, %error, "its sender cannot be told of the delay; trying again later");
            }
        }
    }

    pub(super) async fn warn(&self, id: MessageId, now: Timestamp) -> Result<(), StoreError> {
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return Ok(()) };
        let raw = self.parts.store.bytes(Place::Spool, id).await?;
        let before = entry.clone();
        let notice = self.delayed(&mut entry, &raw, now);
        // Where nobody wants to hear of it, that is settled too.
        if entry == before { Ok(()) } else { self.write_down(entry, notice).await }
    }

    /// Marks the recipients that have waited for as long as their routes' `warn_after`, and makes the notification for those of whom the
    /// sender wants to hear. Once for each.
    pub(super) fn delayed(&self, entry: &mut Entry, raw: &Bytes, now: Timestamp) -> Option<Notice> {
        let in_force = self.in_force();
        let since = entry.waits_since();
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let mut late = Vec::new();
        for recipient in entry.recipients.iter_mut().filter(|recipient| !recipient.warned) {
            let RecipientState::Spooled { last, .. } = &recipient.state else { continue };
            let due = in_force.routes.get(&recipient.route).and_then(|route| route.warn_after);
            if due.is_none_or(|due| age < due) {
                continue;
            }
            recipient.warned = true;
            // What is said of a message that merely waits for its turn is no failure.
            let last: Option<Outcome> = last.clone();
            let expire = self.expire_of(&recipient.route, Some(&recipient.address));
            late.push(Failure {
                recipient: recipient.address.clone(),
                outcome: last,
                why: Why::Said,
                tried: None,
                until: since.saturating_add(expire).ok(),
            });
        }
        self.notice(entry, raw, Action::Delayed, &late)
    }
}

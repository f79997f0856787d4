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

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::mail::{Delivery, Release};

    const DAY: i64 = 86_400;

    /// Nothing is tried here: no attempt ever concludes.
    #[tokio::test]
    async fn what_is_too_old_goes_whatever_its_route_does() {
        let dir = tempfile::tempdir().unwrap();
        let mut short = route("short", &["short.example"], "127.0.0.1:1", Delivery::Spool);
        short.expire = Duration::from_secs(3600);
        let pipeline = pipeline(dir.path(), routes(vec![short, route("internet", &["*"], "127.0.0.1:1", Delivery::Spool)]));
        let one = |age, to: &str, route: &str| entry(age, vec![waits(to, route, None)]);
        let rows = [
            ("in time", one(DAY, "a@else.example", "internet"), true),
            ("too old", one(5 * DAY + 1, "a@else.example", "internet"), false),
            ("too old for a shorter route", one(3601, "a@short.example", "short"), false),
            ("route gone: in time by today's", one(3601, "a@else.example", "gone"), true),
            ("route gone: too old by today's", one(3601, "a@short.example", "gone"), false),
            (
                "held long, released just now",
                {
                    let release = Some(Release { by: "ann".into(), at: Timestamp::now(), reason: String::new() });
                    Entry { release, ..one(20 * DAY, "a@else.example", "internet") }
                },
                true,
            ),
        ];
        let mut ids = Vec::new();
        for (name, entry, waits) in rows {
            ids.push((name, pipeline.put(entry).await, waits));
        }
        let flying = pipeline.put(one(6 * DAY, "a@else.example", "internet")).await;
        let begun = pipeline.schedule.take(Timestamp::now(), |_| 100);
        begun.iter().filter(|(_, id)| *id != flying).for_each(|due| {
            pipeline.schedule.add_again(due.0.clone(), Timestamp::MAX, due.1);
            pipeline.schedule.done(due);
        });
        pipeline.expire_all(Timestamp::now()).await;
        for (name, id, waits) in ids {
            assert_eq!(pipeline.parts.store.get(Place::Spool, id).is_some(), waits, "{name}");
            assert_eq!(pipeline.told(id).contains(&"bounced"), !waits, "{name}");
        }
        assert!(pipeline.parts.store.get(Place::Spool, flying).is_some(), "its attempt settles it");
        let texts = pipeline.notifications().await;
        assert!(texts.len() == 3 && texts.iter().all(|text| text.contains("Status: 5.4.7")), "{texts:?}");
    }

    #[tokio::test]
    async fn a_route_without_any_other_has_five_days() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), routes(vec![route("ours", &["ours.example"], "127.0.0.1:1", Delivery::Spool)]));
        let young = pipeline.put(entry(4 * DAY, vec![waits("a@else.example", "gone", None)])).await;
        let old = pipeline.put(entry(5 * DAY + 1, vec![waits("a@else.example", "gone", None)])).await;
        pipeline.expire_all(Timestamp::now()).await;
        assert!(pipeline.parts.store.get(Place::Spool, young).is_some());
        assert!(pipeline.parts.store.get(Place::Spool, old).is_none());
        let age = pipeline.ages().into_iter().find(|age| age.name == "gone").unwrap();
        assert_eq!((age.state.as_str(), age.count, age.deadline), ("spooled", 1, 5 * 86_400));
        assert!((4 * 86_400..4 * 86_400 + 60).contains(&age.oldest));
    }
}

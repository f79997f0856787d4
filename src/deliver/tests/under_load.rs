//! Under load: hops that push back, and simulations of GroupWise's agent and of Exchange, which must have nothing to refuse.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::super::Verified;
use super::server::{Do, Script, Server, script, usual};
use super::*;
use crate::deliver::profile::defaults;

/// What a simulated server had to refuse.
#[derive(Default)]
struct Watch {
    open: AtomicUsize,
    most: AtomicUsize,
    refused: AtomicUsize,
    recent: Mutex<VecDeque<Instant>>,
}

impl Watch {
    fn refuse(&self, text: &'static str) -> Do {
        self.refused.fetch_add(1, Ordering::SeqCst);
        Do::SayAndClose(text)
    }

    /// Connections: at most `limit` at once.
    fn connection(&self, line: &str, limit: usize) -> Option<Do> {
        match line {
            "connect" => {
                let now = self.open.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
                (now > limit).then(|| self.refuse("421 4.3.2 too many connections"))
            }
            "gone" => {
                self.open.fetch_sub(1, Ordering::SeqCst);
                None
            }
            _ => None,
        }
    }

    /// Messages: at most 30 within `time`.
    fn message(&self, line: &str, time: Duration) -> Option<Do> {
        if !line.starts_with("MAIL") {
            return None;
        }
        let mut recent = self.recent.lock().unwrap();
        while recent.front().is_some_and(|first| first.elapsed() > time) {
            recent.pop_front();
        }
        recent.push_back(Instant::now());
        (recent.len() > 30).then(|| self.refuse("421 4.7.0 mailbomb"))
    }

    fn seen(&self) -> (usize, usize) {
        (self.refused.load(Ordering::SeqCst), self.most.load(Ordering::SeqCst))
    }
}

/// Delivers `count` messages at once; what became of each, and how long each took.
async fn flood(courier: &Arc<Courier>, route: &Arc<Route>, count: usize, patience: Patience) -> Vec<(Outcome, Duration)> {
    let deliver = |n: usize| {
        let (courier, job) = (courier.clone(), Job { patience, ..job(route, &[&format!("r{n}@b.example")]) });
        tokio::spawn(async move {
            let begin = Instant::now();
            (courier.deliver(job).await.remove(0), begin.elapsed())
        })
    };
    let tasks: Vec<_> = (0..count).map(deliver).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

fn route_of(profile: Profile, server: &Server) -> Route {
    let wanted = defaults(profile);
    Route { profile, connections: wanted.connections, rate: wanted.rate, ..(*route(&[server.address])).clone() }
}

/// Its ten seconds are two and a half here; all else is as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groupwise_has_nothing_to_refuse() {
    let watch = Arc::new(Watch::default());
    let seen = watch.clone();
    let agent = script(move |_, line| {
        let message = seen.message(line, Duration::from_millis(2500));
        message.or_else(|| seen.connection(line, 16)).unwrap_or(Do::Usual)
    });
    let server = Server::new(agent).await;
    let route = Arc::new(Route { rate: Some(10.0), ..route_of(Profile::Groupwise, &server) });
    let courier = Arc::new(courier(&Settings { messages_per_connection: 3, ..Settings::default() }));
    let done = flood(&courier, &route, 45, Patience::Spool).await;
    assert!(done.iter().all(|(outcome, _)| outcome.is_delivered()), "{done:?}");
    let (refused, most) = watch.seen();
    assert!(refused == 0 && most <= 10, "{refused} refused, {most} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paced_hop_keeps_no_sender_waiting_long() {
    let server = Server::new(usual()).await;
    let route = Arc::new(route_of(Profile::Groupwise, &server));
    let settings = Settings { wait_time: Period(Duration::from_millis(500)), ..Settings::default() };
    let done = flood(&Arc::new(courier(&settings)), &route, 100, Patience::Session).await;
    let (taken, left): (Vec<_>, Vec<_>) = done.into_iter().partition(|(outcome, _)| outcome.is_delivered());
    assert!((3..10).contains(&taken.len()), "{} in cut-through", taken.len());
    assert!(left.iter().all(|(outcome, _)| outcome.is_busy()), "the spool has them, and no step of the schedule is used up");
    assert!(left.iter().all(|(_, time)| *time < Duration::from_secs(4)), "{:?}", left.iter().map(|(_, time)| time).max());
    assert!(server.lines().iter().filter(|line| line.starts_with("MAIL")).count() == taken.len());
}

/// Its five seconds are a fifth of a second here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exchange_has_nothing_to_refuse() {
    let watch = Arc::new(Watch::default());
    let seen = watch.clone();
    let connector = script(move |_, line| match line {
        line if line.starts_with("RCPT TO:<no") => Do::Wait(Duration::from_millis(200), "550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
        line => seen.connection(line, 20).unwrap_or(Do::Usual),
    });
    let server = Server::new(connector).await;
    let route = Arc::new(route_of(Profile::Exchange, &server));
    let courier = Arc::new(courier(&Settings { messages_per_connection: 7, ..Settings::default() }));
    let asking: Vec<_> = (0..20)
        .map(|n| {
            let (courier, route) = (courier.clone(), route.clone());
            tokio::spawn(async move { courier.verify(&route, &format!("no{n}@b.example").parse().unwrap()).await })
        })
        .collect();
    let done = flood(&courier, &route, 300, Patience::Session).await;
    assert!(done.iter().all(|(outcome, _)| outcome.is_delivered()), "{done:?}");
    for question in asking {
        assert!(matches!(question.await.unwrap(), Verified::Unknown(_)));
    }
    let (refused, most) = watch.seen();
    assert!(refused == 0 && most <= 18, "{refused} refused, {most} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hop_with_fewer_connections_than_we_think_is_not_down() {
    let watch = Arc::new(Watch::default());
    let seen = watch.clone();
    let small = script(move |_, line| match line {
        "." => Do::Wait(Duration::from_millis(5), "250 taken"),
        line => seen.connection(line, 3).unwrap_or(Do::Usual),
    });
    let server = Server::new(small).await;
    let route = Arc::new(Route { connections: 20, ..(*route(&[server.address])).clone() });
    let courier = Arc::new(courier(&Settings::default()));
    let mut left = 40;
    for _ in 0..20 {
        let done = flood(&courier, &route, left, Patience::Spool).await;
        let failed: Vec<_> = done.iter().filter(|(outcome, _)| !outcome.is_delivered()).collect();
        assert!(failed.iter().all(|(outcome, _)| outcome.is_busy()), "{failed:?}");
        left = failed.len();
        assert!(courier.hops()[0].up, "{:?}", courier.hops());
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0);
    assert!(courier.hops()[0].limit < 20, "{:?}", courier.hops());
    assert!(watch.seen().0 < 60, "{} refused", watch.seen().0);
}

fn pushing(start: &'static str, what: Do) -> Script {
    let count = AtomicUsize::new(0);
    script(move |_, line| if line.starts_with(start) && count.fetch_add(1, Ordering::SeqCst) == 0 { what.clone() } else { Do::Usual })
}

#[tokio::test]
async fn push_back_is_busy_wherever_it_comes() {
    let rows: Vec<(&str, Do, bool)> = vec![
        ("connect", Do::SayAndClose("421 4.3.2 busy"), true),
        ("connect", Do::SayAndClose("554 too many connections"), true),
        ("EHLO", Do::SayAndClose("421 busy"), true),
        ("MAIL", Do::Say("452 4.3.1 full"), true),
        ("MAIL", Do::SayAndClose("421 busy"), true),
        ("RCPT", Do::SayAndClose("421 busy"), true),
        ("RCPT", Do::Say("452 4.5.3 too many"), true),
        ("DATA", Do::Say("451 4.3.2 not now"), true),
        (".", Do::Say("452 4.3.1 full"), true),
        (".", Do::SayAndClose("421 4.4.5 congestion"), true),
        ("RCPT", Do::Say("452 4.2.2 mailbox full"), false),
        ("RCPT", Do::Say("450 4.7.1 greylisted"), false),
        (".", Do::Say("451 4.3.0 no"), false),
    ];
    for (start, what, want) in rows {
        let server = Server::new(pushing(start, what.clone())).await;
        let courier = courier(&Settings::default());
        let route = route(&[server.address]);
        let first = courier.deliver(job(&route, &["x@b.example"])).await;
        assert!(matches!(&first[..], [outcome @ Outcome::Deferred { .. }] if outcome.is_busy() == want), "{start} {what:?}: {first:?}");
        assert!(courier.hops()[0].up, "{start} {what:?}");
        // The next one waits half a second, no longer.
        let begin = Instant::now();
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"], "{start} {what:?}");
        assert_eq!(begin.elapsed() >= Duration::from_millis(400), want, "{start} {what:?}: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn who_comes_behind_a_421_is_not_failed() {
    for offers in [&["PIPELINING"][..], &[]] {
        let server = Server::offering(offers, pushing("RCPT", Do::SayAndClose("421 4.3.2 closing"))).await;
        let courier = courier(&Settings::default());
        let outcomes = courier.deliver(job(&route(&[server.address]), &["x@b.example", "y@b.example"])).await;
        assert!(outcomes.iter().all(Outcome::is_busy) && courier.hops()[0].up, "{outcomes:?}");
        // With a second hop, that one takes the rest.
        let (first, second) = (Server::offering(offers, pushing("RCPT", Do::SayAndClose("421 closing"))).await, Server::new(usual()).await);
        let outcomes = courier.deliver(job(&route(&[first.address, second.address]), &["x@b.example", "y@b.example"])).await;
        assert_eq!(words(&outcomes), ["deferred 421", "delivered 250"]);
    }
}

#[tokio::test]
async fn too_many_recipients_go_in_the_next_transaction() {
    for (offers, text) in [
        (&["PIPELINING"][..], "452 4.5.3 too many recipients"),
        (&[], "452 too many recipients"),
        (&["PIPELINING"], "552 too many recipients"),
    ] {
        let taken = AtomicUsize::new(0);
        let limited = script(move |_, line| match line {
            line if line.starts_with("MAIL") => {
                taken.store(0, Ordering::SeqCst);
                Do::Usual
            }
            line if line.starts_with("RCPT") && line.contains("<no") => Do::Say("550 5.1.1 who"),
            line if line.starts_with("RCPT") && taken.fetch_add(1, Ordering::SeqCst) >= 4 => Do::Say(text),
            _ => Do::Usual,
        });
        let server = Server::offering(offers, limited).await;
        let to = ["a@b.example", "no@b.example", "c@b.example", "d@b.example", "e@b.example", "f@b.example", "g@b.example", "h@b.example"];
        let courier = courier(&Settings::default());
        let route = route(&[server.address]);
        let begin = Instant::now();
        let outcomes = courier.deliver(job(&route, &to)).await;
        let want: Vec<&str> = to.iter().map(|to| if to.starts_with("no") { "refused 550" } else { "delivered 250" }).collect();
        assert_eq!(words(&outcomes), want, "{text}: {outcomes:?}");
        assert_eq!((server.messages().len(), server.connections()), (2, 1));
        assert!(begin.elapsed() < Duration::from_millis(400), "at once, without a pause");
        // It has learned how many there may be.
        let before = server.lines().len();
        assert!(courier.deliver(job(&route, &to[2..])).await.iter().all(Outcome::is_delivered));
        let lines = server.lines();
        assert_eq!(lines[before..].iter().filter(|line| line.starts_with("RCPT")).count(), 6, "{:?}", &lines[before..]);
    }
}

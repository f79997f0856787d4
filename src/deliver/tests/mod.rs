//! The courier against scripted servers on loopback, and against Postfix's smtp-sink.

mod asked;
mod hops;
mod log_in;
mod outcomes;
mod pooling;
mod server;
mod sink;
mod strangers;
mod tls;
mod under_load;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Courier, Job, Patience, Settings, To};
use crate::mail::units::Period;
use crate::mail::{Body, Delivery, NextHop, Outcome, Profile, ReversePath, Route};
use crate::net::{ClientTls, Resolver};

fn seconds(n: u64) -> Period {
    Period(Duration::from_secs(n))
}

fn courier(settings: &Settings) -> Courier {
    Courier::new(settings, "mx1.example", Arc::new(Resolver::without("none in this test")), ClientTls::new(None).unwrap())
}

fn route(hops: &[std::net::SocketAddr]) -> Arc<Route> {
    Arc::new(Route {
        name: "test".into(),
        domains: vec!["b.example".into()],
        recipients: None,
        next_hops: hops.iter().map(|hop| NextHop::Host { host: hop.ip().to_string(), port: hop.port() }).collect(),
        profile: Profile::Generic,
        unknown_user: None,
        outbound: false,
        delivery: Delivery::CutThrough,
        retry: vec![Duration::from_secs(60)],
        expire: Duration::from_secs(3600),
        warn_after: None,
        tls: None,
        auth: None,
        callout: false,
        connections: 10,
        rate: None,
    })
}

fn job(route: &Arc<Route>, to: &[&str]) -> Job {
    Job {
        route: route.clone(),
        sender: ReversePath::Address("a@a.example".parse().unwrap()),
        recipients: to.iter().map(|to| To { address: to.parse().unwrap(), dsn: Default::default() }).collect(),
        body: Body::SevenBit,
        smtputf8: false,
        dsn: Default::default(),
        data: vec![Bytes::from_static(b"Received: us\r\n"), Bytes::from_static(b"Subject: x\r\n\r\n.dot\r\n")],
        patience: Patience::Session,
    }
}

/// One word each: `delivered 250`, `deferred 451`, `deferred`, `refused 550`, `unknown`.
fn words(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .map(|outcome| match outcome.reply() {
            Some(reply) => format!("{} {}", outcome.as_str(), reply.code),
            None => outcome.as_str().to_owned(),
        })
        .collect()
}

#[test]
fn futures_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let courier = courier(&Settings::default());
    check(courier.deliver(job(&route(&[]), &["x@b.example"])));
}

#[test]
fn settings_read_back() {
    let text = r#"{"tls":"required","connect_time":"5s","nameservers":["127.0.0.1:53"]}"#;
    let settings: Settings = serde_json::from_str(text).unwrap();
    assert_eq!((settings.tls, settings.connect_time, settings.final_time), (super::TlsUse::Required, seconds(5), seconds(120)));
    assert!(serde_json::from_str::<Settings>(r#"{"tsl":"off"}"#).is_err());
}

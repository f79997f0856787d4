//! The exporter: what the parts counted, and what is read off at each scrape.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Label, Unit, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::mail::{Area, Mode, Place};
use crate::operate::status::{Facts, Pile};
use crate::pipeline::Age;

/// Buckets of every `_seconds` histogram: from a parse to the longest budget of a session.
pub const SECONDS: [f64; 16] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0];
/// Buckets of every `_bytes` histogram: from a short note to the largest message.
pub const BYTES: [f64; 10] = [1e3, 4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6, 64e6, 256e6];
/// How often the exporter puts away what was counted, scraped or not.
const UPKEEP: Duration = Duration::from_secs(1);

/// The exporter. Cloning it costs nothing.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes the exporter and puts it in place for the whole process; once only.
    ///
    /// # Errors
    /// When another one is in place already.
    pub fn install() -> Result<Self, BuildError> {
        Ok(Self(builder()?.install_recorder()?))
    }

    /// An exporter that nothing is counted into: for the command line and for tests.
    ///
    /// # Errors
    /// None that the fixed buckets could cause.
    pub fn detached() -> Result<Self, BuildError> {
        Ok(Self(builder()?.build_recorder().handle()))
    }

    /// Everything in Prometheus' text format: what was counted, then the facts as gauges.
    ///
    /// The gauges are made anew at each scrape, so that a next hop that is gone is gone here too.
    pub fn render(&self, facts: &Facts, now: Timestamp) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe();
            set(facts, now);
        });
        let counted = self.0.render();
        let mut text: String = counted.split_inclusive('\n').filter(|line| is_there(line, facts)).collect();
        text.push_str(&recorder.handle().render());
        text
    }

    /// Puts away what was counted, every few seconds until `shutdown`.
    pub(super) async fn upkeep(&self, shutdown: &CancellationToken) -> io::Result<()> {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => self.0.run_upkeep(),
            }
        }
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".into()), &BYTES)
}

/// Not what was last known of an engine or next hop that a reload took out of the configuration: an alert would never end.
fn is_there(line: &str, facts: &Facts) -> bool {
    let has = |label: &str, name: &str| line.contains(&format!("{label}=\"{name}\""));
    match line.split_once('{').map(|(name, _)| name) {
        Some("mailweir_engine_up" | "mailweir_engine_signature_age_seconds") => facts.engines.iter().any(|one| has("engine", &one.name)),
        Some("mailweir_next_hop_up") => facts.hops.iter().any(|one| has("hop", &one.hop)),
        _ => true,
    }
}

/// Declares the gauges that are set at each scrape.
fn describe() {
    describe_gauge!("mailweir_build_info", "1, with the version of the program and the version of configuration and rules in force");
    describe_gauge!("mailweir_mode", "1 for the mode in force, 0 for the others");
    describe_gauge!("mailweir_start_time_seconds", Unit::Seconds, "When the gateway started, in seconds of the Unix epoch");
    describe_gauge!("mailweir_store_writable", "1 if the store takes what is written to it");
    describe_gauge!("mailweir_queue_depth", "Messages accepted and not yet delivered");
    describe_gauge!("mailweir_queue_size_bytes", Unit::Bytes, "Bytes of the messages accepted and not yet delivered");
    describe_gauge!("mailweir_queue_oldest_age_seconds", Unit::Seconds, "Age of the oldest message in the queue; 0 if it is empty");
    describe_gauge!("mailweir_quarantine_depth", "Messages held, by area");
    describe_gauge!("mailweir_quarantine_size_bytes", Unit::Bytes, "Bytes of the messages held, by area");
    describe_gauge!("mailweir_quarantine_oldest_age_seconds", Unit::Seconds, "Age of the oldest message held, by area; 0 if there is none");
    describe_gauge!("mailweir_state_messages", "Messages in each passing state: spooled by route, held by area, accepting, releasing");
    describe_gauge!("mailweir_oldest_age_seconds", Unit::Seconds, "Age of the oldest message in each passing state; 0 if there is none");
    describe_gauge!("mailweir_deadline_age_seconds", Unit::Seconds, "Age at which a message in this state is acted on: given up, expired");
}

fn set(facts: &Facts, now: Timestamp) {
    gauge!("mailweir_build_info", "program" => facts.program.clone(), "version" => facts.version.to_string()).set(1.0);
    for mode in [Mode::Normal, Mode::Observe, Mode::AvOnly, Mode::HoldAll] {
        gauge!("mailweir_mode", "mode" => mode.as_str()).set(truth(facts.mode == mode));
    }
    if let Some(started) = facts.started {
        gauge!("mailweir_start_time_seconds").set(started.as_millisecond() as f64 / 1e3);
    }
    gauge!("mailweir_store_writable").set(truth(facts.store_trouble.is_none()));
    set_piles(&facts.piles, now);
    facts.ages.iter().for_each(set_age);
}

/// One passing state; what is spooled has the label `route`, what is held `area`.
fn set_age(age: &Age) {
    let mut labels = vec![Label::new("state", age.state.clone())];
    match age.state.as_str() {
        "spooled" => labels.push(Label::new("route", age.name.clone())),
        "held" => labels.push(Label::new("area", age.name.clone())),
        _ => {}
    }
    gauge!("mailweir_state_messages", labels.clone()).set(age.count as f64);
    gauge!("mailweir_oldest_age_seconds", labels.clone()).set(age.oldest as f64);
    gauge!("mailweir_deadline_age_seconds", labels).set(age.deadline as f64);
}

/// Queue and every area, those that are empty too: an absent figure cannot be told from a dead exporter.
fn set_piles(piles: &[Pile], now: Timestamp) {
    let of = |place, area: Option<Area>| piles.iter().filter(move |pile| pile.place == place && (area.is_none() || pile.area == area));
    let count = |place, area| of(place, area).map(|pile| pile.count).sum::<u64>() as f64;
    let bytes = |place, area| of(place, area).map(|pile| pile.bytes).sum::<u64>() as f64;
    let oldest = |place, area| of(place, area).filter_map(|pile| pile.oldest).min().map_or(0.0, |oldest| age(oldest, now));
    gauge!("mailweir_queue_depth").set(count(Place::Spool, None));
    gauge!("mailweir_queue_size_bytes").set(bytes(Place::Spool, None));
    gauge!("mailweir_queue_oldest_age_seconds").set(oldest(Place::Spool, None));
    for area in Area::ALL {
        let name = area.as_str();
        gauge!("mailweir_quarantine_depth", "area" => name).set(count(Place::Quarantine, Some(area)));
        gauge!("mailweir_quarantine_size_bytes", "area" => name).set(bytes(Place::Quarantine, Some(area)));
        gauge!("mailweir_quarantine_oldest_age_seconds", "area" => name).set(oldest(Place::Quarantine, Some(area)));
    }
}

fn truth(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn age(then: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::operate::status::tests::facts;

    /// What `promtool check metrics` has to say; `None` where it is not installed.
    fn promtool(text: &str) -> Option<String> {
        let mut child = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .ok()?;
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        Some(String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    }

    #[test]
    fn promtool_has_nothing_to_say() {
        let recorder = builder().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_histogram!("mailweir_stage_duration_seconds", Unit::Seconds, "Time in a stage");
            metrics::histogram!("mailweir_stage_duration_seconds", "stage" => "checks").record(0.02);
            metrics::describe_histogram!("mailweir_message_size_bytes", Unit::Bytes, "Sizes");
            metrics::histogram!("mailweir_message_size_bytes").record(5000.0);
            describe_gauge!("mailweir_engine_up", "Engines");
            describe_gauge!("mailweir_next_hop_up", "Next hops");
            ["clamd", "clamd-gone"].iter().for_each(|engine| gauge!("mailweir_engine_up", "engine" => *engine).set(1.0));
            ["gwia:25", "gone:25"].iter().for_each(|hop| gauge!("mailweir_next_hop_up", "hop" => *hop).set(0.0));
        });
        let now = Timestamp::now();
        let oldest = now.checked_sub(jiff::SignedDuration::from_secs(90)).unwrap();
        let piles = vec![
            Pile { place: Place::Spool, area: None, count: 2, bytes: 10, oldest: Some(oldest) },
            Pile { place: Place::Quarantine, area: Some(Area::Spam), count: 3, bytes: 30, oldest: Some(now) },
        ];
        let age = |state: &str, name: &str, oldest| Age { state: state.into(), name: name.into(), count: 2, oldest, deadline: 9 };
        let ages = vec![age("spooled", "groupwise", 90), age("held", "Spam", 8), age("accepting", "", 1)];
        let facts = Facts { ages, piles, started: Some(now), ..facts() };
        let text = Metrics(recorder.handle()).render(&facts, now);
        for line in [
            "mailweir_stage_duration_seconds_bucket{stage=\"checks\",le=\"0.025\"} 1",
            "mailweir_message_size_bytes_bucket{le=\"4000\"} 0",
            "mailweir_message_size_bytes_bucket{le=\"16000\"} 1",
            "mailweir_queue_depth 2",
            "mailweir_queue_oldest_age_seconds 90",
            "mailweir_quarantine_depth{area=\"Spam\"} 3",
            "mailweir_quarantine_depth{area=\"Virus\"} 0",
            "mailweir_mode{mode=\"normal\"} 1",
            "mailweir_engine_up{engine=\"clamd\"} 1",
            "mailweir_next_hop_up{hop=\"gwia:25\"} 0",
            "mailweir_oldest_age_seconds{state=\"spooled\",route=\"groupwise\"} 90",
            "mailweir_oldest_age_seconds{state=\"held\",area=\"Spam\"} 8",
            "mailweir_oldest_age_seconds{state=\"accepting\"} 1",
            "mailweir_deadline_age_seconds{state=\"spooled\",route=\"groupwise\"} 9",
            "mailweir_state_messages{state=\"spooled\",route=\"groupwise\"} 2",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} not in\n{text}");
        }
        assert!(!text.contains("gone"), "what was taken out of the configuration\n{text}");
        if let Some(said) = promtool(&text) {
            assert_eq!(said, "", "{text}");
        }
    }

    #[test]
    fn promtool_would_speak_up() {
        if let Some(said) = promtool("mailweir_bad 1\n") {
            assert!(said.contains("no help text"), "{said}");
        }
    }
}

//! Accept: from the end of data to the reply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use metrics::{counter, histogram};

use super::opening::{Opened, Unopened};
use super::{Accept, InForce, Incoming, Pipeline};
use crate::mail::finding::printable;
use crate::mail::record::{Judged, TurnedAway};
use crate::mail::{Class, Context, Decision, Direction, Event, Finding, HopReply, Message, MessageId, Mode, Recipient, Record, Routes};
use crate::policy::{self, Circumstances};
use crate::rewrite;
use crate::smtp::Reply;

/// A message with all that is known when it has been judged.
pub(super) struct Case {
    /// What was in force when its data had ended.
    pub(super) in_force: Arc<InForce>,
    pub(super) incoming: Incoming,
    pub(super) direction: Direction,
    pub(super) heading: Heading,
    sha256: String,
    pub(super) findings: Vec<Finding>,
    pub(super) decisions: Vec<Decision>,
}

/// What listings and records show of a message, printable.
pub(super) struct Heading {
    message_id: String,
    pub(super) subject: String,
    pub(super) from: String,
}

impl Heading {
    fn of(message: &Message) -> Self {
        let first = |name| printable(message.header(name).next().unwrap_or_default());
        Self { message_id: first("message-id"), subject: first("subject"), from: first("from") }
    }
}

impl Accept for Pipeline {
    async fn accept(&self, incoming: Incoming) -> Reply {
        let begun = Instant::now();
        let in_force = self.in_force();
        let unanswered = Unanswered::new(&incoming);
        let direction = incoming.envelope.recipients.first().map_or(Direction::Inbound, |recipient| recipient.direction);
        let Opened { message, sha256, room } = match self.take_apart(incoming.raw.clone(), &in_force).await {
            Ok(opened) => opened,
            Err(Unopened::Busy) => return unanswered.answered(busy(&incoming)),
            Err(error) => return unanswered.answered(trouble(&incoming, &error)),
        };
        let decomposed = begun.elapsed();
        let context = Context { direction, origin: incoming.origin.clone(), envelope: incoming.envelope.clone() };
        let mut findings = in_force.inspector.run(message.clone(), Arc::new(context), in_force.mode).await;
        findings.extend(forged(&incoming.raw, &self.parts.hostname));
        let inspected = begun.elapsed() - decomposed;
        let decisions = policy::decide(
            &in_force.policy,
            self.circumstances(in_force.mode, &sha256, &findings),
            &findings,
            &incoming.envelope.recipients,
        );

        let heading = Heading::of(&message);
        drop((message, room)); // what was opened is not needed any more, and others wait
        let case = Case { in_force, incoming, direction, heading, sha256, findings, decisions };
        if let Err(error) = self.parts.store.record(&[self.judged(&case, decomposed, inspected)]) {
            return unanswered.answered(trouble(&case.incoming, &error));
        }
        let settling = Instant::now();
        let settled = self.settle(&case).await;
        measure(&case, [decomposed, inspected, settling.elapsed(), begun.elapsed()], settled.became);
        tell(&case, &settled.reply, settled.became, begun.elapsed());
        unanswered.answered(settled.reply)
    }

    fn turned_away(&self, id: MessageId, what: TurnedAway) {
        self.record(vec![(id, Event::TurnedAway(Box::new(what)))]);
    }

    async fn verify(&self, recipient: Recipient) -> Result<Recipient, HopReply> {
        self.verify_recipient(recipient).await
    }

    fn routes(&self) -> Arc<Routes> {
        self.in_force().routes.clone()
    }
}

impl Pipeline {
    /// Takes the message apart by the limits in force.
    pub(super) async fn decompose(&self, raw: Bytes) -> Result<Opened, Unopened> {
        self.take_apart(raw, &self.in_force()).await
    }

    /// Takes the message apart and sums it up, away from the reactor. Where nobody looks at more than the header fields, they are all
    /// that is read.
    async fn take_apart(&self, raw: Bytes, in_force: &InForce) -> Result<Opened, Unopened> {
        if in_force.inspector.is_bare() { self.opening.header(raw).await } else { self.opening.open(raw, &in_force.limits).await }
    }

    fn circumstances(&self, mode: Mode, sha256: &str, findings: &[Finding]) -> Circumstances {
        let mut unscanned = self.unscanned.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Circumstances { mode, unavailable_for: unscanned.note(sha256, findings, Instant::now()) }
    }

    fn judged(&self, case: &Case, decomposed: Duration, inspected: Duration) -> Record {
        let Case { incoming, heading, .. } = case;
        let ms = |time: Duration| u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let judged = Judged {
            origin: incoming.origin.clone(),
            envelope: incoming.envelope.clone(),
            direction: case.direction,
            size: incoming.raw.len() as u64,
            message_id: heading.message_id.clone(),
            subject: heading.subject.clone(),
            from: heading.from.clone(),
            findings: case.findings.clone(),
            decisions: case.decisions.clone(),
            took_ms: [ms(incoming.receiving), ms(decomposed), ms(inspected)],
            sha256: case.sha256.clone(),
        };
        Record { version: case.in_force.version.clone(), ..self.event(incoming.id, Event::Judged(Box::new(judged))) }
    }

    pub(super) fn event(&self, id: MessageId, event: Event) -> Record {
        Record { at: Timestamp::now(), id, version: self.in_force().version.clone(), event }
    }
}

/// A message between the end of its data and its reply. Dropped before (the grace of a shutdown is over), it says so: whoever looks
/// for the message finds the line, and knows why it may arrive twice.
struct Unanswered {
    id: MessageId,
    sender: String,
    answered: bool,
}

impl Unanswered {
    fn new(incoming: &Incoming) -> Self {
        Self { id: incoming.id, sender: incoming.envelope.sender.to_string(), answered: false }
    }

    fn answered(mut self, reply: Reply) -> Reply {
        self.answered = true;
        reply
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if !self.answered {
            let (id, sender) = (self.id, &self.sender);
            tracing::warn!(%id, sender, "cut off before its reply: not acknowledged, its sender tries again; if it was handed over or kept by then, it arrives twice");
            counter!("mailweir_messages_cut_off_total").increment(1);
        }
    }
}

/// Fields that pretend to be ours leave the message when it is handed on; that is recorded.
fn forged(raw: &Bytes, hostname: &str) -> Option<Finding> {
    let removed = rewrite::outgoing("", raw, hostname).removed;
    let words = "Fields that pretend to be ours were removed";
    (!removed.is_empty()).then(|| Finding::new("decompose", "trace.forged", Class::Note, words, removed.join(", ")))
}

/// We could not judge or write it down: the sender keeps it.
fn trouble(incoming: &Incoming, error: &dyn std::fmt::Display) -> Reply {
    tracing::error!(id = %incoming.id, sender = %incoming.envelope.sender, %error, "message not accepted");
    Reply::new(451, (4, 3, 0), format!("not accepted because of local trouble, try again later ({})", incoming.id))
}

/// There was no memory to look into it: the sender keeps it.
fn busy(incoming: &Incoming) -> Reply {
    tracing::warn!(id = %incoming.id, sender = %incoming.envelope.sender, size = incoming.raw.len(), "message not accepted: no memory to look into it");
    Reply::new(452, (4, 3, 1), format!("too much mail is being looked into at this moment, try again later ({})", incoming.id))
}

fn measure(case: &Case, [decompose, inspect, settle, whole]: [Duration; 4], became: &'static str) {
    let direction = case.direction.as_str();
    counter!("mailweir_messages_total", "direction" => direction, "disposition" => became).increment(1);
    histogram!("mailweir_message_size_bytes", "direction" => direction).record(case.incoming.raw.len() as f64);
    for (stage, time) in
        [("receive", case.incoming.receiving), ("decompose", decompose), ("inspect", inspect), ("settle", settle), ("accept", whole)]
    {
        histogram!("mailweir_stage_duration_seconds", "stage" => stage).record(time.as_secs_f64());
    }
    for finding in &case.findings {
        counter!("mailweir_findings_total", "check" => finding.check.clone(), "class" => finding.class.as_str()).increment(1);
    }
}

/// The one line per message.
fn tell(case: &Case, reply: &Reply, became: &'static str, took: Duration) {
    let Case { incoming, decisions, .. } = case;
    let recipients: Vec<&str> = incoming.envelope.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    let decision = decisions.iter().max_by_key(|decision| decision.disposition);
    tracing::info!(
        id = %incoming.id,
        direction = %case.direction,
        peer = incoming.origin.ip().map(tracing::field::display),
        sender = %incoming.envelope.sender,
        recipients = recipients.join(","),
        size = incoming.raw.len(),
        disposition = became,
        rule = decision.map(|decision| decision.rule.as_str()),
        because = decision.map(|decision| decision.because.as_str()),
        score = decision.map(|decision| decision.score),
        reply = %reply,
        receive_ms = incoming.receiving.as_millis() as u64,
        accept_ms = took.as_millis() as u64,
        "message"
    );
}

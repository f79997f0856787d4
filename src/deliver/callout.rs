//! Call-outs: whether a next hop takes a recipient, asked by a short MAIL, RCPT, RSET on a pooled session.
//!
//! Each question runs in a task of its own and is asked once, whoever waits for it. Its answer is remembered even if it comes
//! too late for the sender: Exchange holds the refusal of an unknown recipient back for 5 s.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::answers::Answers;
use super::connection::{Connection, Trouble};
use super::courier::Office;
use super::hop::Hop;
use crate::mail::{Address, HopReply, Route};
use crate::smtp::reply_reader::ServerReply;

/// For how long it is remembered that nobody could tell.
const CANNOT_TELL_TIME: Duration = Duration::from_secs(5);
/// How long a question may go on, once it has its turn.
const QUESTION_TIME: Duration = Duration::from_secs(30);

/// What is known about a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// The next hop takes it.
    Known,
    /// The next hop refuses it for good (5xx).
    Unknown(HopReply),
    /// It could not be asked, or said 4xx; why, for the operator.
    CannotTell(String),
}

impl Verified {
    fn as_str(&self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Unknown(_) => "unknown",
            Self::CannotTell(_) => "cannot_tell",
        }
    }
}

/// The memory of all questions.
#[derive(Default)]
pub(super) struct Callouts {
    answers: Mutex<Answers>,
    asking: Mutex<HashMap<String, Question>>,
    /// Routes of which nobody could be asked, until when, and why.
    deaf: Mutex<HashMap<Arc<str>, (Instant, String)>>,
}

/// A question under way.
#[derive(Clone)]
struct Question {
    answer: watch::Receiver<Option<Verified>>,
    /// The hop has taken MAIL, so it is only the recipient that takes time.
    reached: Arc<AtomicBool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers are kept by next hops too: a reload may have led the route elsewhere.
fn key(route: &Route, address: &Address) -> String {
    let mut key = format!("{} {}", route.name, address.key());
    for hop in &route.next_hops {
        key.push_str(&format!(" {hop}"));
    }
    key
}

impl Office {
    pub async fn verify(office: &Arc<Self>, route: &Arc<Route>, address: &Address) -> Verified {
        let key = key(route, address);
        let remembered = lock(&office.callouts.answers).fresh(&key, Instant::now()).or_else(|| office.callouts.deaf(&route.name));
        let (said, from) = match remembered {
            Some(said) => (said, "memory"),
            None => (office.wait_for_answer(office.question(&key, route, address), route).await, "hop"),
        };
        let said = match said {
            // Better than nothing: it was known, and as a rule still is.
            Verified::CannotTell(_) if lock(&office.callouts.answers).was_known(&key) => Verified::Known,
            said => said,
        };
        metrics::counter!("mailweir_callouts_total", "route" => route.name.to_string(), "answer" => said.as_str(), "from" => from)
            .increment(1);
        said
    }

    /// The question, which may be under way already.
    fn question(self: &Arc<Self>, key: &str, route: &Arc<Route>, address: &Address) -> Question {
        let mut asking = lock(&self.callouts.asking);
        if let Some(question) = asking.get(key) {
            return question.clone();
        }
        let (sender, answer) = watch::channel(None);
        let question = Question { answer, reached: Arc::default() };
        asking.insert(key.to_owned(), question.clone());
        drop(asking);
        let (office, key, route, address, reached) =
            (self.clone(), key.to_owned(), route.clone(), address.clone(), question.reached.clone());
        tokio::spawn(async move {
            let said = office.ask(&route, &address, &reached).await;
            let time = match &said {
                Verified::Known => office.settings.callout_positive.0,
                Verified::Unknown(_) => office.settings.callout_negative.0,
                Verified::CannotTell(_) => CANNOT_TELL_TIME,
            };
            lock(&office.callouts.answers).put(key.clone(), said.clone(), Instant::now(), time);
            lock(&office.callouts.asking).remove(&key);
            let _nobody_waits = sender.send(Some(said));
        });
        question
    }

    async fn wait_for_answer(&self, mut question: Question, route: &Route) -> Verified {
        let answer = timeout(self.settings.callout_time.0, question.answer.wait_for(Option::is_some)).await;
        match answer.map(|answer| answer.ok().and_then(|answer| answer.clone())) {
            Ok(said) => said.unwrap_or_else(|| Verified::CannotTell("the question was given up".to_owned())),
            Err(_) => {
                let why = "no answer in time".to_owned();
                if !question.reached.load(Ordering::Relaxed) {
                    self.callouts.mark_deaf(&route.name, &why);
                }
                Verified::CannotTell(why)
            }
        }
    }

    /// Hop after hop until one has an answer.
    async fn ask(&self, route: &Arc<Route>, address: &Address, reached: &AtomicBool) -> Verified {
        // Longer than the sender waits: a hop is not taken for down because it is slow for a call-out.
        let deadline = Instant::now() + self.settings.callout_time.0.max(self.settings.connect_time.0);
        let hops = self.hops_for(route, None).await.unwrap_or_default();
        let mut why = "the route has no next hop that could be asked".to_owned();
        for (n, hop) in hops.iter().enumerate() {
            let left = deadline.saturating_duration_since(Instant::now());
            let share = Instant::now() + left / u32::try_from(hops.len() - n).unwrap_or(1);
            match self.ask_hop(hop, address, share, reached).await {
                Ok(said) => return said,
                Err(trouble) => why = format!("{}: {}", hop.name, trouble.why),
            }
        }
        self.callouts.mark_deaf(&route.name, &why);
        Verified::CannotTell(why)
    }

    async fn ask_hop(&self, hop: &Arc<Hop>, address: &Address, deadline: Instant, reached: &AtomicBool) -> Result<Verified, Trouble> {
        let Ok(Ok(_permit)) = timeout(self.settings.callout_time.0, hop.questions.acquire()).await else {
            return Err(Trouble::busy("too many questions about recipients wait for it"));
        };
        let turn = self.turn(hop, None, deadline).await?;
        let ready = self.ready(hop, deadline, || deadline).await?;
        let mut connection = ready.connection;
        let question = Asked { address, reached };
        let said = match question.run(&mut connection).await {
            // It had ended while it was idle.
            Err(_) if ready.reused && !reached.load(Ordering::Relaxed) => {
                drop(connection);
                connection = self.fresh(hop, deadline).await?;
                question.run(&mut connection).await?
            }
            said => said?,
        };
        hop.put(connection, turn);
        said
    }
}

impl Callouts {
    fn deaf(&self, route: &Arc<str>) -> Option<Verified> {
        let deaf = lock(&self.deaf);
        deaf.get(route).filter(|(until, _)| Instant::now() < *until).map(|(_, why)| Verified::CannotTell(why.clone()))
    }

    fn mark_deaf(&self, route: &Arc<str>, why: &str) {
        lock(&self.deaf).insert(route.clone(), (Instant::now() + CANNOT_TELL_TIME, why.to_owned()));
    }
}

/// One question on one connection.
struct Asked<'a> {
    address: &'a Address,
    reached: &'a AtomicBool,
}

impl Asked<'_> {
    /// Outside: the connection failed. Inside: it is in step; an answer, or the reason why there is none from this hop.
    async fn run(&self, connection: &mut Connection) -> Result<Result<Verified, Trouble>, Trouble> {
        let utf8 = !self.address.is_ascii();
        if utf8 && !connection.capabilities.smtputf8 {
            return Ok(Ok(Verified::CannotTell("it takes no internationalised mail (SMTPUTF8)".to_owned())));
        }
        let deadline = Instant::now() + QUESTION_TIME;
        let reset = std::mem::replace(&mut connection.needs_reset, true);
        let mail = if utf8 { "MAIL FROM:<> SMTPUTF8\r\n" } else { "MAIL FROM:<>\r\n" };
        let rcpt = format!("RCPT TO:<{}>\r\n", self.address);
        let commands = [reset.then_some("RSET\r\n"), Some(mail), Some(&rcpt), Some("RSET\r\n")];
        let commands: Vec<&str> = commands.into_iter().flatten().collect();
        if connection.capabilities.pipelining {
            connection.write(commands.concat().as_bytes(), deadline, "the question").await?;
        }
        let mut replies = Vec::with_capacity(commands.len());
        for command in &commands {
            if !connection.capabilities.pipelining {
                connection.write(command.as_bytes(), deadline, "the question").await?;
            }
            let reply = connection.reply(deadline, "the question").await?;
            if reply.code == 421 || reply.code / 100 == 3 {
                return Err(Trouble::said("the question", &reply));
            }
            if command.starts_with("MAIL") && reply.is_success() {
                self.reached.store(true, Ordering::Relaxed);
            }
            replies.push(reply);
        }
        connection.needs_reset = !replies.last().is_some_and(ServerReply::is_success);
        let [.., mail, rcpt, _reset] = &replies[..] else { return Err(Trouble::new("no answer")) };
        Ok(judge(mail, rcpt))
    }
}

/// What the answers to MAIL and RCPT mean.
fn judge(mail: &ServerReply, rcpt: &ServerReply) -> Result<Verified, Trouble> {
    if !mail.is_success() {
        return Err(Trouble::said("MAIL FROM:<>", mail));
    }
    if rcpt.is_success() {
        return Ok(Verified::Known);
    }
    let reply = rcpt.to_hop_reply();
    // Policy, log-in, storage and order of commands say nothing about whether there is such a recipient.
    let status = reply.enhanced.as_deref().unwrap_or_default();
    let about_us = matches!(reply.code, 500..=504 | 530 | 535 | 552)
        || ["5.7.", "5.3.", "5.5.", "5.2.2"].iter().any(|begin| status.starts_with(begin));
    if rcpt.is_permanent() && !about_us {
        Ok(Verified::Unknown(reply))
    } else {
        Ok(Verified::CannotTell(format!("RCPT was answered {reply}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_mean() {
        let reply = |text: &str| ServerReply { code: text[..3].parse().unwrap(), lines: vec![text[4..].to_owned()] };
        for (mail, rcpt, want) in [
            ("250 ok", "250 ok", "known"),
            ("250 ok", "251 forwarded", "known"),
            ("250 ok", "252 perhaps", "known"),
            ("250 ok", "550 who", "unknown"),
            ("250 ok", "550 5.1.1 who", "unknown"),
            ("250 ok", "553 5.1.3 no such form", "unknown"),
            ("250 ok", "550 5.2.1 mailbox disabled", "unknown"),
            ("250 ok", "552 5.2.2 full", "cannot_tell"),
            ("250 ok", "554 5.7.1 no relaying", "cannot_tell"),
            ("250 ok", "503 5.5.1 sequence", "cannot_tell"),
            ("250 ok", "530 log in", "cannot_tell"),
            ("250 ok", "450 later", "cannot_tell"),
            ("550 no null sender", "503 first MAIL", "trouble"),
            ("451 later", "503 first MAIL", "trouble"),
        ] {
            let said = judge(&reply(mail), &reply(rcpt)).map_or("trouble", |said| said.as_str());
            assert_eq!(said, want, "{mail}, {rcpt}");
        }
    }
}

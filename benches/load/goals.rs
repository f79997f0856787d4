//! The goals, each with what was measured for it. Nothing fails when one is missed: machines differ, and a timing is no test.

use serde_json::{Value, json};

use crate::book::{Book, Cell, Round, plain};
use crate::contestants::Kind;
use crate::options::Options;
use crate::{latency, memory};

/// One goal.
pub struct Goal {
    /// The part of the run that measures it.
    part: &'static str,
    what: String,
    /// `None` if a figure for it is missing.
    measured: Option<f64>,
    bound: Bound,
    unit: &'static str,
}

/// What the measured figure is held against.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn verdict(&self) -> &'static str {
        match (self.measured, self.bound) {
            (None, _) => "not measured",
            (Some(got), Bound::AtLeast(want)) if got >= want => "reached",
            (Some(got), Bound::AtMost(want)) if got <= want => "reached",
            (Some(_), _) => "missed",
        }
    }
}

/// The goals of the parts that ran, in order.
pub fn goals(book: &Book, options: &Options) -> Vec<Goal> {
    let mut goals = load(book);
    goals.extend(single(book));
    goals.retain(|goal| options.part(goal.part) && !(options.narrowed() && goal.part == "load" && goal.measured.is_none()));
    goals
}

/// Of the rounds under load.
fn load(book: &Book) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    let mut goals = Vec::new();
    let mut add = |what: String, measured, bound, unit| {
        let part = if what.contains("10 MiB") { "large" } else { "load" };
        goals.push(Goal { part, what, measured, bound, unit });
    };
    let of = |kind, set, connections, of: fn(&Round) -> f64| book.median(Cell { kind, set, connections }, of);
    let ratio = |kind, base, set, connections, field: fn(&Round) -> f64| {
        Some(of(kind, set, connections, field)? / of(base, set, connections, field)?)
    };
    let rate: fn(&Round) -> f64 = |round| round.rate;
    let cpu: fn(&Round) -> f64 = |round| round.cpu_ms;
    let pss: fn(&Round) -> f64 = |round| round.pss_mib;

    for set in ["4 KiB", "mix"] {
        for connections in [20, 200] {
            let at = format!("{set}, {connections} connections");
            let to = |field| ratio(Kind::CutThrough, Kind::Postfix, set, connections, field);
            add(format!("cut-through / Postfix, messages per second, {at}"), to(rate), AtLeast(10.0), "x");
            add(format!("cut-through / Postfix, CPU per message, {at}"), to(cpu), AtMost(0.1), "x");
            add(format!("cut-through / Postfix, PSS, {at}"), to(pss), AtMost(1.0 / 15.0), "x");
        }
    }
    let large = ratio(Kind::CutThrough, Kind::Relay, "10 MiB", 20, rate);
    add("cut-through / byte relay, 10 MiB messages".to_owned(), large, AtLeast(0.6), "x");
    for connections in [20, 200] {
        let at = format!("mix, {connections} connections");
        let to = |kind, field| ratio(kind, Kind::PostfixRspamd, "mix", connections, field);
        add(format!("all rules, clamd on attachments / Postfix + rspamd + clamd, {at}"), to(Kind::Attachments, rate), AtLeast(5.0), "x");
        add(format!("the same, CPU per message with clamd's, {at}"), to(Kind::Attachments, cpu), AtMost(0.2), "x");
        add(format!("all rules, clamd on raw+parts / Postfix + rspamd + clamd, {at}"), to(Kind::RawParts, rate), AtLeast(2.5), "x");
    }
    let own = of(Kind::Attachments, "mix", 200, |round| round.own_pss_mib);
    add("all rules, clamd on attachments, own PSS at 200 sessions".to_owned(), own, AtMost(40.0), "MiB");
    for set in ["4 KiB", "mix"] {
        let spool = ratio(Kind::Spool, Kind::Postfix, set, 20, rate);
        add(format!("spool / Postfix, messages per second, {set}, 20 connections"), spool, AtLeast(4.0), "x");
    }
    let bare = ratio(Kind::Spool, Kind::BareDisk, "mix", 20, rate);
    add("spool / bare group commit, mix, 20 connections".to_owned(), bare, AtLeast(0.5), "x");

    goals
}

/// Of one connection, and of memory.
fn single(book: &Book) -> Vec<Goal> {
    use Bound::{AtLeast, AtMost};
    let mut goals = Vec::new();
    let mut add = |part, what: &str, measured, bound, unit| goals.push(Goal { part, what: what.to_owned(), measured, bound, unit });
    add("latency", "one connection, cut-through, acknowledgement p50", book.value(latency::CUT_THROUGH), AtMost(2.0), "ms");
    let spool = book.value(latency::SPOOL).zip(book.value(latency::DISK)).map(|(spool, disk)| spool / disk);
    add("latency", "one connection, spool, acknowledgement p50 / one fdatasync", spool, AtMost(1.5), "x");
    add("latency", "delayed-ACK stalls (35 to 60 ms)", book.value(latency::STALLS), AtMost(0.0), "");
    add("idle", "an idle session", book.value(memory::IDLE_SESSION), AtMost(4.0), "KiB");
    for name in memory::SINGLE {
        add("single", &format!("{name}, peak above before"), book.value(name), AtMost(50.0), "MiB");
    }
    for place in 0..memory::MANY.len() {
        let name = memory::MANY[place];
        add("many", &format!("{name}, peak above before"), book.value(name), AtMost(memory::BUDGET), "MiB");
        // Nineteen fit in: most of those should come through while the others wait.
        add("many", memory::MANY_ACCEPTED[place], book.value(memory::MANY_ACCEPTED[place]), AtLeast(10.0), "");
        add("many", memory::MANY_SILENT[place], book.value(memory::MANY_SILENT[place]), AtMost(0.0), "");
        add("many", memory::MANY_LOST[place], book.value(memory::MANY_LOST[place]), AtMost(0.0), "");
    }
    goals
}

/// The table.
pub fn print(goals: &[Goal]) {
    println!("\n{:<92} {:>16} {:>12}", "goal", "", "measured");
    for goal in goals {
        let bound = match goal.bound {
            Bound::AtLeast(want) => format!(">= {} {}", plain(want), goal.unit),
            Bound::AtMost(want) => format!("<= {} {}", plain(want), goal.unit),
        };
        println!("{:<92} {bound:>16} {:>12} {}", goal.what, goal.measured.map_or_else(String::new, plain), goal.verdict());
    }
}

/// The same as JSON, one object a line.
pub fn json(goals: &[Goal]) -> Vec<Value> {
    let line = |goal: &Goal| {
        let (sign, bound) = match goal.bound {
            Bound::AtLeast(want) => (">=", want),
            Bound::AtMost(want) => ("<=", want),
        };
        json!({"goal": goal.what, "bound": format!("{sign} {}", plain(bound)), "unit": goal.unit, "measured": goal.measured, "verdict": goal.verdict()})
    };
    goals.iter().map(line).collect()
}

use std::time::Duration;

use super::*;
use crate::mail::Reason;
use crate::mail::units::Period;

fn finding(code: &'static str, class: Class) -> Finding {
    Finding::new("test", code, class, "words", "evidence")
}

fn to(directions: &[Direction]) -> Vec<Recipient> {
    directions
        .iter()
        .enumerate()
        .map(|(i, direction)| Recipient {
            address: format!("r{i}@x.example").parse().unwrap(),
            direction: *direction,
            route: "r".into(),
            dsn: Default::default(),
        })
        .collect()
}

fn one(mode: Mode, findings: &[Finding], direction: Direction) -> Decision {
    decide(&Settings::default(), Circumstances { mode, unavailable_for: None }, findings, &to(&[direction])).remove(0)
}

#[test]
fn every_class_has_its_consequence() {
    use Direction::{Inbound, Internal, Outbound};
    use Disposition::{Defer, Deliver, Hold, Reject};
    let could_not = |reason| Class::CouldNotTell { reason };
    let rows = [
        (Class::Note, Inbound, Deliver, None),
        (Class::Score { points: 7.9 }, Inbound, Deliver, None),
        (Class::Score { points: 8.0 }, Inbound, Hold, Some(Area::Spam)),
        (Class::Score { points: 1e6 }, Inbound, Hold, Some(Area::Spam)),
        (Class::Spam, Inbound, Hold, Some(Area::Spam)),
        (Class::Content, Inbound, Hold, Some(Area::Content)),
        (Class::Content, Outbound, Hold, Some(Area::Content)),
        (Class::Encrypted, Inbound, Hold, Some(Area::Encrypted)),
        (Class::Malware, Inbound, Reject, Some(Area::Virus)),
        (Class::Malware, Outbound, Hold, Some(Area::Virus)),
        (Class::Malware, Internal, Hold, Some(Area::Virus)),
        (Class::Suspicious, Inbound, Hold, Some(Area::Virus)),
        (Class::Unwanted, Inbound, Hold, Some(Area::Virus)),
        (could_not(Reason::Unavailable), Inbound, Defer, Some(Area::Unscanned)),
        (could_not(Reason::Time), Inbound, Defer, Some(Area::Unscanned)),
        (could_not(Reason::TooBig), Inbound, Hold, Some(Area::Unscanned)),
        (could_not(Reason::Limit), Outbound, Hold, Some(Area::Unscanned)),
        (could_not(Reason::Malformed), Inbound, Hold, Some(Area::Unscanned)),
        (could_not(Reason::UnknownContainer), Inbound, Hold, Some(Area::Unscanned)),
    ];
    for (class, direction, disposition, area) in rows {
        let decision = one(Mode::Normal, &[finding("a.b", class.clone())], direction);
        assert_eq!((decision.disposition, decision.area), (disposition, area), "{class:?} {direction}");
    }
    assert_eq!(one(Mode::Normal, &[], Inbound).rule, "default");
}

#[test]
fn scores_add_up_and_explain_themselves() {
    let findings = [
        finding("a", Class::Score { points: 4.5 }),
        finding("b", Class::Score { points: 4.25 }),
        finding("c", Class::Score { points: -0.5 }),
    ];
    let decision = one(Mode::Normal, &findings, Direction::Inbound);
    assert_eq!((decision.disposition, decision.score, decision.tagged), (Disposition::Hold, 8.25, true));
    assert_eq!(decision.because, "score 8.25 of 8: a +4.5, b +4.25, c -0.5");
    let tagged = one(Mode::Normal, &findings[..1], Direction::Inbound);
    assert!(!tagged.tagged);
    assert!(one(Mode::Normal, &[finding("a", Class::Score { points: 5.0 })], Direction::Inbound).tagged);
}

#[test]
fn the_gravest_wins() {
    let all = [
        finding("spam", Class::Spam),
        finding("virus", Class::Malware),
        finding("gone", Class::CouldNotTell { reason: Reason::Unavailable }),
        finding("zip", Class::Encrypted),
    ];
    let decision = one(Mode::Normal, &all, Direction::Inbound);
    assert_eq!((decision.disposition, decision.because.as_str()), (Disposition::Reject, "virus: evidence"));
    let without = [all[0].clone(), all[3].clone()];
    assert_eq!(one(Mode::Normal, &without, Direction::Inbound).area, Some(Area::Encrypted));
    let waiting = [all[0].clone(), all[2].clone()];
    assert_eq!(one(Mode::Normal, &waiting, Direction::Inbound).disposition, Disposition::Defer);
}

#[test]
fn modes() {
    let rows = [
        (Mode::Observe, Class::Spam, Disposition::Deliver, Some(Disposition::Hold)),
        (Mode::Observe, Class::Content, Disposition::Deliver, Some(Disposition::Hold)),
        (Mode::Observe, Class::CouldNotTell { reason: Reason::Limit }, Disposition::Deliver, Some(Disposition::Hold)),
        (Mode::Observe, Class::CouldNotTell { reason: Reason::Unavailable }, Disposition::Defer, None),
        (Mode::Observe, Class::Malware, Disposition::Reject, None),
        (Mode::AvOnly, Class::Spam, Disposition::Deliver, Some(Disposition::Hold)),
        (Mode::AvOnly, Class::Encrypted, Disposition::Hold, None),
        (Mode::AvOnly, Class::Malware, Disposition::Reject, None),
        (Mode::HoldAll, Class::Note, Disposition::Hold, None),
        (Mode::HoldAll, Class::Malware, Disposition::Reject, None),
    ];
    for (mode, class, disposition, would) in rows {
        let decision = one(mode, &[finding("a", class.clone())], Direction::Inbound);
        assert_eq!((decision.disposition, decision.would), (disposition, would), "{mode} {class:?}");
    }
    assert_eq!(one(Mode::HoldAll, &[], Direction::Inbound).area, Some(Area::Held));
}

#[test]
fn an_engine_gone_for_long_holds() {
    let findings = [finding("gone", Class::CouldNotTell { reason: Reason::Unavailable })];
    let at = |minutes: u64| Circumstances { mode: Mode::Normal, unavailable_for: Some(Duration::from_secs(60 * minutes)) };
    let decide_at =
        |settings: &Settings, minutes: u64| decide(settings, at(minutes), &findings, &to(&[Direction::Inbound])).remove(0).disposition;
    assert_eq!(decide_at(&Settings::default(), 29), Disposition::Defer);
    assert_eq!(decide_at(&Settings::default(), 30), Disposition::Hold);
    let deliver = Settings { on_unavailable: Disposition::Deliver, ..Settings::default() };
    assert_eq!(decide_at(&deliver, 300), Disposition::Deliver);
    let soon = Settings { unavailable_hold_after: Period(Duration::ZERO), ..Settings::default() };
    assert_eq!(decide_at(&soon, 0), Disposition::Hold);
}

#[test]
fn one_reply_for_all() {
    use Disposition::{Defer, Deliver, Hold, Reject};
    let decision = |disposition| Decision {
        disposition,
        area: Some(Area::Virus),
        rule: "r".into(),
        because: String::new(),
        score: 0.0,
        would: None,
        tagged: false,
    };
    let rows: [(&[Disposition], &[Disposition]); 5] = [
        (&[Reject, Reject], &[Reject, Reject]),
        (&[Defer, Defer], &[Defer, Defer]),
        (&[Reject, Defer], &[Defer, Defer]),
        (&[Reject, Deliver], &[Hold, Deliver]),
        (&[Hold, Defer, Reject], &[Hold, Hold, Hold]),
    ];
    for (before, after) in rows {
        let mut decisions: Vec<Decision> = before.iter().map(|d| decision(*d)).collect();
        reconcile(&mut decisions);
        assert_eq!(decisions.iter().map(|d| d.disposition).collect::<Vec<_>>(), after, "{before:?}");
    }
    // Malware from our own servers to a colleague and to the outside is held for both.
    let mixed = decide(
        &Settings::default(),
        Circumstances::default(),
        &[finding("v", Class::Malware)],
        &to(&[Direction::Internal, Direction::Outbound]),
    );
    assert!(mixed.iter().all(|decision| decision.disposition == Hold));
}

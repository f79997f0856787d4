use super::super::testing::*;
use super::*;
use crate::mail::dsn::Notify;
use crate::mail::{Delivery, Finding};
use crate::pipeline::{Accept, InForce, Pipeline};

const ANN: &str = "ann@ours.example";
const EVE: &str = "eve@ours.example";

fn here() -> InForce {
    let ours = route("ours", &["ours.example"], "127.0.0.1:1", Delivery::CutThrough);
    routes(vec![ours, route("internet", &["*"], "127.0.0.1:1", Delivery::Spool)])
}

fn handed(to: &str, outcome: Outcome) -> Handed {
    Handed { address: to.parse().unwrap(), route: "ours".into(), outcome }
}

async fn concluded(pipeline: &Pipeline, entry: Entry, handed: Vec<Handed>) -> MessageId {
    let id = pipeline.put(entry).await;
    pipeline.conclude(id, &"ours".into(), &Bytes::from_static(RAW), handed).await.unwrap();
    id
}

/// One outcome each for Ann and Eve; NOTIFY as given; what the notifications say of each.
#[tokio::test]
async fn who_is_told_of_what() {
    let never = Some(Notify::Never);
    type Row<'a> = (Option<Notify>, Option<Notify>, Outcome, Outcome, Vec<(&'a str, &'a str)>);
    let rows: Vec<Row<'_>> = vec![
        (None, None, refused(), refused(), vec![(ANN, "failed"), (EVE, "failed")]),
        (never, None, refused(), refused(), vec![(EVE, "failed")]),
        (never, never, refused(), refused(), vec![]),
        (on(true, false, true), None, refused(), delivered(false), vec![]),
        (on(true, true, false), on(true, false, false), refused(), delivered(false), vec![(ANN, "failed"), (EVE, "relayed")]),
        (on(true, false, false), on(true, false, false), delivered(false), delivered(true), vec![(ANN, "relayed")]),
        (None, None, delivered(false), delivered(false), vec![]),
        (None, None, deferred(450), delivered(false), vec![]),
    ];
    for (ann, eve, of_ann, of_eve, want) in rows {
        let said = format!("{ann:?} {eve:?} {of_ann} {of_eve}");
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let message = entry(60, vec![waits(ANN, "ours", ann), waits(EVE, "ours", eve)]);
        let id = concluded(&pipeline, message, vec![handed(ANN, of_ann.clone()), handed(EVE, of_eve)]).await;
        let texts = pipeline.notifications().await;
        let about = |to: &str, action: &str| {
            texts.iter().any(|text| text.contains(&format!("Final-Recipient: rfc822; {to}\r\nAction: {action}\r\n")))
        };
        let mut got = Vec::new();
        for to in [ANN, EVE] {
            got.extend(["failed", "delayed", "relayed"].into_iter().filter(|action| about(to, action)).map(|action| (to, action)));
        }
        assert_eq!(got, want, "{said}");
        let actions: std::collections::BTreeSet<&str> = want.iter().map(|(_, action)| *action).collect();
        assert_eq!(texts.len(), actions.len(), "one for all recipients of one event: {said}");
        let waits = pipeline.parts.store.get(Place::Spool, id).is_some();
        assert_eq!(waits, matches!(of_ann, Outcome::Deferred { .. }), "{said}");
        if matches!(ann, Some(Notify::Never)) {
            let records = pipeline.parts.store.records_of(id).unwrap();
            let suppressed =
                |event: &Event| matches!(event, Event::Bounced { notification: None, why, .. } if why.contains("asked for none"));
            assert!(records.iter().any(|record| suppressed(&record.event)), "that is recorded: {said}");
        }
    }
}

#[tokio::test]
async fn nobody_is_told_about_spam_viruses_and_notifications() {
    let tagged = |mut entry: Entry| {
        entry.recipients[0].decision.would = Some(Disposition::Hold);
        entry
    };
    let area = |area| {
        move |mut entry: Entry| {
            entry.recipients[0].decision.area = Some(area);
            entry
        }
    };
    let found = |class| {
        move |mut entry: Entry| {
            entry.findings.push(Finding::new("x", "x", class, "", ""));
            entry
        }
    };
    let null = |entry: Entry| Entry { sender: ReversePath::Null, ..entry };
    let nowhere = |entry: Entry| entry;
    type Change = Box<dyn FnOnce(Entry) -> Entry>;
    let rows: Vec<(&str, Change, usize)> = vec![
        ("ordinary", Box::new(nowhere), 1),
        ("tagged", Box::new(tagged), 0),
        ("released from Spam", Box::new(area(Area::Spam)), 0),
        ("released from Virus", Box::new(area(Area::Virus)), 0),
        ("released from Content", Box::new(area(Area::Content)), 1),
        ("spam found, in observe mode", Box::new(found(Class::Spam)), 0),
        ("virus found", Box::new(found(Class::Malware)), 0),
        ("null sender", Box::new(null), 0),
    ];
    for (name, change, notifications) in rows {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let message = change(entry(60, vec![waits(ANN, "ours", on(true, true, true)), waits(EVE, "ours", on(true, true, true))]));
        let id = concluded(&pipeline, message, vec![handed(ANN, refused()), handed(EVE, refused())]).await;
        assert_eq!(pipeline.notifications().await.len(), notifications, "{name}");
        assert_eq!(pipeline.told(id).iter().filter(|word| **word == "bounced").count(), 2, "{name}");
    }
    assert!(rewrite::is_report(b"Content-Type: multipart/report;\r\n Report-Type=\"delivery-status\"\r\n\r\n"));
    assert!(!rewrite::is_report(b"Content-Type: multipart/mixed\r\n\r\nmultipart/report delivery-status"));
}

#[tokio::test]
async fn delay_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = pipeline(dir.path(), here());
    let to =
        vec![waits(ANN, "ours", None), waits(EVE, "ours", on(false, true, false)), waits("fay@ours.example", "ours", Some(Notify::Never))];
    let young = pipeline.put(entry(3 * 3600, to.clone())).await;
    let old = pipeline.put(entry(4 * 3600 + 60, to)).await;
    pipeline.warn(young, Timestamp::now()).await.unwrap();
    assert_eq!(pipeline.notifications().await.len(), 0);
    for _again in 0..2 {
        pipeline.warn(old, Timestamp::now()).await.unwrap();
    }
    pipeline.conclude(old, &"ours".into(), &Bytes::from_static(RAW), vec![handed(ANN, deferred(450))]).await.unwrap();
    let texts = pipeline.notifications().await;
    assert_eq!(texts.len(), 1, "{texts:?}");
    for part in ["Action: delayed", &format!("Final-Recipient: rfc822; {ANN}"), "Will-Retry-Until: ", "Diagnostic-Code: smtp; 450 not now"]
    {
        assert!(texts[0].contains(part), "{part} in {}", texts[0]);
    }
    assert_eq!(texts[0].matches("Final-Recipient").count(), 1, "the others did not ask");
    let entry = pipeline.parts.store.get(Place::Spool, old).unwrap();
    assert!(entry.recipients.iter().all(|recipient| recipient.warned), "it is settled for all");
    assert_eq!(pipeline.told(old).iter().filter(|word| **word == "notified").count(), 1);
    assert_eq!(pipeline.schedule.untold(Timestamp::now(), |_| Some(std::time::Duration::ZERO)), [young], "nor is it looked at again");
}

/// Inside the session: the confirmation is in the spool before the 250 is heard.
#[tokio::test]
async fn relayed_in_cut_through_and_a_late_refusal() {
    let hop = next_hop::hop().await;
    let dir = tempfile::tempdir().unwrap();
    let ours = route("ours", &["ours.example"], &hop, Delivery::CutThrough);
    let pipeline = pipeline(dir.path(), routes(vec![ours, route("internet", &["*"], "127.0.0.1:1", Delivery::Spool)]));
    let reply = pipeline.accept(incoming(vec![(ANN, "ours", on(true, false, false)), (EVE, "ours", None)], RAW)).await;
    assert_eq!(reply.code, 250, "{reply}");
    let texts = pipeline.notifications().await;
    assert!(texts.len() == 1 && texts[0].contains("Action: relayed") && !texts[0].contains(EVE), "{texts:?}");
    let reply = pipeline.accept(incoming(vec![(ANN, "ours", on(true, false, false)), ("nobody@ours.example", "ours", None)], RAW)).await;
    assert_eq!(reply.code, 250, "{reply}");
    let texts = pipeline.notifications().await;
    let count = |action: &str| texts.iter().filter(|text| text.contains(&format!("Action: {action}"))).count();
    assert_eq!((count("relayed"), count("failed")), (2, 1), "{texts:?}");
    assert!(texts.iter().all(|text| text.contains("Auto-Submitted: auto-replied\r\n")));
}

#[tokio::test]
async fn what_came_through_us_too_often_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let pipeline = pipeline(dir.path(), here());
    let message = |times: usize, name: &str| {
        [format!("Received: from x\r\n by {name} (Mailweir) with ESMTP id A;\r\n x\r\n").repeat(times).as_bytes(), RAW].concat()
    };
    for (times, name, code) in [(5, "mx1.example", 250), (6, "mx1.example", 554), (6, "mx2.example", 250), (51, "mx2.example", 554)] {
        let reply = pipeline.accept(incoming(vec![("x@else.example", "internet", None)], &message(times, name))).await;
        assert_eq!(reply.code, code, "{times} {name}: {reply}");
        assert!(code == 250 || reply.to_string().contains("5.4.6"), "{reply}");
    }
}

mod next_hop {
    //! A next hop that knows everybody but `nobody@`, and nothing of notifications.

    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    pub(super) async fn hop() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        });
        address
    }

    async fn serve(stream: tokio::net::TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 hop ESMTP\r\n").await?;
        let mut body = false;
        while let Some(line) = lines.next_line().await? {
            let reply: &[u8] = match line.split([' ', ':']).next().unwrap_or_default() {
                "." if body => {
                    body = false;
                    b"250 2.0.0 kept\r\n"
                }
                _ if body => continue,
                "EHLO" => b"250-hop\r\n250 8BITMIME\r\n",
                "RCPT" if line.contains("nobody@") => b"550 5.1.1 no such user\r\n",
                "DATA" => {
                    body = true;
                    b"354 go\r\n"
                }
                _ => b"250 2.0.0 ok\r\n",
            };
            write.write_all(reply).await?;
        }
        Ok(())
    }
}

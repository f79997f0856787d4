//! DSN parameters: passed on as they came to servers that offer DSN, and to no others.

use super::server::{Do, Server, script, usual};
use super::*;
use crate::mail::dsn::{MessageRequest, Notify, RecipientRequest, Ret};

fn wishing(route: &Arc<Route>) -> Job {
    let mut job = job(route, &["one@b.example", "two@b.example"]);
    job.dsn = MessageRequest { ret: Some(Ret::Hdrs), envid: Some("QQ314".into()) };
    job.recipients[0].dsn = RecipientRequest {
        notify: Some(Notify::On { success: true, failure: true, delay: false }),
        orcpt: Some("rfc822;One@b.example".into()),
    };
    job
}

fn taken_over(outcomes: &[Outcome]) -> Vec<bool> {
    outcomes.iter().map(|outcome| matches!(outcome, Outcome::Delivered { dsn: true, .. })).collect()
}

#[tokio::test]
async fn passed_on_where_offered() {
    let server = Server::offering(&["PIPELINING", "DSN"], usual()).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings::default());
    assert_eq!(taken_over(&courier.deliver(wishing(&route)).await), [true, true]);
    let heard = [
        "EHLO mx1.example",
        "MAIL FROM:<a@a.example> RET=HDRS ENVID=QQ314",
        "RCPT TO:<one@b.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;One@b.example",
        "RCPT TO:<two@b.example>",
        "DATA",
    ];
    assert_eq!(server.lines(), heard);
    // No wish: none is made up.
    assert_eq!(taken_over(&courier.deliver(job(&route, &["x@b.example"])).await), [false]);
    assert_eq!(server.lines()[5..7], ["MAIL FROM:<a@a.example>", "RCPT TO:<x@b.example>"]);
}

#[tokio::test]
async fn kept_back_where_not_offered() {
    let server = Server::offering(&["PIPELINING"], usual()).await;
    let outcomes = courier(&Settings::default()).deliver(wishing(&route(&[server.address]))).await;
    assert_eq!((words(&outcomes), taken_over(&outcomes)), (vec!["delivered 250".into(); 2], vec![false, false]));
    assert!(server.lines().iter().all(|line| ["RET=", "ENVID=", "NOTIFY=", "ORCPT="].iter().all(|word| !line.contains(word))));
}

#[tokio::test]
async fn only_who_was_taken() {
    let refusing = script(|_, line| if line.contains("<one@") { Do::Say("550 5.1.1 who") } else { Do::Usual });
    let server = Server::offering(&["DSN"], refusing).await;
    let outcomes = courier(&Settings::default()).deliver(wishing(&route(&[server.address]))).await;
    assert_eq!((words(&outcomes), taken_over(&outcomes)), (vec!["refused 550".into(), "delivered 250".into()], vec![false, true]));
}

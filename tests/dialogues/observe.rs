//! What an operator sees: metrics and log lines.

use std::io::Write;
use std::sync::{Arc, Mutex};

use metrics_exporter_prometheus::PrometheusBuilder;

use crate::harness::{START, START_REPLIES, Server};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn metrics_and_one_line_for_each_refusal() {
    // The runtime of this test has one thread, so recorder and subscriber of the thread see the whole gateway.
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _recorder = metrics::set_default_local_recorder(&recorder);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    let _subscriber = tracing::subscriber::set_default(subscriber);
    mailweir::gateway::describe();

    let server = Server::start("", "message_size = \"1000B\"\nconnections = 1");
    let mut client = server.client().await;
    client.expect("220").await;
    let mut second = server.client().await;
    second.expect("421").await;
    second.closed().await;
    client.talk(START, &START_REPLIES).await;
    client.talk("RCPT TO:<x@else.test>\nRCPT TO:<carl@ours.test>\n", &["550 5.7.1", "550 5.1.1"]).await;
    client.talk("RCPT TO:<nobody@asked.test>\n", &["553 5.1.10"]).await;
    client.talk("RSET\nMAIL FROM:<a@else.test> SIZE=1001\n", &["250", "552"]).await;
    client.talk("NOOP\nMAIL FROM:<a@else.test>\nRCPT TO:<bob@ours.test>\nDATA\n", &["250", "250", "250", "354"]).await;
    client.send("Subject: hush\r\nthe text\n\r\n.\r\n").await;
    client.expect("550 5.6.0").await;
    client.expect("421 4.7.0").await;
    client.closed().await;
    drop(client);
    let mut client = server.client_with_a_place().await;
    client.talk("EHLO client.test\n", &["250-"]).await;
    assert!(handle.render().contains("mailweir_connections{listener=\"test\"} 1"));
    client.talk("GET / HTTP/1.1\n", &["554"]).await;
    client.closed().await;
    drop((client, second));
    server.stop().await;

    let text = handle.render();
    for want in [
        "mailweir_connections{listener=\"test\"} 0",
        "mailweir_connections_total{listener=\"test\"} 2",
        "mailweir_unsynchronised_sessions_total 1",
        "mailweir_rejected_recipients_total{reason=\"callout\"} 1",
        "mailweir_sessions_refused_total{reason=\"bare_line_ends\"} 1",
        "mailweir_sessions_refused_total{reason=\"connections\"} 1",
        "mailweir_sessions_refused_total{reason=\"http\"} 1",
        "mailweir_rejected_recipients_total{reason=\"relay\"} 1",
        "mailweir_rejected_recipients_total{reason=\"no_such_user\"} 1",
        "mailweir_data_refused_total{reason=\"bare_lf\"} 1",
        "mailweir_data_refused_total{reason=\"too_big\"} 1",
        "mailweir_mail_memory_bytes 0",
        "# HELP mailweir_connections ",
    ] {
        assert!(text.contains(want), "{want} is missing in\n{text}");
    }

    let log = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let told: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<(&str, &str)> =
        told.iter().map(|line| (line["fields"]["message"].as_str().unwrap(), line["fields"]["reason"].as_str().unwrap())).collect();
    assert_eq!(
        told,
        [
            ("session refused", "connections"),
            ("recipient refused", "relay"),
            ("recipient refused", "no_such_user"),
            ("recipient refused", "callout"),
            ("message refused at MAIL", "too_big"),
            ("message refused at the end of data", "bare_lf"),
            ("session refused", "bare_line_ends"),
            ("client did not wait for a reply where it has to", "out_of_step"),
            ("session refused", "http"),
        ]
    );
    assert!(!log.contains("hush") && !log.contains("the text"), "never a body:\n{log}");
    assert!(log.contains("secret words of the next hop"), "what the client does not hear, the operator reads:\n{log}");
    assert!(log.contains("\"sender\":\"<a@else.test>\"") && log.contains("\"recipient\":\"carl@ours.test\""), "{log}");
}

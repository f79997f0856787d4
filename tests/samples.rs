//! The collected samples (hostile, odd and clean messages with what must become of each), through a running gateway with a real clamd.
//! They are used in place: `MAILWEIR_SAMPLES`, else `../shared/samples`. Where they are not, this says so in one line.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use support::below_trace;
use support::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn samples_become_what_they_must() {
    let folder = std::env::var_os("MAILWEIR_SAMPLES")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples")), PathBuf::from);
    let Ok(table) = std::fs::read_to_string(folder.join("samples.tsv")) else {
        println!("stands aside: no sample collection at {} (set MAILWEIR_SAMPLES)", folder.display());
        return;
    };
    // The second site repairs line ends, so that what is refused for them is scanned there all the same.
    let mut lenient = Site::start().await;
    lenient.config = lenient.config.replace("direction = \"inbound\"", "direction = \"inbound\"\nline_endings = \"normalise\"");
    lenient.restart();
    let strict = Site::start().await;
    let mut wrong = Vec::new();
    let mut seen = 0;
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (file, expected) = (columns[0], columns[1]);
        let message = std::fs::read(folder.join(file)).unwrap();
        for site in [&strict, &lenient] {
            let answer = site.send(&["bob@groupwise.example"], &message).await;
            let arrived = site.groupwise.take();
            let fine = if expected.starts_with("delivered") {
                answer.code() == 250 && arrived.len() == 1 && below_trace(&arrived[0].data) == message
            } else if expected.starts_with("blocked") {
                (answer.code() == 250 || answer.code() >= 500) && arrived.is_empty()
            } else if expected.starts_with("by policy") {
                // Held; refused where the password that stands in the text opened it and an engine knew what was inside.
                (answer.code() == 250 || answer.code() == 550) && arrived.is_empty()
            } else {
                panic!("{file}: what is {expected:?}?")
            };
            if !fine {
                wrong.push(format!("{file}: {expected}; was answered {:?}, {} delivered", answer.reply, arrived.len()));
            }
        }
        seen += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 20, "the table was read");
    println!("{seen} samples became what they must");
    strict.audit();
    lenient.audit();
}

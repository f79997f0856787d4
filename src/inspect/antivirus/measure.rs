//! How big an object an engine takes, and how big a one it really looks into. clamd refuses a stream above StreamMaxLength, but
//! answers OK, without having looked, for a file above MaxFileSize or MaxScanSize, unless AlertExceedsMax is set. So the EICAR
//! test file is sent inside objects of growing size, and what comes back is believed rather than what is configured.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::timeout;

use super::engine::{Answer, Engine, Trouble, TroubleKind};
use super::probe::{EICAR_BASE64_HALVES, eicar};

/// The size that every engine is expected to look into, in bytes; here the way of hiding EICAR is chosen.
const SMALL: u64 = 4096;

/// Levels of nesting that no clamd follows (its MaxRecursion ends at 100).
const TOO_DEEP: usize = 110;

/// What was measured of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest stream it was seen to take, in bytes; `None`: it takes all that was tried.
    pub stream: Option<u64>,
    /// The largest object in which it found what was hidden there, in bytes.
    pub looked_into: u64,
    /// It says so when it reaches a limit of its own (AlertExceedsMax): its OK can be believed at any size.
    pub alerts: bool,
}

impl Limits {
    /// For engines that look at everything they are given.
    pub const NONE: Self = Self { stream: None, looked_into: u64::MAX, alerts: true };

    /// What the administrator has to change in clamd.conf so that messages of `message_size` bytes are scanned.
    pub fn warnings(&self, message_size: u64) -> Vec<String> {
        // A tenth more than the message; four times that for what is unpacked from it.
        let file = message_size.saturating_mul(11).div_ceil(10).div_ceil(1_000_000);
        let mut warnings = Vec::new();
        if let Some(stream) = self.stream {
            warnings.push(format!(
                "takes no stream above {stream} bytes, message_size is {message_size}: bigger mail cannot be scanned as a whole; in clamd.conf: \
                 StreamMaxLength {file}M"
            ));
        }
        if self.looked_into < self.stream.unwrap_or(message_size).min(message_size) || self.looked_into == 0 {
            let how = if self.alerts { "" } else { ", and answers OK for them" };
            warnings.push(format!(
                "does not look into objects above {} bytes{how}, message_size is {message_size}; in clamd.conf: MaxFileSize {file}M and \
                 MaxScanSize {}M",
                self.looked_into,
                file * 4
            ));
        }
        if !self.alerts {
            warnings.push("does not say when it reaches a limit of its own; in clamd.conf: AlertExceedsMax yes".to_owned());
        }
        warnings
    }
}

/// Where EICAR is put in an object full of zeros.
#[derive(Debug, Clone, Copy)]
enum Form {
    End,
    Start,
    /// As the attachment of a mail, the zeros after it: for signatures that want the exact file.
    Mail,
}

impl Form {
    const ALL: [Self; 3] = [Self::End, Self::Start, Self::Mail];

    /// An object of `size` bytes, or the form's own size where that is more. Untouched zeros cost no memory.
    fn object(self, size: u64) -> Bytes {
        let (start, end) = match self {
            Self::End => (Vec::new(), eicar().to_vec()),
            Self::Start => (eicar().to_vec(), Vec::new()),
            Self::Mail => (mail(), Vec::new()),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX).max(start.len() + end.len());
        let mut object = vec![0; size];
        if let Some(head) = object.get_mut(..start.len()) {
            head.copy_from_slice(&start);
        }
        if let Some(tail) = object.get_mut(size - end.len()..) {
            tail.copy_from_slice(&end);
        }
        object.into()
    }
}

fn mail() -> Vec<u8> {
    let [first, second] = EICAR_BASE64_HALVES;
    format!(
        "From: a@b.example\r\nSubject: engine test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\
         Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"e.com\"\r\n\r\n{first}{second}\r\n--b--\r\n"
    )
    .into_bytes()
}

/// A harmless mail within a mail within a mail, deeper than clamd's MaxRecursion can be set.
fn nesting() -> Bytes {
    let level = "From: a@b.example\r\nSubject: engine test\r\nMIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\n";
    format!("{}Subject: end\r\n\r\nend\r\n", level.repeat(TOO_DEEP)).into_bytes().into()
}

/// What became of EICAR in an object of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    Found,
    /// Taken, but not looked into.
    Passed,
    /// Not taken.
    Refused,
}

struct Measurement<'a> {
    engine: &'a dyn Engine,
    form: Form,
    patience: Duration,
}

/// Measures `engine` up to `message_size` bytes, allowing `patience` for each try. An engine that finds EICAR in no form cannot be
/// measured: `looked_into` is then 0.
pub async fn measure(engine: &dyn Engine, message_size: u64, patience: Duration) -> Result<Limits, Trouble> {
    let alerts = matches!(ask(engine, nesting(), patience).await, Answer::CouldNotTell(trouble) if trouble.kind == TroubleKind::Limit);
    let Some(form) = form(engine, patience).await? else { return Ok(Limits { stream: None, looked_into: 0, alerts }) };
    let measurement = Measurement { engine, form, patience };
    let top = message_size.max(SMALL);
    let limits = match measurement.attempt(top).await? {
        Try::Found => return Ok(Limits { stream: None, looked_into: top, alerts }),
        Try::Refused => {
            let stream = measurement.largest(top, |attempt| attempt != Try::Refused).await?;
            (Some(stream), measurement.looked_into(stream).await?)
        }
        Try::Passed => (None, measurement.largest(top, |attempt| attempt == Try::Found).await?),
    };
    Ok(Limits { stream: limits.0, looked_into: limits.1, alerts })
}

async fn ask(engine: &dyn Engine, bytes: Bytes, patience: Duration) -> Answer {
    let late = |_| Answer::trouble(TroubleKind::Time, format!("no answer within {patience:?}"));
    timeout(patience, engine.scan(bytes)).await.unwrap_or_else(late)
}

/// The first form in which the engine finds EICAR in a small object.
async fn form(engine: &dyn Engine, patience: Duration) -> Result<Option<Form>, Trouble> {
    for form in Form::ALL {
        match ask(engine, form.object(SMALL), patience).await {
            Answer::Found(_) => return Ok(Some(form)),
            Answer::CouldNotTell(trouble) if trouble.kind.reason().is_passing() => return Err(trouble),
            _ => {}
        }
    }
    Ok(None)
}

impl Measurement<'_> {
    async fn attempt(&self, size: u64) -> Result<Try, Trouble> {
        match ask(self.engine, self.form.object(size), self.patience).await {
            Answer::Found(_) => Ok(Try::Found),
            Answer::Clean => Ok(Try::Passed),
            Answer::CouldNotTell(trouble) => match trouble.kind {
                TroubleKind::Limit => Ok(Try::Passed),
                TroubleKind::TooBig => Ok(Try::Refused),
                TroubleKind::Time => Err(trouble),
                // It hung up. If it is alive, then because of the size.
                TroubleKind::Unavailable | TroubleKind::Malformed => match ask(self.engine, self.form.object(SMALL), self.patience).await {
                    Answer::Found(_) => Ok(Try::Refused),
                    _ => Err(trouble),
                },
            },
        }
    }

    async fn looked_into(&self, stream: u64) -> Result<u64, Trouble> {
        match self.attempt(stream).await? {
            Try::Found => Ok(stream),
            _ => self.largest(stream, |attempt| attempt == Try::Found).await,
        }
    }

    /// The largest size for which `good` holds, below `bad` where it does not, to a sixteenth. Errs to the small side.
    async fn largest(&self, mut bad: u64, good: impl Fn(Try) -> bool) -> Result<u64, Trouble> {
        let mut best = SMALL.min(bad);
        while bad - best > bad / 16 + SMALL {
            let middle = best + (bad - best) / 2;
            if good(self.attempt(middle).await?) { best = middle } else { bad = middle }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::antivirus::engine::Version;
    use futures_util::future::BoxFuture;

    /// An engine with clamd's limits, and signatures that see EICAR only as one of the forms puts it.
    #[derive(Clone, Copy)]
    struct Fake {
        stream: usize,
        file: usize,
        alerts: bool,
        form: Option<Form>,
        /// A stream that is too long gives a reset without a word.
        mute: bool,
    }

    impl Fake {
        fn answer(&self, bytes: &[u8]) -> Answer {
            if bytes.len() > self.stream {
                let kind = if self.mute { TroubleKind::Unavailable } else { TroubleKind::TooBig };
                return Answer::trouble(kind, "");
            }
            if self.alerts
                && (bytes.len() > self.file || bytes.starts_with(b"From: a") && memchr::memmem::find(bytes, b"\r\n\r\nend").is_some())
            {
                return Answer::trouble(TroubleKind::Limit, "");
            }
            let seen = match self.form {
                Some(Form::End) => bytes.ends_with(eicar()),
                Some(Form::Start) => bytes.starts_with(eicar()),
                Some(Form::Mail) => {
                    bytes.starts_with(b"From: a") && memchr::memmem::find(bytes, EICAR_BASE64_HALVES[1].as_bytes()).is_some()
                }
                None => false,
            };
            if seen && bytes.len() <= self.file { Answer::Found("Eicar".to_owned()) } else { Answer::Clean }
        }
    }

    impl Engine for Fake {
        fn name(&self) -> &str {
            "fake"
        }
        fn scan(&self, bytes: Bytes) -> BoxFuture<'_, Answer> {
            let answer = self.answer(&bytes);
            Box::pin(async { answer })
        }
        fn version(&self) -> BoxFuture<'_, Result<Version, Trouble>> {
            Box::pin(async { Ok(Version::default()) })
        }
        fn has_limits(&self) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn limits_are_found() {
        const M: usize = 1_000_000;
        let big = Fake { stream: 9 * M, file: 9 * M, alerts: false, form: Some(Form::End), mute: false };
        let rows = [
            (big, None, 5 * M, false),
            (Fake { alerts: true, ..big }, None, 5 * M, true),
            (Fake { form: Some(Form::Start), ..big }, None, 5 * M, false),
            (Fake { form: Some(Form::Mail), ..big }, None, 5 * M, false),
            (Fake { form: None, ..big }, None, 0, false),
            (Fake { stream: 2 * M, ..big }, Some(2 * M), 2 * M, false),
            (Fake { stream: 2 * M, mute: true, ..big }, Some(2 * M), 2 * M, false),
            (Fake { file: M, ..big }, None, M, false),
            (Fake { file: M, alerts: true, ..big }, None, M, true),
            (Fake { stream: 3 * M, file: M, ..big }, Some(3 * M), M, false),
        ];
        for (row, (engine, stream, looked_into, alerts)) in rows.into_iter().enumerate() {
            let got = measure(&engine, 5 * M as u64, Duration::from_secs(5)).await.unwrap();
            let near = |got: u64, want: usize| got <= want as u64 && got >= want as u64 * 9 / 10;
            assert_eq!(got.stream.is_some(), stream.is_some(), "row {row}: {got:?}");
            assert!(got.stream.is_none_or(|got| near(got, stream.unwrap())), "row {row}: {got:?}");
            assert!(near(got.looked_into, looked_into), "row {row}: {got:?}");
            assert_eq!(got.alerts, alerts, "row {row}");
        }
    }

    #[test]
    fn warnings_name_the_lines() {
        let all = |limits: Limits| limits.warnings(50_000_000).join("\n");
        let none = Limits { stream: None, looked_into: 50_000_000, alerts: true };
        assert_eq!(all(none), "");
        assert!(all(Limits { stream: Some(26_000_000), ..none }).ends_with("StreamMaxLength 55M"));
        assert!(all(Limits { looked_into: 26_000_000, ..none }).ends_with("MaxFileSize 55M and MaxScanSize 220M"));
        assert!(all(Limits { alerts: false, ..none }).ends_with("AlertExceedsMax yes"));
        let both = Limits { stream: Some(26_000_000), looked_into: 26_000_000, alerts: true };
        assert_eq!(both.warnings(50_000_000).len(), 1, "the file size is no limit of its own here");
    }
}

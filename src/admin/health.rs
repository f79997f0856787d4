//! Health for machines: `/healthz` (alive, and the store can be written) and `/readyz` (mail is taken and checked).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;

use super::Desk;

/// A disk that takes longer than this for a few bytes counts as trouble.
const DISK_TIME: Duration = Duration::from_secs(5);

/// `200 ok`, or 503 and why.
pub async fn healthz(State(desk): State<Arc<Desk>>) -> (StatusCode, String) {
    answer(desk.store_trouble().await.map(|trouble| format!("the store cannot be written: {trouble}")))
}

/// `200 ok`, or 503 and why.
pub async fn readyz(State(desk): State<Arc<Desk>>) -> (StatusCode, String) {
    let facts = desk.facts().await;
    let no_engine = facts.antivirus && !desk.engine_optional && !facts.engines.iter().any(|engine| engine.up);
    let trouble = if let Some(trouble) = facts.store_trouble {
        Some(format!("the store cannot be written: {trouble}"))
    } else if facts.listeners.is_empty() {
        Some("no listener takes mail".to_owned())
    } else if no_engine {
        Some("no virus engine answers".to_owned())
    } else {
        None
    };
    answer(trouble)
}

fn answer(trouble: Option<String>) -> (StatusCode, String) {
    match trouble {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
    }
}

/// Writes a few bytes into `dir` and takes them away again; why that did not work.
pub async fn trouble_writing(dir: PathBuf) -> Option<String> {
    let tried = tokio::task::spawn_blocking(move || try_writing(&dir));
    match tokio::time::timeout(DISK_TIME, tried).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error.to_string()),
        Ok(Err(gone)) => Some(gone.to_string()),
        Err(_) => Some(format!("the disk did not answer within {} s", DISK_TIME.as_secs())),
    }
}

fn try_writing(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(format!(".healthz.{:?}", std::thread::current().id()));
    let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(&[0; 4096]));
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn writes_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(trouble_writing(dir.path().into()).await, None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(trouble_writing(dir.path().join("gone")).await.is_some());
    }
}

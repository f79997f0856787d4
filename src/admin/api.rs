//! The API: one route a line, one short function each. Everything that happens here happens in [`crate::operate`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::No;
use super::who::By;
use super::{Desk, Desks, watch};
use crate::mail::units::Period;
use crate::mail::{Address, Event, MessageId, Record};
use crate::operate::filter::{self, Filter};
use crate::operate::{Error, audit, explain, find, quarantine, queue, store};

/// Bytes of a request's body at most.
const MAX_BODY: usize = 64 * 1024;
/// How long a release waits for the next hop's reply when the request does not say, and at most.
const WAIT: Duration = Duration::from_secs(30);
const MAX_WAIT: Duration = Duration::from_secs(300);

/// The body of a request that changes something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// Why; goes into the records.
    pub reason: String,
    /// How long to wait for the next hop's reply (release only); default 30 s, at most 5 min.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Period>,
}

/// The body of a request about waiting mail.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Order {
    /// Why; goes into the records, and into the notification of a bounce.
    pub reason: String,
    /// Whom it is about; all that wait where it is empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recipients: Vec<Address>,
}

/// The answer: who it was done for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The message.
    pub id: MessageId,
    /// The recipients.
    pub recipients: Vec<Address>,
}

/// The API over `desk`. Whoever serves it adds a [`By`] to every request.
pub fn router(desk: impl Into<Desks>) -> Router {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/find", get(find_messages))
        .route("/api/v1/watch", get(watch_records))
        .route("/api/v1/explain/{id}", get(explain_message))
        .route("/api/v1/audit", get(audit_books))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/quarantine", get(list_held))
        .route("/api/v1/quarantine/{id}", get(show_held))
        .route("/api/v1/quarantine/{id}/raw", get(export_held))
        .route("/api/v1/quarantine/{id}/release", post(release_held))
        .route("/api/v1/quarantine/{id}/delete", post(delete_held))
        .route("/api/v1/queue", get(list_waiting))
        .route("/api/v1/queue/{id}", get(show_waiting))
        .route("/api/v1/queue/{id}/retry", post(retry_waiting))
        .route("/api/v1/store", get(store_state))
        .route("/api/v1/store/verify", get(verify_store))
        .route("/api/v1/store/rebuild", post(rebuild_index))
        .route("/api/v1/queue/{id}/hold", post(hold_waiting))
        .route("/api/v1/queue/{id}/bounce", post(bounce_waiting))
        .fallback(no_such_path)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(desk.into())
}

type Answer<T> = Result<Json<T>, No>;
type Asked = Result<Query<filter::Query>, QueryRejection>;
type Sent = Result<Json<Change>, JsonRejection>;

fn read(asked: Asked) -> Result<Filter, No> {
    Ok(asked?.0.read(Timestamp::now())?)
}

fn id(text: &str) -> Result<MessageId, No> {
    Ok(text.parse::<MessageId>()?)
}

async fn no_such_path(uri: Uri) -> No {
    No::new(StatusCode::NOT_FOUND, format!("no {}", uri.path()), "the API begins with /api/v1/")
}

async fn status(State(desk): State<Arc<Desk>>) -> Json<crate::operate::status::Status> {
    Json(desk.status().await)
}

async fn reload(State(desk): State<Arc<Desk>>, Extension(by): Extension<By>) -> Answer<crate::operate::reload::Reloaded> {
    let nobody = || Error::Conflict("no gateway is running: there is nothing to reload".into());
    Ok(Json(desk.reloads.as_ref().ok_or_else(nobody)?.reload(&by.0).await?))
}

async fn find_messages(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer<find::Found> {
    Ok(Json(find::find(desk.store.clone(), read(asked)?).await?))
}

async fn watch_records(State(desk): State<Arc<Desk>>, asked: Asked) -> Result<Response, No> {
    Ok(watch::stream(&desk, &asked?.0)?)
}

async fn explain_message(State(desk): State<Arc<Desk>>, Path(text): Path<String>) -> Answer<explain::Explanation> {
    Ok(Json(explain::explain(desk.store.clone(), id(&text)?).await?))
}

async fn audit_books(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer<audit::Audit> {
    let filter = read(asked)?;
    Ok(Json(audit::audit(desk.store.clone(), filter.since, filter.until).await?))
}

async fn list_held(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer<quarantine::Listing> {
    Ok(Json(quarantine::list(desk.store.clone(), read(asked)?).await?))
}

async fn show_held(State(desk): State<Arc<Desk>>, Extension(by): Extension<By>, Path(text): Path<String>) -> Answer<quarantine::Shown> {
    let id = id(&text)?;
    Ok(Json(quarantine::show(desk.store.clone(), &desk.limits, &desk.version, id, &by.0).await?))
}

/// The original bytes. Never with a type that a browser would show.
async fn export_held(State(desk): State<Arc<Desk>>, Extension(by): Extension<By>, Path(text): Path<String>) -> Result<Response, No> {
    let id = id(&text)?;
    let raw = quarantine::export(desk.store.clone(), &desk.version, id, &by.0).await?;
    let file = format!("attachment; filename=\"{id}.eml\"");
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_DISPOSITION, file),
        (axum::http::header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    Ok((headers, raw).into_response())
}

async fn release_held(
    State(desk): State<Arc<Desk>>,
    Extension(by): Extension<By>,
    Path(text): Path<String>,
    sent: Sent,
) -> Answer<crate::operate::hands::Released> {
    let (id, Json(change)) = (id(&text)?, sent?);
    let wait = change.wait.map_or(WAIT, |wait| wait.0).min(MAX_WAIT);
    Ok(Json(desk.hands()?.release(id, &by.0, &change.reason, wait).await?))
}

async fn delete_held(
    State(desk): State<Arc<Desk>>,
    Extension(by): Extension<By>,
    Path(text): Path<String>,
    sent: Sent,
) -> Result<StatusCode, No> {
    let (id, Json(change)) = (id(&text)?, sent?);
    desk.hands()?.delete(id, &by.0, &change.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_waiting(State(desk): State<Arc<Desk>>, asked: Asked) -> Answer<queue::Queue> {
    Ok(Json(queue::list(desk.store.clone(), read(asked)?).await?))
}

async fn show_waiting(State(desk): State<Arc<Desk>>, Path(text): Path<String>) -> Answer<queue::Waiting> {
    Ok(Json(queue::show(desk.store.clone(), id(&text)?).await?))
}

async fn store_state(State(desk): State<Arc<Desk>>) -> Json<store::StoreState> {
    Json(store::state(&desk.store))
}

async fn verify_store(State(desk): State<Arc<Desk>>) -> Answer<crate::store::Verified> {
    Ok(Json(store::verify(desk.store.clone()).await?))
}

async fn rebuild_index(State(desk): State<Arc<Desk>>) -> Answer<store::StoreState> {
    desk.hands()?;
    Ok(Json(store::rebuild(desk.store.clone()).await?))
}

async fn retry_waiting(
    State(desk): State<Arc<Desk>>,
    Extension(by): Extension<By>,
    Path(text): Path<String>,
    sent: Result<Json<Order>, JsonRejection>,
) -> Result<StatusCode, No> {
    let (id, Json(order)) = (id(&text)?, sent?);
    desk.hands()?.retry(id, &by.0, &order.recipients).await?;
    let record = Record { at: Timestamp::now(), id, version: desk.version.clone(), event: Event::Retried { by: by.0 } };
    let store = desk.store.clone();
    let recorded = tokio::task::spawn_blocking(move || store.record(&[record])).await;
    recorded.map_err(|gone| Error::Conflict(gone.to_string()))?.map_err(Error::from)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn hold_waiting(
    State(desk): State<Arc<Desk>>,
    Extension(by): Extension<By>,
    Path(text): Path<String>,
    sent: Result<Json<Order>, JsonRejection>,
) -> Answer<Done> {
    let (id, Json(order)) = (id(&text)?, sent?);
    Ok(Json(Done { id, recipients: desk.hands()?.hold(id, &by.0, &order.reason, &order.recipients).await? }))
}

async fn bounce_waiting(
    State(desk): State<Arc<Desk>>,
    Extension(by): Extension<By>,
    Path(text): Path<String>,
    sent: Result<Json<Order>, JsonRejection>,
) -> Answer<Done> {
    let (id, Json(order)) = (id(&text)?, sent?);
    Ok(Json(Done { id, recipients: desk.hands()?.bounce(id, &by.0, &order.reason, &order.recipients).await? }))
}

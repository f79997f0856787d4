//! Answers that are no: each error of an operator's request has its status, its sentence, and what to do.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mail::id::NotAnId;
use crate::operate::Error;

/// The body of every answer that is no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What is wrong.
    pub error: String,
    /// What to do; may be empty.
    #[serde(default)]
    pub hint: String,
    /// Who released it before, where that is the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// And when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// An error on its way to the peer.
#[derive(Debug)]
pub struct No(pub StatusCode, pub Refusal);

impl No {
    /// A refusal with a hint.
    pub fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self(status, Refusal { error: error.into(), hint: hint.into(), by: None, at: None })
    }
}

impl IntoResponse for No {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<Error> for No {
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Bad { .. } => StatusCode::BAD_REQUEST,
            Error::Unknown { .. } => StatusCode::NOT_FOUND,
            Error::AlreadyReleased { .. } | Error::Conflict(_) | Error::NotReleased(_) | Error::NotReloaded(_) => StatusCode::CONFLICT,
            Error::ReadOnly(_) => StatusCode::FORBIDDEN,
            Error::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut no = Self::new(status, error.to_string(), error.hint());
        if let Error::AlreadyReleased { by, at } = error {
            (no.1.by, no.1.at) = (Some(by), Some(at));
        }
        no
    }
}

impl From<NotAnId> for No {
    fn from(error: NotAnId) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error.to_string(), "copy the id from a reply, a listing or the X-Mailweir-Id field")
    }
}

impl From<QueryRejection> for No {
    fn from(rejection: QueryRejection) -> Self {
        let hint = "filters are to, from, since, until, text, subject, state, area, route, next_hop, reply, limit";
        Self::new(StatusCode::BAD_REQUEST, rejection.body_text(), hint)
    }
}

impl From<JsonRejection> for No {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "send a JSON object such as {\"reason\": \"asked for by its recipient\"}")
    }
}

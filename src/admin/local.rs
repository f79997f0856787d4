//! The API without a socket: the command line's way where no gateway runs.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Extension;
use axum::http::Request;
use bytes::Bytes;
use hyper_util::service::TowerToHyperService;

use super::{Desk, api, who};

/// The router in this process; whoever runs the process is who asks.
pub struct Local(Router);

impl Local {
    /// Over `desk`.
    pub fn new(desk: Desk) -> Self {
        Self(api::router(Arc::new(desk)).layer(Extension(who::myself())))
    }

    /// One request; the status code and the body of its answer.
    ///
    /// # Errors
    /// When method or address cannot be written into a request, or the answer breaks off.
    pub async fn call(&self, method: &str, address: &str, body: Bytes) -> Result<(u16, Bytes), String> {
        let request = Request::builder().method(method).uri(address).header("content-type", "application/json");
        let request = request.body(Body::from(body)).map_err(|error| format!("{address}: {error}"))?;
        let service = TowerToHyperService::new(self.0.clone());
        let response = match hyper::service::Service::call(&service, request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status().as_u16();
        // Bounded by the message that is exported: the store has it on this machine.
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|error| error.to_string())?;
        Ok((status, body))
    }
}

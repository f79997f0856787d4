//! The virus engines as operators see them.

use super::status::Engine;
use crate::inspect::antivirus::{Antivirus, EngineStatus, State};

/// Who knows how the engines are; answers from memory, without asking them.
pub trait Engines: Send + Sync + 'static {
    /// Every configured engine.
    fn engines(&self) -> Vec<Engine>;
}

impl Engines for Antivirus {
    fn engines(&self) -> Vec<Engine> {
        self.status().into_iter().map(seen).collect()
    }
}

fn seen(status: EngineStatus) -> Engine {
    let trouble = match &status.state {
        State::Up => None,
        State::Unknown => Some("it has not been asked yet".to_owned()),
        State::Down { reason } | State::Wrong { reason } => Some(reason.clone()),
    };
    Engine {
        name: status.engine,
        up: trouble.is_none(),
        version: status.version.unwrap_or_default(),
        signatures: status.signature_time,
        warnings: trouble.into_iter().chain(status.warnings).collect(),
    }
}

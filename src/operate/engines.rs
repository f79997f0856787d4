//! The virus engines as operators see them.

use super::status::Engine;

/// Who knows how the engines are; answers from memory, without asking them.
pub trait Engines: Send + Sync + 'static {
    /// Every configured engine.
    fn engines(&self) -> Vec<Engine>;
}

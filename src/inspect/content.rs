//! Content suitability: what kind of attachment or text may pass.
use crate::mail::{Context, Finding, Message};
use crate::rules::Hit;
/// stand-in
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Settings {}
/// stand-in
pub fn check(_: &Settings, _: &[Hit], _: &Message, _: &Context) -> Vec<Finding> {
    Vec::new()
}

//! What operators do over time: find, explain, look after queue and quarantine, audit.

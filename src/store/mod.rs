//! What we own: journal, spool, quarantine, records.

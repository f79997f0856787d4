//! The nouns: what the whole program talks about. No I/O, no decisions, and no imports from any floor above.

pub mod address;
pub mod decision;
pub mod dsn;
pub mod entry;
pub mod envelope;
pub mod finding;
pub mod id;
pub mod message;
pub mod outcome;
pub mod record;
pub mod route;
pub mod units;

pub use address::Address;
pub use decision::{Area, Decision, Disposition, Mode};
pub use entry::{Entry, EntryRecipient, Place, RecipientState, Release};
pub use envelope::{Body, Context, Direction, Envelope, Origin, Recipient, ReversePath};
pub use finding::{Class, Finding, Reason};
pub use id::{MessageId, VersionId};
pub use message::{Header, Message, Part, PartId, PartKind, Span};
pub use outcome::{HopReply, Outcome};
pub use record::{Event, Record};
pub use route::{Delivery, NextHop, Profile, Route, Routes, TlsUse};

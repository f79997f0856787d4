//! The look-ups of the outside world: DNS and TLS settings.
//!
//! [`dns`] is the home of hickory-resolver, [`tls`] that of rustls, tokio-rustls and rcgen.

pub mod dns;
pub mod tls;

pub use dns::{DnsError, Resolver, Target};
pub use tls::{ClientStream, ClientTls, ServerStream, ServerTls, TlsError, Trust};

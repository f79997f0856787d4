//! Mailweir: an SMTP mail-scanning gateway.
//!
//! ```text
//!  main.rs  cli/                                    one file per subcommand                          floor 7
//!  setup/                                           the configuration file and all it wires               6
//!  gateway/                   admin/                sockets of mail; sockets of people                    5
//!  operate/                                         what operators do over time                           4
//!  pipeline/                                        accept, dispatch, release: the way of a message       3
//!  inspect/  policy/  store/  deliver/              check, decide, keep, hand on                          2
//!  smtp/  content/  rules/  rewrite/  net/          bytes in, values out                                  1
//!  mail/                                            the nouns                                             0
//! ```
//!
//! Imports go down only; siblings on a floor do not know each other. `tests/shape.rs` holds the code to it.

pub mod admin;
pub mod cli;
pub mod content;
pub mod deliver;
pub mod gateway;
pub mod inspect;
pub mod mail;
pub mod net;
pub mod operate;
pub mod pipeline;
pub mod policy;
pub mod rewrite;
pub mod rules;
pub mod setup;
pub mod smtp;
pub mod store;

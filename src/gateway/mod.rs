//! Sockets in: listeners, connections, TLS, limits, shutdown.

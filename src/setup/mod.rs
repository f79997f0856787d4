//! The configuration file and everything it wires: the one place that knows all.

//! Sockets out: the courier, its connections, and what each kind of next hop wants.

//! Sockets of people: the API, metrics and health. Never on the face towards the internet.

//! The threads, sockets and the clock that drive sessions.

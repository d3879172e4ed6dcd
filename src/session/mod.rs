//! A session: one party of one protocol as a sans-IO state machine.

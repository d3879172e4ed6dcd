//! The seeded world: the channel turned into raw frames of both parties.

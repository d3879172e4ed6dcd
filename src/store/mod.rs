//! Key store: keys become available once both sides hold them, and are delivered once.

//! Wegman–Carter authentication: transcripts, tags and the pads they consume.

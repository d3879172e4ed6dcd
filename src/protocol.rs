//! What BB84 and CV-QKD do differently, as one trait.

//! keystill for C.
//!
//! Bits are packed lowest bit first, eight a byte. Every function returns a status; what went wrong is
//! told by [`keystill_last_error`]. No panic crosses the border: it becomes
//! [`Status::Internal`]. Functions may be called from any thread; a handle by one thread at a time,
//! except where its function says otherwise.

mod amplify;
mod border;
mod keylen;

pub use amplify::*;
pub use border::*;
pub use keylen::*;

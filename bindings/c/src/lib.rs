//! keystill for C.
//!
//! Bits are packed lowest bit first, eight a byte. Every function returns a status; what went wrong is
//! told by [`keystill_last_error`]. No panic crosses the border: it becomes
//! [`Status::Internal`]. Functions may be called from any thread; a handle by one thread at a time,
//! except where its function says otherwise.
//!
//! A session is one end of a link. It opens no socket, reads no clock and starts no thread: it is polled
//! for what is to be sent, computed and remembered, and told what came. `examples/sessions.c` has both
//! ends in one process.

mod amplify;
mod border;
mod keylen;
mod session;
mod settings;
mod store;

pub use amplify::*;
pub use border::*;
pub use keylen::*;
pub use session::*;
pub use settings::*;
pub use store::*;

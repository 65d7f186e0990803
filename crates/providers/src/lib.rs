//! The providers: one folder each. A request is encoded for it, its answer decoded to events.

pub mod anthropic;
pub mod call;
pub mod clean;
pub mod decode;
pub mod encode;
pub mod fault;
pub mod inflate;
pub mod limits;
pub mod openai;
pub mod practice;
pub mod retry_after;
mod several;
pub mod stream;

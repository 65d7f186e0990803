//! The providers: one folder each. A request is encoded for it, its answer decoded to events.

pub mod anthropic;
pub mod decode;
pub mod encode;
pub mod fault;
pub mod openai;
pub mod practice;

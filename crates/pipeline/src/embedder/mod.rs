//! Where vectors of texts come from: the model inside this process, or a provider's.

mod local;
mod pending;
mod remote;

pub(crate) use local::Local;
pub(crate) use pending::Pending;
pub(crate) use remote::{Remote, Tools};

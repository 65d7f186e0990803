//! Who is calling: what authentication and the request's own fields say.

use crate::network::Network;
use std::sync::Arc;

/// The caller of one request. Tenant and key come from authentication alone, the user from the request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Organisation that pays. `local` where no tenants are configured.
    pub tenant: Arc<str>,
    /// Public id of the API key, `site-NAME` for sessions, empty for the anonymous loopback caller.
    pub key_id: Arc<str>,
    /// End user on whose behalf the call is made; falls back to the key id.
    pub user: Option<String>,
    /// `k=v` pairs from `x-aplomb-tags`, in the order given.
    pub tags: Vec<(String, String)>,
    /// Conversation id from `x-aplomb-session`.
    pub session: Option<String>,
    /// What one customer has: the IPv4 address, or the /64 of an IPv6 address.
    pub host: Option<Network>,
    /// The subnet around it: /24 or /48.
    pub subnet: Option<Network>,
    /// What its manner says of it.
    pub manner: Manner,
}

/// What the manner of a request says of its sender.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// Its kind of client: a keyed digest of which headers it sends, and of what its user agent calls itself.
    pub client: u128,
    /// It does not say in which language it wants answers.
    pub no_language: bool,
    /// Requests of its address, in the window of strikes, that showed no known key, or asked for what does not exist.
    pub strikes: u64,
    /// Its address is one that is not counted.
    pub exempt: bool,
}

/// What the key ids of sessions begin with; the name of their site follows. Public ids of keys have no `-` there.
const SITE: &str = "site-";

/// The key id of a site's sessions.
pub fn site_key_id(site: &str) -> String {
    format!("{SITE}{site}")
}

/// Whether a key id is that of sessions.
pub fn is_session(key_id: &str) -> bool {
    key_id.starts_with(SITE)
}

/// Longest user or session id that is kept, in bytes. Chosen: a UUID or e-mail fits several times.
pub const ID_BYTES_MAX: usize = 256;
/// Most tags that are kept. Chosen: more are a sign of data in the wrong place.
pub const TAGS_MAX: usize = 16;

/// Reads `k=v,k=v`. Pairs without `=`, empty keys and whatever is over the bounds are left out.
pub fn parse_tags(header: &str) -> Vec<(String, String)> {
    header
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| !key.is_empty() && key.len() <= 64 && value.len() <= ID_BYTES_MAX)
        .take(TAGS_MAX)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_pairs_and_bounded() {
        let expected = vec![
            ("team".to_owned(), "search".to_owned()),
            ("env".to_owned(), "prod".to_owned()),
        ];
        assert_eq!(parse_tags("team=search, env = prod ,broken,=x"), expected);
        assert_eq!(parse_tags(&"a=1,".repeat(100)).len(), TAGS_MAX);
    }
}

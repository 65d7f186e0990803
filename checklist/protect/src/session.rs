//! Tokens of browsers: `apls_` and base64url of the claims, a dot, base64url of HMAC-SHA256 over what stands before it.
//!
//! A token says for itself who calls, so nothing is looked up and nothing is kept. It is good for minutes, for one site, and from the
//! subnet that it was made for; one that was copied elsewhere has to be made anew there, with a new proof.

use crate::challenge::{mac, sign};
use aplomb_core::network::Network;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::borrow::Cow;

/// What tokens begin with.
pub const PREFIX: &str = "apls_";
/// Most bytes of claims.
const CLAIMS_BYTES_MAX: usize = 300;
/// Longest token that is read.
const TOKEN_BYTES_MAX: usize = PREFIX.len() + CLAIMS_BYTES_MAX.div_ceil(3) * 4 + 1 + 43;
/// Version of the claims.
const VERSION: u8 = 1;

/// What a browser has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proven {
    /// Nothing: it was not asked for anything.
    Nothing,
    /// Work.
    Work,
}

/// Who a session is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Tenant that pays.
    pub tenant: String,
    /// Its site.
    pub site: String,
    /// The end user, as the page says.
    pub user: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// When it ends.
    pub ends_ms: u64,
    /// What was shown for it.
    pub proven: Proven,
}

/// Claims as they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims<'a> {
    v: u8,
    org: &'a str,
    site: &'a str,
    #[serde(borrow)]
    sub: Cow<'a, str>,
    iat: u64,
    exp: u64,
    net: &'a str,
    lvl: u8,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is not ours: forged, altered or cut.
    #[error("this session token is not valid: it was altered, cut, or not made here")]
    Forged,
    /// It is ours, but its time is over.
    #[error("this session has ended")]
    Ended,
    /// It is ours, but for another network.
    #[error("this session was made from another network")]
    Moved,
}

/// The names in a session are longer together than a token takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the names of tenant, site and user are too long for a session token")]
pub struct TooLong;

/// Makes and reads tokens. Every node of an installation needs the same secret.
pub struct Sessions {
    signature: Hmac<Sha256>,
    networks: Hmac<Sha256>,
}

impl Sessions {
    /// With this secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let whole = mac(secret);
        Sessions {
            signature: mac(&sign(&whole, b"session token")),
            networks: mac(&sign(&whole, b"session network")),
        }
    }

    /// A subnet in a token: it says nothing of the address to whom reads the token.
    fn mark(&self, subnet: Network) -> String {
        let digest = sign(&self.networks, subnet.to_string().as_bytes());
        let (mark, _) = digest.split_at(9);
        BASE64.encode(mark)
    }

    /// The token of a session that is used from this subnet.
    ///
    /// # Errors
    /// Its names are too long.
    pub fn token(&self, session: &Session, subnet: Network) -> Result<String, TooLong> {
        let claims = Claims {
            v: VERSION,
            org: &session.tenant,
            site: &session.site,
            sub: Cow::Borrowed(&session.user),
            iat: session.made_ms,
            exp: session.ends_ms,
            net: &self.mark(subnet),
            lvl: match session.proven {
                Proven::Nothing => 0,
                Proven::Work => 1,
            },
        };
        let claims = serde_json::to_vec(&claims).map_err(|_| TooLong)?;
        if claims.len() > CLAIMS_BYTES_MAX {
            return Err(TooLong);
        }
        let mut token = format!("{PREFIX}{}", BASE64.encode(claims));
        let signature = sign(&self.signature, token.as_bytes());
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        Ok(token)
    }

    /// Whose token this is.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn read(&self, token: &str, subnet: Network, now_ms: u64) -> Result<Session, Invalid> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Invalid::Forged);
        }
        let (signed, signature) = token.split_once('.').ok_or(Invalid::Forged)?;
        let signature = BASE64.decode(signature).map_err(|_| Invalid::Forged)?;
        let mut mac = self.signature.clone();
        mac.update(signed.as_bytes());
        mac.verify_slice(&signature).map_err(|_| Invalid::Forged)?;
        let claims = signed.strip_prefix(PREFIX).ok_or(Invalid::Forged)?;
        let claims = BASE64.decode(claims).map_err(|_| Invalid::Forged)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| Invalid::Forged)?;
        let proven = match (claims.v, claims.lvl) {
            (VERSION, 0) => Proven::Nothing,
            (VERSION, 1) => Proven::Work,
            _ => return Err(Invalid::Forged),
        };
        if now_ms >= claims.exp {
            return Err(Invalid::Ended);
        }
        if claims.net != self.mark(subnet) {
            return Err(Invalid::Moved);
        }
        Ok(Session {
            tenant: claims.org.to_owned(),
            site: claims.site.to_owned(),
            user: claims.sub.into_owned(),
            made_ms: claims.iat,
            ends_ms: claims.exp,
            proven,
        })
    }
}

#[cfg(test)]
mod tests;

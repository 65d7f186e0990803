//! What must hold for what a browser shows.

use aplomb_protect::challenge::{Challenger, Refused};
use aplomb_protect::session::{Invalid, Sessions};
use std::sync::LazyLock;

static CHALLENGER: LazyLock<Challenger> = LazyLock::new(|| Challenger::new(&[1; 32]));

/// Nothing that was not made here is a proof of work or a session token.
pub fn proof(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let subnet = "192.0.2.0/24".parse().expect("a network");
    let packed = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, data);
    for proof in [&*text, packed.as_str()] {
        let refused = CHALLENGER.verify(proof, ("shop", subnet), 1_700_000_000_000);
        assert!(matches!(
            refused,
            Err(Refused::Unreadable | Refused::Foreign)
        ));
    }
    let sessions = Sessions::new(&[1; 32]);
    for token in [text.to_string(), format!("apls_{text}")] {
        assert_eq!(sessions.read(&token, subnet, 0), Err(Invalid::Forged));
    }
}

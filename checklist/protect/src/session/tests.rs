use super::*;

const NOW: u64 = 1_795_400_000_000;

fn sessions() -> Sessions {
    Sessions::new(&[3; 32])
}

fn session() -> Session {
    Session {
        tenant: "acme".to_owned(),
        site: "shop".to_owned(),
        user: "Jörg \"J\" \\ 7".to_owned(),
        made_ms: NOW,
        ends_ms: NOW + 600_000,
        proven: Proven::Work,
    }
}

fn subnet(text: &str) -> Network {
    text.parse().unwrap()
}

fn home() -> Network {
    subnet("192.0.2.0/24")
}

#[test]
fn a_token_says_whose_it_is_until_it_ends_and_where_it_was_made() {
    let token = sessions().token(&session(), home()).unwrap();
    assert!(token.starts_with("apls_"));
    assert!(!token.contains("192"));
    let read = |network, now| sessions().read(&token, network, now);
    assert_eq!(read(home(), NOW + 599_999), Ok(session()));
    assert_eq!(read(home(), NOW + 600_000), Err(Invalid::Ended));
    assert_eq!(read(subnet("192.0.3.0/24"), NOW), Err(Invalid::Moved));
    let other = Sessions::new(&[4; 32]);
    assert_eq!(other.read(&token, home(), NOW), Err(Invalid::Forged));
}

#[test]
fn what_was_altered_or_cut_anywhere_is_refused() {
    let token = sessions().token(&session(), home()).unwrap();
    let read = |token: &str| sessions().read(token, home(), NOW);
    for end in 0..token.len() {
        assert_eq!(read(&token[..end]), Err(Invalid::Forged), "{end}");
    }
    for at in 0..token.len() {
        for by in [1u8, 4, 128] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= by;
            let Ok(altered) = String::from_utf8(bytes) else {
                continue;
            };
            assert_eq!(read(&altered), Err(Invalid::Forged), "{at} {by}");
        }
    }
    // Claims of one's own over a signature of another token.
    let (_, signature) = token.split_once('.').unwrap();
    let claims = br#"{"v":1,"org":"acme","site":"shop","sub":"root","iat":0,"exp":99999999999999,"net":"","lvl":1}"#;
    let forged = format!("{PREFIX}{}.{signature}", BASE64.encode(claims));
    assert_eq!(read(&forged), Err(Invalid::Forged));
    assert_eq!(
        read(&format!("{token}{}", "A".repeat(1000))),
        Err(Invalid::Forged)
    );
    assert_eq!(read(&format!("{token}=")), Err(Invalid::Forged));
}

#[test]
fn claims_have_a_bound() {
    let mut session = session();
    session.user = "u".repeat(64);
    session.tenant = "t".repeat(64);
    session.site = "s".repeat(32);
    let token = sessions().token(&session, home()).unwrap();
    assert!(token.len() <= TOKEN_BYTES_MAX);
    assert_eq!(sessions().read(&token, home(), NOW), Ok(session.clone()));
    session.user = "u".repeat(128);
    assert_eq!(sessions().token(&session, home()), Err(TooLong));
}

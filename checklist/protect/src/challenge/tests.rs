//! The vector was made with Python's `hashlib.pbkdf2_hmac`, `hmac` and `json`, which share no code with this crate.

use super::*;

const NOW: u64 = 1_795_400_000_500;
const WORK: Work = Work {
    cost: 1000,
    tries: 100,
    time: Duration::from_secs(300),
};
const KEY: &str = "73179366f1974a15588685031e3e55f577078e79afaf71bc9951de561c48c057";
const PARAMETERS: &str = r#"{"algorithm":"PBKDF2/SHA-256","cost":1000,"data":{"site":"shop"},"expiresAt":1795400300,"keyLength":32,"keyPrefix":"73179366f1974a15588685031e3e55f5","keySignature":"37629e6df991636bb7da020058c9df4471e1b35d6dfad657aa43b3c032776f83","nonce":"00112233445566778899aabbccddeeff","salt":"0f1e2d3c4b5a69788796a5b4c3d2e1f0"}"#;
const SIGNATURE: &str = "7df4e7e3a1ca35cf1291b2496dd288d467074d160ec75c481f695b239312b967";

fn challenger() -> Challenger {
    let mut secret = [0; 32];
    for (index, byte) in secret.iter_mut().enumerate() {
        *byte = u8::try_from(index).unwrap();
    }
    Challenger::new(&secret)
}

fn home() -> Network {
    "192.0.2.0/24".parse().unwrap()
}

fn draw() -> Draw {
    Draw {
        nonce: unhex("00112233445566778899aabbccddeeff").unwrap(),
        salt: unhex("0f1e2d3c4b5a69788796a5b4c3d2e1f0").unwrap(),
        place: 12_345_678,
    }
}

fn proof(parameters: &str, signature: &str, counter: &str, key: &str) -> String {
    STANDARD.encode(format!(
        r#"{{"challenge":{{"parameters":{parameters},"signature":"{signature}"}},"solution":{{"counter":{counter},"derivedKey":"{key}","time":12.5}}}}"#
    ))
}

fn good() -> String {
    proof(PARAMETERS, SIGNATURE, "78", KEY)
}

#[track_caller]
fn check(proof: &str, expected: Result<(), Refused>) {
    assert_eq!(challenger().verify(proof, ("shop", home()), NOW), expected);
}

#[test]
fn a_challenge_is_what_another_implementation_makes() {
    let made = challenger().create(WORK, ("shop", home()), &draw(), NOW);
    assert_eq!(made["parameters"].to_string(), PARAMETERS);
    assert_eq!(made["signature"], SIGNATURE);
    let Draw { nonce, salt, .. } = draw();
    assert_eq!(hex(&derive(&nonce, 78, &salt, 1000)), KEY);
}

#[test]
fn the_counter_lies_in_the_upper_half() {
    for tries in [0, 1, 2, 3, 10, u32::MAX] {
        for place in [0, 1, 7, u32::MAX] {
            let half = tries.max(2) / 2;
            let work = Work {
                cost: 1,
                tries,
                ..WORK
            };
            let made = challenger().create(work, ("shop", home()), &Draw { place, ..draw() }, NOW);
            let Draw { nonce, salt, .. } = draw();
            let key = hex(&derive(&nonce, half + place % half, &salt, 1));
            assert_eq!(made["parameters"]["keyPrefix"], key[..32]);
        }
    }
}

#[test]
fn a_solution_counts_once_and_in_time() {
    let challenger = challenger();
    assert_eq!(
        challenger.verify(&good(), ("other", home()), NOW),
        Err(Refused::Foreign)
    );
    assert_eq!(
        challenger.verify(&good(), ("shop", home()), 1_795_400_300_000),
        Err(Refused::Expired)
    );
    assert_eq!(
        challenger.verify(&good(), ("shop", home()), 1_795_400_299_999),
        Ok(())
    );
    assert_eq!(
        challenger.verify(&good(), ("shop", home()), NOW),
        Err(Refused::Spent)
    );
}

#[test]
fn a_wrong_key_is_refused_whatever_counter_it_claims() {
    // Keys of other counters, the told half with another rest, and forms of the right one that are another text.
    let Draw { nonce, salt, .. } = draw();
    let other = hex(&derive(&nonce, 79, &salt, 1000));
    for key in [
        other.as_str(),
        "73179366f1974a15588685031e3e55f500000000000000000000000000000000",
        &KEY[..62],
        &KEY.to_uppercase(),
        "",
    ] {
        for counter in ["78", "79"] {
            let proof = proof(PARAMETERS, SIGNATURE, counter, key);
            check(&proof, Err(Refused::Wrong));
        }
    }
}

#[test]
fn altered_parameters_are_refused() {
    for (from, to) in [
        ("\"cost\":1000", "\"cost\":1"),
        ("\"cost\":1000", "\"cost\":1000.0"),
        ("1795400300", "1795500300"),
        ("shop", "other"),
        ("\"keyLength\":32,", ""),
        ("\"keyLength\":32,", "\"keyLength\":32,\"more\":1,"),
        ("keyPrefix\":\"73", "keyPrefix\":\"74"),
        ("0f1e", "0f1f"),
        // Another order.
        (
            "\"algorithm\":\"PBKDF2/SHA-256\",\"cost\":1000",
            "\"cost\":1000,\"algorithm\":\"PBKDF2/SHA-256\"",
        ),
    ] {
        let altered = PARAMETERS.replacen(from, to, 1);
        assert_ne!(altered, PARAMETERS);
        check(
            &proof(&altered, SIGNATURE, "78", KEY),
            Err(Refused::Foreign),
        );
    }
    for signature in ["", "00", &SIGNATURE.replacen('7', "8", 1)] {
        check(
            &proof(PARAMETERS, signature, "78", KEY),
            Err(Refused::Foreign),
        );
    }
    let elsewhere = Challenger::new(&[7; 32]);
    assert_eq!(
        elsewhere.verify(&good(), ("shop", home()), NOW),
        Err(Refused::Foreign)
    );
}

#[test]
fn what_is_cut_anywhere_is_refused() {
    let whole = good();
    for end in 0..whole.len() {
        assert!(
            challenger()
                .verify(&whole[..end], ("shop", home()), NOW)
                .is_err()
        );
    }
    for counter in ["-1", "4294967296", "1.5", "\"78\""] {
        check(
            &proof(PARAMETERS, SIGNATURE, counter, KEY),
            Err(Refused::Unreadable),
        );
    }
    check(&"A".repeat(PROOF_BYTES_MAX + 4), Err(Refused::Unreadable));
    check("%%%", Err(Refused::Unreadable));
}

#[test]
fn used_solutions_are_remembered_as_long_as_they_could_be_used_and_no_longer() {
    let spent = Spent::default();
    let nonce = |n: u64| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&n.to_le_bytes());
        nonce
    };
    let mut live = Vec::new();
    for n in 0..2000u64 {
        let now = n * 10;
        assert_eq!(spent.spend(nonce(n), now + 500, now), Ok(()));
        live.push((nonce(n), now + 500));
        live.retain(|(_, until)| *until > now);
        for (nonce, until) in &live {
            assert_eq!(spent.spend(*nonce, *until, now), Err(Refused::Spent));
        }
        let halves = spent.0.lock().unwrap();
        let held: usize = halves.iter().map(|half| half.nonces.len()).sum();
        assert!(held <= 3 * 50, "{held}");
    }
}

#[test]
fn a_full_memory_refuses_instead_of_forgetting() {
    let spent = Spent::default();
    let mut refused = 0;
    for n in 0..2 * SPENT_MAX + 10 {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&u64::try_from(n).unwrap().to_le_bytes());
        refused += usize::from(spent.spend(nonce, 1000, 0) == Err(Refused::Full));
    }
    assert!(refused > 0);
    assert_eq!(spent.spend([0; 16], 1000, 0), Err(Refused::Spent));
    assert_eq!(spent.spend([255; 16], 3000, 1001), Ok(()));
}

#[test]
fn a_subnet_that_solves_much_works_more_for_a_while() {
    let challenger = challenger();
    let harder = |now| challenger.harder(home(), now);
    assert_eq!(challenger.verify(&good(), ("shop", home()), NOW), Ok(()));
    for (more, factor) in [(8, 1), (1, 2), (10, 4), (20, 16), (500, 16)] {
        for _ in 0..more {
            challenger.solved.add(challenger.place(home()), NOW);
        }
        assert_eq!(harder(NOW), factor);
    }
    let other = "192.0.3.0/24".parse().unwrap();
    assert_eq!(challenger.harder(other, NOW), 1);
    let work = Work { cost: 1, ..WORK };
    let made = challenger.create(work, ("shop", home()), &draw(), NOW);
    let Draw { nonce, salt, .. } = draw();
    let key = hex(&derive(&nonce, 800 + 12_345_678 % 800, &salt, 1));
    assert_eq!(made["parameters"]["keyPrefix"], key[..32]);
    assert_eq!(harder(NOW + 2 * RECENT_MS), 1);
}

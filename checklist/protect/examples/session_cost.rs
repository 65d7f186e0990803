//! What it costs to check a session token and a proof of work: `cargo run --release -p aplomb-protect --example session_cost`.
#![expect(clippy::print_stdout, reason = "an example prints what it measures")]
#![expect(
    clippy::unwrap_used,
    reason = "what fails here is a defect of the example"
)]

use aplomb_protect::challenge::{Challenger, Draw, Work};
use aplomb_protect::session::{Proven, Session, Sessions};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use std::hint::black_box;
use std::time::{Duration, Instant};

const NOW: u64 = 1_795_400_000_000;

/// Microseconds of one call, of nine rounds: the best is what is left where others use the machine too.
fn cost(calls: u32, mut call: impl FnMut(u32)) {
    let mut rounds: Vec<f64> = (0..9)
        .map(|round| {
            let begun = Instant::now();
            (0..calls).for_each(|n| call(round * calls + n));
            begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    let [best, _, _, _, median, ..] = rounds.as_slice() else {
        return;
    };
    println!("  best {best:.2} us, median {median:.2} us");
}

/// The key of a solution, by the book and without the crate's own code.
fn solve(nonce: [u8; 16], salt: [u8; 16], counter: u32) -> String {
    let password = [nonce.as_slice(), &counter.to_be_bytes()].concat();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&password).unwrap();
    mac.update(&salt);
    mac.update(&[0, 0, 0, 1]);
    let key = mac.finalize().into_bytes();
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn main() {
    let sessions = Sessions::new(&[3; 32]);
    let subnet = "192.0.2.0/24".parse().unwrap();
    let session = Session {
        tenant: "acme".into(),
        site: "shop".into(),
        user: "visitor-4711".into(),
        made_ms: NOW,
        ends_ms: NOW + 600_000,
        proven: Proven::Work,
    };
    let token = sessions.token(&session, subnet).unwrap();
    println!("a session token is checked ({} bytes):", token.len());
    cost(10_000, |_| {
        assert!(black_box(sessions.read(black_box(&token), subnet, NOW)).is_ok());
    });

    let challenger = Challenger::new(&[5; 32]);
    let work = |cost| Work {
        cost,
        tries: 2,
        time: Duration::from_secs(300),
    };
    let salt = [9; 16];
    let nonce = |n: u32| {
        let mut nonce = [0; 16];
        for (byte, from) in nonce.iter_mut().zip(n.to_le_bytes()) {
            *byte = from;
        }
        nonce
    };
    let draw = |n| Draw {
        nonce: nonce(n),
        salt,
        place: 0,
    };
    let proofs: Vec<String> = (0..9000)
        .map(|n| {
            let challenge = challenger.create(work(1), ("shop", subnet), &draw(n), NOW);
            let key = solve(nonce(n), salt, 1);
            STANDARD.encode(format!(
                r#"{{"challenge":{challenge},"solution":{{"counter":1,"derivedKey":"{key}"}}}}"#
            ))
        })
        .collect();
    println!("a proof of work is checked and remembered:");
    cost(1000, |n| {
        let proof = proofs.get(usize::try_from(n).unwrap()).unwrap();
        assert_eq!(challenger.verify(proof, ("shop", subnet), NOW), Ok(()));
    });
    println!("a challenge of cost 1000 is made:");
    cost(100, |n| {
        black_box(challenger.create(work(1000), ("shop", subnet), &draw(n), NOW));
    });
}

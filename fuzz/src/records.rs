//! What is read of bodies and answers for a record, and what is read back from its files: never a panic, and what was
//! written comes back.
use aplomb_core::event::{ChatEvent, Facts, Raw};
use aplomb_core::id::RequestId;
use aplomb_observe::evals::judge::read;
use aplomb_observe::evals::rubric::Rubric;
use aplomb_observe::histogram::{Histogram, Sum};
use aplomb_observe::prompt::{Kept, Prompt, head};
use aplomb_observe::record::Texts;
use aplomb_observe::store::embedded::codec::{Codec, join, split};
use aplomb_observe::transcript::Transcript;
use bytes::Bytes;
use std::sync::LazyLock;

static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::new(Some(b"key")));

/// See the module.
pub fn records(data: &[u8]) {
    let (kind, data) = data.split_first().unwrap_or((&0, data));
    match kind % 6 {
        0 => {
            if let Some(mut histogram) = Histogram::decode(data) {
                let bytes = histogram.encode();
                assert_eq!(Histogram::decode(&bytes).unwrap(), histogram);
                Sum::default().add(&bytes).unwrap();
            }
        }
        1 => {
            let _ = CODEC.open(data, b"id");
            if let Some(parts) = split(data) {
                assert_eq!(join([&parts[0], &parts[1], &parts[2], &parts[3]]), data);
            }
        }
        2 => {
            let stored = CODEC.close(data, b"id").unwrap();
            assert_eq!(CODEC.open(&stored, b"id").unwrap(), data);
        }
        3 => {
            let mut answer = Transcript::default();
            let name = data
                .first()
                .filter(|first| **first == b'{')
                .map(|_| "content_block_delta".into());
            let facts = Facts {
                content: true,
                ..Facts::default()
            };
            answer.on_event(&ChatEvent::Raw(Raw {
                name,
                data: Bytes::copy_from_slice(data),
                facts,
            }));
            let texts = Texts {
                operation: None,
                request: Bytes::copy_from_slice(data),
                answer,
            };
            let prompt = Prompt::read(&texts, Kept::Whole);
            assert!(
                prompt
                    .text
                    .is_some_and(|text| text.prompt_head.chars().count() <= 200)
            );
        }
        4 => {
            let rubrics = ["relevance", "toxicity"].map(|name| Rubric::parse(name).unwrap());
            let verdicts = read(&String::from_utf8_lossy(data), &rubrics);
            assert_eq!(verdicts.len(), rubrics.len());
            for score in verdicts.iter().filter_map(|verdict| verdict.score) {
                assert!((0.0..=1.0).contains(&score));
            }
        }
        _ => {
            let text = String::from_utf8_lossy(data);
            let _ = (head(&text), RequestId::parse(&text));
        }
    }
}

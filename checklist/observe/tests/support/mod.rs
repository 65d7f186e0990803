//! Records made up for tests: the same numbers from the same seed.
#![allow(dead_code, reason = "each suite uses its part")]

use aplomb_core::event::ChatEvent;
use aplomb_core::id::RequestId;
use aplomb_core::request::Operation;
use aplomb_core::usage::{Usage, UsageSource};
use aplomb_observe::prompt::{Kept, Prompt};
use aplomb_observe::record::{Attempt, Outcome, Record, Texts};
use aplomb_observe::store::embedded::Entry;
use aplomb_observe::transcript::Transcript;
use bytes::Bytes;

/// 2026-01-02T03:04:05Z.
pub const NOON: u64 = 1_767_323_045_000;
pub const DAY_MS: u64 = 86_400_000;
/// 2026-11-20T03:04:05Z: young enough for the retention of a store that looks at the real time.
pub const NOW: u64 = 1_795_143_845_000;

/// The same as [`record`], whose own trace it has.
pub fn record_at(at_ms: u64, tenant: &str, user: &str) -> Record {
    Record {
        trace_id: u128::from(at_ms),
        ..record(at_ms, tenant, user)
    }
}

/// A plain record of a user.
pub fn record(at_ms: u64, tenant: &str, user: &str) -> Record {
    Record {
        id: RequestId::new(at_ms),
        at_ms,
        trace_id: 7,
        tenant: tenant.into(),
        key_id: "k1".into(),
        user: Some(user.to_owned()),
        operation: "chat_completions",
        model: "chat".into(),
        route: Some("chat".into()),
        target: Some("openai/gpt-5-mini".into()),
        served_model: Some("gpt-5-mini-2025-08-07".into()),
        stream: true,
        attempts: vec![Attempt {
            target: "openai/gpt-5-mini".into(),
            fault: None,
            status: None,
            ms: 320.0,
        }],
        outcome: Outcome::Done,
        status: 200,
        finish_reason: Some("stop"),
        usage: Usage {
            input: 100,
            output: 50,
            source: UsageSource::Provider,
            ..Usage::default()
        },
        cost_nano: Some(125_000),
        ttft_ms: Some(350.5),
        upstream_ttft_ms: Some(320.0),
        total_ms: 1_200.25,
        overhead_ms: Some(0.75),
        choices: 1,
        ..Record::default()
    }
}

/// Its text, read and kept.
pub fn prompt(system: &str, question: &str, answer: &str) -> Prompt {
    let mut said = Transcript::default();
    said.on_event(&ChatEvent::Text {
        choice: 0,
        text: answer.to_owned(),
        logprobs: None,
    });
    let body = serde_json::json!({ "messages": [
        { "role": "system", "content": system }, { "role": "user", "content": question } ] });
    let texts = Texts {
        operation: Some(Operation::ChatCompletions),
        request: Bytes::from(body.to_string()),
        answer: said,
    };
    Prompt::read(&texts, Kept::Whole)
}

pub fn entry(record: Record, prompt: Option<Prompt>) -> Entry {
    Entry {
        record: Box::new(record),
        prompt,
    }
}

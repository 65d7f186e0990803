//! What the simulation answers.

use super::{input_tokens, last_user_text, schema, text_of, tokens, words};
use aplomb_core::conversation::{Conversation, OutputFormat, Part, Reasoning, Role, ToolChoice};
use aplomb_core::event::{ChatEvent, FinishReason, Start};
use aplomb_core::usage::{Usage, UsageSource};
use serde_json::{Map, Value, json};

/// All events of one answer, in order.
pub fn events(conversation: &Conversation, model: &str, seed: u64) -> Vec<ChatEvent> {
    let mut extra = Map::new();
    extra.insert("system_fingerprint".into(), "simulated".into());
    let start = Start {
        id: format!("chatcmpl-practice-{seed:016x}"),
        model: model.to_owned(),
        created: 0,
        extra,
    };
    let mut out = vec![ChatEvent::Start(start)];
    let mut usage = Usage {
        input: input_tokens(conversation),
        source: UsageSource::Provider,
        ..Usage::default()
    };
    for choice in 0..conversation.choices.clamp(1, 128) {
        let mut turn = Turn {
            conversation,
            random: fastrand::Rng::with_seed(seed.wrapping_add(u64::from(choice))),
            choice,
            left: conversation.max_output_tokens.unwrap_or(u64::MAX),
            spent: 0,
            out: &mut out,
        };
        usage.reasoning += turn.reason();
        turn.answer();
        usage.output += turn.spent;
    }
    out.push(ChatEvent::Usage(usage));
    out
}

struct Turn<'a> {
    conversation: &'a Conversation,
    random: fastrand::Rng,
    choice: u32,
    /// Output tokens that may still be sent.
    left: u64,
    spent: u64,
    out: &'a mut Vec<ChatEvent>,
}

impl Turn<'_> {
    fn spend(&mut self, count: u64) -> bool {
        if count > self.left {
            return false;
        }
        self.left -= count;
        self.spent += count;
        true
    }

    /// Reasoning text, where it was asked for. Gives its tokens.
    fn reason(&mut self) -> u64 {
        let wanted = match &self.conversation.reasoning {
            None => false,
            Some(Reasoning::Effort(effort)) => effort != "none",
            Some(Reasoning::Budget(_) | Reasoning::Adaptive) => true,
        };
        if !wanted {
            return 0;
        }
        let choice = self.choice;
        let before = self.spent;
        for text in
            words::pieces("Simulated reasoning: the question is read, an answer is planned.")
        {
            if !self.spend(1) {
                break;
            }
            self.out.push(ChatEvent::Reasoning { choice, text });
        }
        let signature = format!("practice-signature-{:016x}", self.random.u64(..));
        self.out
            .push(ChatEvent::ReasoningSignature { choice, signature });
        self.spent - before
    }

    fn answer(&mut self) {
        let calls = self.tools_to_call();
        let reason = if calls.is_empty() {
            let text = self.text();
            self.say(&text)
        } else {
            self.call(&calls)
        };
        self.out.push(ChatEvent::Finish {
            choice: self.choice,
            reason,
        });
    }

    /// Names of the tools to call in this turn.
    fn tools_to_call(&self) -> Vec<String> {
        let conversation = self.conversation;
        let Some(first) = conversation.tools.first() else {
            return Vec::new();
        };
        let last = conversation.messages.last();
        let has_results = last.is_some_and(|turn| {
            turn.parts
                .iter()
                .any(|part| matches!(part, Part::ToolResult { .. }))
        });
        match &conversation.tool_choice {
            Some(ToolChoice::None) => Vec::new(),
            Some(ToolChoice::Named(name)) => vec![name.clone()],
            None | Some(ToolChoice::Auto) if has_results => Vec::new(),
            None | Some(ToolChoice::Auto | ToolChoice::Required) => {
                let several = last_user_text(conversation)
                    .to_lowercase()
                    .contains("parallel")
                    && conversation.parallel_tool_calls != Some(false);
                let count = if several { conversation.tools.len() } else { 1 };
                let names = conversation
                    .tools
                    .iter()
                    .take(count)
                    .map(|tool| tool.name.clone());
                if count == 1 {
                    vec![first.name.clone()]
                } else {
                    names.collect()
                }
            }
        }
    }

    fn call(&mut self, names: &[String]) -> FinishReason {
        let choice = self.choice;
        for (tool, name) in (0u32..).zip(names) {
            let known = self
                .conversation
                .tools
                .iter()
                .find(|tool| tool.name == *name);
            let parameters = known
                .map(|tool| tool.parameters.clone())
                .unwrap_or_default();
            let arguments = schema::value_for(&json!({ "type": "object" }), &mut self.random);
            let arguments = if parameters.is_object() {
                schema::value_for(&parameters, &mut self.random)
            } else {
                arguments
            };
            let arguments = if arguments.is_object() {
                arguments
            } else {
                json!({})
            };
            let id = format!(
                "call_{:016x}{:08x}",
                self.random.u64(..),
                self.random.u32(..)
            );
            if !self.spend(tokens(name)) {
                return FinishReason::Length;
            }
            self.out.push(ChatEvent::ToolStart {
                choice,
                tool,
                id,
                name: name.clone(),
            });
            for fragment in words::pieces(&arguments.to_string()) {
                if !self.spend(1) {
                    return FinishReason::Length;
                }
                self.out.push(ChatEvent::ToolArguments {
                    choice,
                    tool,
                    fragment,
                });
            }
        }
        FinishReason::ToolCalls
    }

    fn text(&mut self) -> String {
        match &self.conversation.output_format {
            OutputFormat::JsonSchema { schema, .. } => {
                return schema::value_for(schema, &mut self.random).to_string();
            }
            OutputFormat::JsonObject => {
                return json!({ "simulated": true, "answer": words::NOTICE }).to_string();
            }
            OutputFormat::Text => {}
        }
        let asked = last_user_text(self.conversation);
        if let Some((_, wanted)) = asked.split_once("echo:") {
            return wanted.trim_start_matches(' ').to_owned();
        }
        if let Some(results) = self.tool_results() {
            let head: String = results.chars().take(80).collect();
            return format!("{} The tool answered: {head}", words::NOTICE);
        }
        let count = self.random.usize(1..6);
        let mut text = words::text(asked.split_whitespace().count(), count, &mut self.random);
        if asked.to_lowercase().contains("code") {
            text.push_str("\n```python\nprint(\"simulated\")\n```\n");
        }
        text
    }

    fn tool_results(&self) -> Option<String> {
        let last = self
            .conversation
            .messages
            .last()
            .filter(|turn| turn.role == Role::User)?;
        last.parts
            .iter()
            .any(|part| matches!(part, Part::ToolResult { .. }))
            .then(|| text_of(&last.parts))
    }

    /// Sends a text piece by piece, up to a stop sequence or the bound on tokens.
    fn say(&mut self, text: &str) -> FinishReason {
        let stop = self
            .conversation
            .stop
            .iter()
            .filter(|stop| !stop.is_empty());
        let cut = stop
            .filter_map(|stop| text.find(stop.as_str()).map(|at| (at, stop.clone())))
            .min();
        let said = cut
            .as_ref()
            .and_then(|(at, _)| text.get(..*at))
            .unwrap_or(text);
        for piece in words::pieces(said) {
            if !self.spend(1) {
                return FinishReason::Length;
            }
            let logprobs = self
                .conversation
                .logprobs
                .map(|top| logprobs(&piece, top, &mut self.random));
            self.out.push(ChatEvent::Text {
                choice: self.choice,
                text: piece,
                logprobs,
            });
        }
        cut.map_or(FinishReason::Stop, |(_, stop)| {
            FinishReason::StopSequence(Some(stop))
        })
    }
}

fn logprobs(token: &str, top: u32, random: &mut fastrand::Rng) -> Value {
    let entry = |token: &str, logprob: f64| json!({ "token": token, "logprob": logprob, "bytes": token.as_bytes() });
    let sure = -random.f64() / 4.0;
    let others = (0..top).map(|rank| {
        if rank == 0 {
            entry(token, sure)
        } else {
            entry("…", sure - f64::from(rank))
        }
    });
    let mut first = entry(token, sure);
    if let Value::Object(members) = &mut first {
        members.insert("top_logprobs".into(), others.collect());
    }
    json!({ "content": [first], "refusal": null })
}

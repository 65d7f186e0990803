//! Suites of `aplomb eval run`: questions, who is asked, and what is looked at. The comments on the fields are their
//! reference documentation.

use crate::check;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::scalar::{Span, Usd};
use crate::yaml;
use aplomb_core::money::NanoUsd;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest suite and file of cases, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// One suite.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Suite {
    /// Who is asked: routes or `provider/model`. The first is what others are compared with.
    #[schemars(length(max = 16))]
    pub targets: Vec<String>,
    /// Questions.
    pub cases: Vec<SuiteCase>,
    /// Further questions: a file of JSON Lines beside this one, each line a case.
    pub cases_file: Option<PathBuf>,
    /// Checks without a model: `empty`, `refusal`, `length`, `repetition`, `language_match`.
    pub rules: Vec<String>,
    /// Who judges: `provider/model` or a route.
    pub judge: Option<String>,
    /// What the judge is asked: `relevance`, `groundedness`, `helpfulness`, `correctness` (against the `reference`), `refusal`, `toxicity`, or a statement of several words.
    #[schemars(length(max = 16))]
    pub rubrics: Vec<String>,
    /// Most money for answers and verdicts together. Default `1 USD`.
    pub budget: Usd,
    /// Questions under way at a time. Default 4.
    #[schemars(range(min = 1, max = 64))]
    pub concurrency: u32,
    /// Most output tokens of an answer and of a verdict, reasoning included. Default 1024.
    #[schemars(range(min = 1, max = 65536))]
    pub max_output_tokens: u64,
    /// Longest wait for an answer and for a verdict. Default `120s`.
    pub timeout: Span,
    /// Requests a month, for the saving. Default: the traffic of the route where cases come from traffic.
    pub requests_a_month: Option<u64>,
}

impl Default for Suite {
    fn default() -> Self {
        Suite {
            targets: Vec::new(),
            cases: Vec::new(),
            cases_file: None,
            rules: Vec::new(),
            judge: None,
            rubrics: Vec::new(),
            budget: Usd(NanoUsd(NanoUsd::PER_USD)),
            concurrency: 4,
            max_output_tokens: 1024,
            timeout: Span(Duration::from_secs(120)),
            requests_a_month: None,
        }
    }
}

/// One question.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SuiteCase {
    /// Its name. Default: its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Instructions before the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the user writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// A conversation instead of a `prompt`; its last message is the user's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<SuiteMessage>,
    /// A good answer. The judge sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// All of these must stand in the answer; upper and lower case are alike.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contains: Vec<String>,
    /// None of these may stand in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// The answer must be this text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// The answer must be JSON.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub json: bool,
    /// Route that the text comes from: its privacy rules hold for every target and for the judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_route: Option<String>,
    /// For people: where it comes from, what was wrong. Nobody is asked about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One message of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuiteMessage {
    /// `user` or `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Suite {
    /// Reads a suite and its file of cases.
    ///
    /// # Errors
    /// All that is wrong, with line and reason.
    pub fn load(path: &Path) -> Result<Suite, Diagnostics> {
        let name = path.display().to_string();
        let text = read(path).map_err(|why| one(&name, why))?;
        let mut suite = Suite::parse(&text, &name)?;
        if let Some(file) = &suite.cases_file {
            let path = path.parent().unwrap_or(Path::new("")).join(file);
            let more = cases(&path)?;
            suite.cases.extend(more);
        }
        Ok(suite)
    }

    /// Reads a suite from text. `name` is used in messages.
    ///
    /// # Errors
    /// All that is wrong, with line and reason.
    pub fn parse(text: &str, name: &str) -> Result<Suite, Diagnostics> {
        let tree = yaml::parse(text).map_err(|errors| Diagnostics::new(name, errors))?;
        let schema = schemars::schema_for!(Suite).to_value();
        let errors = check::check(&tree, &schema);
        if !errors.is_empty() {
            return Err(Diagnostics::new(name, errors));
        }
        let map = tree.source_map();
        let suite: Suite =
            serde_json::from_value(tree.to_json(&schema)).map_err(|error| one(name, error))?;
        let wrong: Vec<Diagnostic> = suite
            .cases
            .iter()
            .enumerate()
            .filter_map(|(at, case)| Some((at, case.wrong()?)))
            .map(|(at, why)| Diagnostic::error(format!("cases[{at}]"), why).placed(&map))
            .collect();
        if wrong.is_empty() {
            Ok(suite)
        } else {
            Err(Diagnostics::new(name, wrong))
        }
    }
}

impl SuiteCase {
    /// What is wrong with it by itself.
    fn wrong(&self) -> Option<&'static str> {
        match (&self.prompt, self.messages.as_slice()) {
            (None, []) => Some("needs a `prompt` or `messages`"),
            (Some(_), [_, ..]) => Some("has a `prompt` and `messages`: one is enough"),
            (None, messages) => {
                let known = |message: &SuiteMessage| matches!(&*message.role, "user" | "assistant");
                let all = messages.iter().all(known);
                let last = messages.last().is_some_and(|last| last.role == "user");
                (!all || !last).then_some(
                    "roles are `user` and `assistant`, and the last message is the user's",
                )
            }
            (Some(_), []) => None,
        }
    }
}

fn one(name: &str, why: impl std::fmt::Display) -> Diagnostics {
    Diagnostics::new(name, vec![Diagnostic::error("", why.to_string())])
}

fn read(path: &Path) -> Result<String, String> {
    let too_large = std::fs::metadata(path).is_ok_and(|meta| meta.len() > FILE_BYTES_MAX);
    if too_large {
        return Err("the file is larger than 64 MiB".to_owned());
    }
    std::fs::read_to_string(path).map_err(|error| format!("can't be read: {error}"))
}

/// Cases of a file of JSON Lines.
fn cases(path: &Path) -> Result<Vec<SuiteCase>, Diagnostics> {
    let name = path.display().to_string();
    let text = read(path).map_err(|why| one(&name, why))?;
    let (mut cases, mut wrong) = (Vec::new(), Vec::new());
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = crate::diagnostic::Place {
            line: at + 1,
            column: 1,
        };
        let mut note = |why: String| wrong.push(Diagnostic::error("", why).at(place));
        match serde_json::from_str::<SuiteCase>(line) {
            Err(error) => note(error.to_string()),
            Ok(case) => match case.wrong() {
                Some(why) => note(why.to_owned()),
                None => cases.push(case),
            },
        }
    }
    if wrong.is_empty() {
        Ok(cases)
    } else {
        Err(Diagnostics::new(&name, wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_read_with_their_defaults() {
        let text = "targets: [chat, up/small]\njudge: up/large\nrubrics: [relevance]\ncases:\n  - prompt: \"2+2?\"\n    contains: [\"4\"]\n\
                    \x20 - messages: [{ role: user, content: Hi }]\n";
        let suite = Suite::parse(text, "suite.yaml").unwrap();
        assert_eq!(
            (suite.targets.len(), suite.cases.len(), suite.concurrency),
            (2, 2, 4)
        );
        assert_eq!(suite.budget.to_string(), "1 USD");
        assert_eq!(suite.cases[0].contains, ["4"]);
    }

    #[test]
    fn errors_have_a_line_and_a_reason() {
        let wrong = |text: &str| Suite::parse(text, "s.yaml").unwrap_err().to_string();
        let text = "targets: [chat]\ncases:\n  - prompt: x\n  - { id: b }\n  - { promt: y }\n";
        let said = wrong(text);
        assert!(
            said.contains("s.yaml:5:") && said.contains("promt"),
            "{said}"
        );
        let said = wrong("cases:\n  - prompt: x\n  - { id: b }\n");
        assert!(
            said.contains("s.yaml:3:") && said.contains("needs a `prompt`"),
            "{said}"
        );
        assert!(wrong("budget: much\n").contains("expected an amount"));
        assert!(wrong("concurrency: 0\n").contains("at least 1"));
        let folder = std::env::temp_dir().join(format!("aplomb-suite-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("suite.yaml");
        std::fs::write(&file, "cases_file: cases.jsonl\n").unwrap();
        std::fs::write(
            folder.join("cases.jsonl"),
            "{\"prompt\":\"a\"}\n\n{\"prompt\":1}\n",
        )
        .unwrap();
        let said = Suite::load(&file).unwrap_err().to_string();
        assert!(said.contains("cases.jsonl:3:"), "{said}");
        std::fs::write(folder.join("cases.jsonl"), "{\"prompt\":\"a\"}\n").unwrap();
        assert_eq!(Suite::load(&file).unwrap().cases.len(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

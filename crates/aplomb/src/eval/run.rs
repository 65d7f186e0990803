//! `aplomb eval run`: a suite or recorded traffic against routes and models.

use super::{Folder, table, traffic};
use crate::cli::{CasesFrom, ConfigArgs, EvalRunArgs};
use crate::keys::hasher;
use crate::load::Origin;
use crate::output::{Failure, error_line, line};
use crate::serve::runtime;
use aplomb_config::secret::ProcessEnvironment;
use aplomb_config::suite::{Suite, SuiteCase};
use aplomb_core::ask::Ask;
use aplomb_core::clock::SystemClock;
use aplomb_core::money::NanoUsd;
use aplomb_engines::tasks::Tasks;
use aplomb_observe::evals::batch::{self, Case, Expect, Row, Runner, Target, compare};
use aplomb_observe::evals::online::{Judge, Recorded};
use aplomb_observe::evals::rubric::Rubric;
use aplomb_observe::evals::rules::{Length, Rule};
use aplomb_pipeline::asker::Asker;
use aplomb_pipeline::policy::Policy;
use aplomb_pipeline::state::State;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// Longer than any run: it ends by its cases and its budget.
const FOREVER: Duration = Duration::from_secs(30 * 86_400);

/// Plays and compares.
///
/// # Errors
/// What is wrong with the suite, or a score beyond its bound.
pub fn run(config: &ConfigArgs, args: &EvalRunArgs) -> Result<(), Failure> {
    let suite = suite(args)?;
    let bounds = bounds(args)?;
    let (cases, monthly) = cases(config, args, &suite)?;
    let concurrency = suite.concurrency;
    let plan = plan(args, suite, cases)?;
    let cases = plan.cases.len();
    let runner = play(config, plan, concurrency)?;
    let results = runner.results();
    let rows = compare(&results, monthly);
    if args.json {
        let played = cases - results.skipped;
        line(
            &json!({ "cases": played, "skipped": results.skipped, "requests_a_month": monthly, "targets": rows })
                .to_string(),
        );
    } else {
        table::print(&rows, cases - results.skipped, monthly);
    }
    if results.skipped > 0 {
        error_line(&format!(
            "the budget is used up: {} of {cases} cases were not played; see --budget",
            results.skipped
        ));
    }
    held(&rows, &bounds)
}

/// The suite of the file, with what the arguments say.
fn suite(args: &EvalRunArgs) -> Result<Suite, Failure> {
    let mut suite = match &args.suite {
        Some(path) => Suite::load(path).map_err(Failure::wrong)?,
        None => Suite::default(),
    };
    suite.targets.extend(args.against.iter().cloned());
    suite.rules.extend(args.rules.iter().cloned());
    suite.rubrics.extend(args.rubrics.iter().cloned());
    suite.judge = args.judge.clone().or(suite.judge);
    suite.budget = args.budget.unwrap_or(suite.budget);
    suite.requests_a_month = args.requests_a_month.or(suite.requests_a_month);
    if suite.judge.is_some() && suite.rubrics.is_empty() {
        suite.rubrics = vec!["relevance".into(), "helpfulness".into()];
    }
    if suite.judge.is_none() && !suite.rubrics.is_empty() {
        return Err(Failure::wrong("rubrics need a judge: see --judge"));
    }
    if suite.targets.is_empty() {
        return Err(Failure::wrong(
            "nobody to ask: name `targets` in the suite, or --against MODEL",
        ));
    }
    Ok(suite)
}

/// Cases, and requests a month where that is known.
fn cases(
    config: &ConfigArgs,
    args: &EvalRunArgs,
    suite: &Suite,
) -> Result<(Vec<Case>, Option<f64>), Failure> {
    let given = suite.requests_a_month;
    // Exact up to 2^53 requests a month.
    let monthly = given.map(|n| n as f64);
    if args.from == Some(CasesFrom::Traffic) {
        let Some(route) = &args.route else {
            return Err(Failure::wrong("whose traffic? see --route"));
        };
        let folder = Folder::open(config)?;
        let cases = traffic::cases(&folder, route, args.since.0, args.limit)?;
        let found = traffic::monthly(&folder, route, args.since.0)?;
        return Ok((cases, monthly.or(Some(found))));
    }
    if suite.cases.is_empty() {
        return Err(Failure::wrong(
            "nothing to ask: the suite has no cases; or see --from traffic",
        ));
    }
    let numbered = suite.cases.iter().enumerate();
    let cases = numbered.map(|(at, case)| written(at, case)).collect();
    Ok((cases, monthly))
}

/// A case as it stands in a suite.
fn written(at: usize, case: &SuiteCase) -> Case {
    let messages = match &case.prompt {
        Some(prompt) => json!([{ "role": "user", "content": prompt }]),
        None => json!(case.messages),
    };
    Case {
        recorded: Recorded {
            id: case.id.clone().unwrap_or_else(|| (at + 1).to_string()),
            route: case.from_route.clone().unwrap_or_default(),
            system: case.system.clone().unwrap_or_default(),
            messages: messages.to_string(),
            ..Recorded::default()
        },
        reference: case.reference.clone(),
        expect: Expect {
            contains: case.contains.clone(),
            lacks: case.lacks.clone(),
            equals: case.equals.clone(),
            json: case.json,
        },
        history: None,
    }
}

fn plan(args: &EvalRunArgs, suite: Suite, cases: Vec<Case>) -> Result<batch::Suite, Failure> {
    let rule = |name: &String| {
        Rule::parse(name, Length::default()).ok_or_else(|| {
            let known = Rule::NAMES.join(", ");
            Failure::wrong(format!("`{name}` is no rule: expected one of {known}"))
        })
    };
    let rubric = |text: &String| Rubric::parse(text).map_err(Failure::wrong);
    let rubrics = suite.rubrics.iter().map(rubric).collect::<Result<_, _>>()?;
    let models = suite.targets.into_iter().map(Target::Model);
    let recorded = (args.from == Some(CasesFrom::Traffic)).then_some(Target::Recorded);
    Ok(batch::Suite {
        targets: recorded.into_iter().chain(models).collect(),
        cases,
        rules: suite.rules.iter().map(rule).collect::<Result<_, _>>()?,
        judge: suite.judge.map(|model| Judge {
            model,
            rubrics,
            limit: NanoUsd::MAX,
            window_ms: 0,
            timeout: suite.timeout.0,
            max_output_tokens: suite.max_output_tokens,
        }),
        budget: suite.budget.0,
        max_output_tokens: suite.max_output_tokens,
        timeout: suite.timeout.0,
    })
}

/// Asks the configuration's providers from this process.
fn play(config: &ConfigArgs, plan: batch::Suite, concurrency: u32) -> Result<Arc<Runner>, Failure> {
    let origin = Origin::of(config);
    let (parsed, _) = origin.read().map_err(Failure::wrong)?;
    let server = &parsed.file.server;
    let fail = |error: std::io::Error| Failure::wrong(format!("server.data_dir: {error}"));
    std::fs::create_dir_all(&server.data_dir).map_err(fail)?;
    let hasher = hasher(server, &origin.base_dir()).map_err(Failure::wrong)?;
    let state = State::new(Arc::new(SystemClock), Arc::default(), None);
    let state = Arc::new(state.with_placeholder_key(&hasher.derive("placeholders")));
    let policy = origin
        .build(&parsed, &ProcessEnvironment, &state)
        .map_err(Failure::wrong)?;
    known(&policy, &plan, &state)?;
    let policy = Arc::new(policy);
    let asker = Asker::new(Box::new(move || policy.clone()), state);
    let ask: Arc<dyn Ask> = Arc::new(asker);
    let runner = Arc::new(Runner::new(plan, ask));
    runtime()?.block_on(async {
        let tasks = Tasks::default();
        for _ in 0..concurrency {
            tasks.spawn(runner.clone().work());
        }
        tasks.wait(FOREVER).await;
    });
    Ok(runner)
}

/// A target that does not exist is an error before anybody is asked.
fn known(policy: &Policy, plan: &batch::Suite, state: &State) -> Result<(), Failure> {
    let targets = plan.targets.iter().filter_map(|target| match target {
        Target::Recorded => None,
        Target::Model(name) => Some(name),
    });
    for name in targets.chain(plan.judge.as_ref().map(|judge| &judge.model)) {
        let provider = name.split_once('/').map(|(provider, _)| provider);
        let direct = provider.is_some_and(|provider| policy.providers.contains_key(provider));
        if !direct {
            policy
                .resolve(name, &state.metrics)
                .map_err(Failure::wrong)?;
        }
    }
    Ok(())
}

/// A bound of a score that a run must hold.
struct Bound {
    rubric: String,
    value: f64,
    least: bool,
}

fn bounds(args: &EvalRunArgs) -> Result<Vec<Bound>, Failure> {
    let read = |text: &String, least: bool| {
        let (rubric, value) = text.split_once('=').unwrap_or((text, ""));
        let value: Option<f64> = value.trim().parse().ok();
        let value = value.filter(|value| (0.0..=1.0).contains(value));
        value
            .map(|value| Bound {
                rubric: rubric.trim().to_owned(),
                value,
                least,
            })
            .ok_or_else(|| {
                Failure::wrong(format!("`{text}`: expected a bound such as relevance=0.7"))
            })
    };
    let least = args.min.iter().map(|text| read(text, true));
    let most = args.max.iter().map(|text| read(text, false));
    least.chain(most).collect()
}

/// Whether all asked targets hold all bounds.
fn held(rows: &[Row], bounds: &[Bound]) -> Result<(), Failure> {
    let mut broken = Vec::new();
    for row in rows
        .iter()
        .filter(|row| row.target != Target::Recorded.name())
    {
        for bound in bounds {
            let cell = row.scores.iter().find(|cell| cell.rubric == bound.rubric);
            let Some(score) = cell.and_then(|cell| cell.score) else {
                broken.push(format!("{}: no score of {}", row.target, bound.rubric));
                continue;
            };
            let (holds, words) = if bound.least {
                (score.mean >= bound.value, "below")
            } else {
                (score.mean <= bound.value, "above")
            };
            if !holds {
                broken.push(format!(
                    "{}: {} is {:.3}, {words} {}",
                    row.target, bound.rubric, score.mean, bound.value
                ));
            }
        }
    }
    if broken.is_empty() {
        Ok(())
    } else {
        Err(Failure::wrong(broken.join("\n")))
    }
}

//! How limits stand for somebody who asks, and why a request was limited.

use super::tell::{told, unit};
use super::{Limit, Limits, Segment, Standing, Who};
use crate::limits::need::Need;
use crate::state::State;
use aplomb_config::limits::{ExceedConfig, FieldConfig, ScopeConfig};
use aplomb_limits::rule::{Meter, Window};
use aplomb_limits::trust::Level;
use aplomb_limits::verdict;
use serde_json::{Value, json};
use std::time::Duration;

/// Whose limits.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// Public id of the key; empty without one.
    pub key: &'a str,
    /// The end user.
    pub user: Option<&'a str>,
    /// The conversation.
    pub session: Option<&'a str>,
    /// For requests that ask for this model; none: for all of them.
    pub model: Option<&'a str>,
    /// The route of that model.
    pub route: Option<&'a str>,
}

fn ms(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |time| {
        u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into()
    })
}

impl Limit {
    /// Whether it goes by the model that is asked for.
    fn needs_model(&self) -> bool {
        let mut per = self.per.iter();
        let mut when = self.when.iter();
        per.any(|scope| matches!(scope, ScopeConfig::Model | ScopeConfig::Route))
            || when.any(|one| matches!(one.field, FieldConfig::Model | FieldConfig::Route))
    }

    /// Whether it may hold for users of a plan, whoever they are and whatever they ask for.
    fn may_hold(&self, own: &Standing) -> bool {
        let same = |value: &str, wanted: &str| super::fits(wanted, value);
        self.when.iter().all(|condition| match condition.field {
            FieldConfig::Plan => {
                let is = own
                    .plan
                    .as_ref()
                    .is_some_and(|plan| same(plan, &condition.value));
                is == condition.is
            }
            FieldConfig::Segment if Level::parse(&condition.value).is_none() => {
                let mut segments = own.segments.iter();
                segments.any(|segment| same(segment, &condition.value)) == condition.is
            }
            // A budget of another tenant is nobody else's.
            FieldConfig::Tenant => !condition.is,
            FieldConfig::Segment
            | FieldConfig::User
            | FieldConfig::Key
            | FieldConfig::Via
            | FieldConfig::Model
            | FieldConfig::Route => true,
        })
    }

    fn on_exceed(&self) -> String {
        match &self.on_exceed {
            ExceedConfig::Reject => "reject".to_owned(),
            ExceedConfig::Queue(wait) => format!("queue {} s", wait.as_secs()),
            ExceedConfig::Downgrade(model) => format!("downgrade to {model}"),
        }
    }

    fn shown(&self, standing: &verdict::Standing) -> Value {
        let meter = self.rule.meter;
        json!({
            "rule": &*self.rule.name, "text": self.text, "unit": unit(meter),
            "limit": told(meter, standing.limit), "used": told(meter, standing.level.used),
            "remaining": told(meter, standing.remaining()),
            "room_again_ms": ms(standing.level.next), "all_again_ms": ms(standing.level.full),
            "window": match &self.rule.window {
                Window::Sliding(ms) => json!({ "sliding_ms": ms }),
                Window::Calendar(_) => json!("calendar"),
                Window::Lifetime => json!("lifetime"),
                Window::Concurrent => json!("concurrent"),
            },
            "mode": if self.rule.shadow { "shadow" } else { "enforce" },
            "on_exceed": self.on_exceed(),
        })
    }
}

impl Limits {
    /// How all limits stand that hold for somebody. Rules that go by the model are listed as lines where none
    /// is said, those that go by the address always.
    pub async fn explain(&self, state: &State, asked: &Asked<'_>) -> Value {
        let who = Who {
            tenant: asked.tenant,
            key: asked.key,
            user: asked.user,
            session: asked.session,
            model: asked.model.unwrap_or_default(),
            route: asked.route,
            host: None,
            subnet: None,
            linked: false,
            quarantined: false,
        };
        let own = self.standing_with(&who, |terms, given| state.trusted_now(&who, terms, given));
        let known = |limit: &&Limit| {
            (asked.model.is_some() || !limit.needs_model()) && !limit.needs_place()
        };
        let (numbered, other): (Vec<&Limit>, Vec<&Limit>) = self.all.iter().partition(known);
        let holds: Vec<&Limit> = numbered
            .into_iter()
            .filter(|limit| limit.holds(&who, &own))
            .collect();
        let need = Need::default();
        let asks: Vec<_> = holds
            .iter()
            .map(|limit| limit.ask((&who, &own), &state.limit_keys, &need))
            .collect();
        let standings = state.limits_stand(&asks).await;
        let limits = holds.iter().zip(&standings);
        let limits: Vec<Value> = limits
            .map(|(limit, standing)| limit.shown(standing))
            .collect();
        let other: Vec<&str> = other.iter().map(|limit| limit.text.as_str()).collect();
        json!({
            "tenant": asked.tenant, "user": asked.user, "model": asked.model,
            "plan": own.plan, "segments": own.segments.iter().map(|one| &**one).collect::<Vec<_>>(),
            "multiplier": multiplier(&own), "trust": trust(&own),
            "may_ask": asked.model.map(|model| self.may_ask(model, &own).is_ok()),
            "limits": limits, "by_model": other,
        })
    }

    /// What each plan has: its segments, its models, and what its users are let have under every rule that may hold for them.
    pub fn plans(&self) -> Vec<Value> {
        let mut names: Vec<&String> = self.plans.keys().collect();
        names.sort();
        let one = |name: &String| {
            let of = |segment: &&Segment| segment.plans.iter().any(|plan| plan == name);
            let segments: Vec<&Segment> = self.segments.iter().filter(of).collect();
            let own = Standing {
                plan: Some(name.clone()),
                segments: segments.iter().map(|one| one.name.clone()).collect(),
                multiplier: segments.iter().map(|one| one.multiplier).product(),
                trust: None,
            };
            let holds = self.all.iter().filter(|limit| limit.may_hold(&own));
            let limits = holds.map(|limit| {
                json!({
                    "rule": &*limit.rule.name, "text": limit.text, "unit": unit(limit.rule.meter),
                    "limit": told(limit.rule.meter, limit.limit(&own)),
                    "mode": if limit.rule.shadow { "shadow" } else { "enforce" },
                })
            });
            json!({
                "plan": name, "segments": own.segments.iter().map(|one| &**one).collect::<Vec<_>>(),
                "models": self.plans.get(name), "multiplier": own.multiplier, "limits": limits.collect::<Vec<_>>(),
            })
        };
        names.into_iter().map(one).collect()
    }

    /// All rules as lines, with their names and meters.
    pub fn lines(&self) -> Vec<Value> {
        let one = |limit: &Limit| {
            json!({
                "rule": &*limit.rule.name, "text": limit.text, "unit": unit(limit.rule.meter),
                "limit": told(limit.rule.meter, limit.rule.limit),
                "mode": if limit.rule.shadow { "shadow" } else { "enforce" },
                "multiplied": limit.rule.meter != Meter::Cost,
            })
        };
        self.all.iter().map(one).collect()
    }
}

fn multiplier(own: &Standing) -> f64 {
    own.multiplier * own.trust.map_or(1.0, |trust| trust.multiplier)
}

fn trust(own: &Standing) -> Value {
    own.trust.map_or(Value::Null, |trust| {
        json!({ "level": trust.level.name(), "score": trust.score, "multiplier": trust.multiplier })
    })
}

//! Rules that can't work, and names in them that nothing else has.

use super::plans::TrustConfig;
use super::{
    CalendarUnit, ExceedConfig, FieldConfig, LimitRule, MeterConfig, ModeConfig, NAME_MAX,
    ScopeConfig, WindowConfig, names,
};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::file::ConfigFile;
use std::time::Duration;

/// Longest sliding window. Chosen: longer ones are periods of the calendar.
const WINDOW_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Longest wait for room. Chosen: nobody waits longer for the beginning of an answer.
const WAIT_MAX: Duration = Duration::from_secs(600);

pub(crate) fn sense(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let rules = &file.limits.0;
    if rules.is_empty() {
        found.push(Diagnostic::warning("limits", "nothing is limited"));
    }
    for (index, rule) in rules.iter().enumerate() {
        let mut sense = Sense {
            file,
            rule,
            path: format!("limits[{index}]"),
            found,
        };
        sense.name();
        sense.window();
        sense.contradictions();
        sense.meets();
    }
    plans(file, found);
    trust(file, found);
    providers(file, found);
    let tenants = file.tenants.iter().filter_map(|(tenant, config)| {
        let budget = config.budget.as_ref()?;
        Some((format!("tenants.{tenant}.budget"), &budget.0))
    });
    let cohort = file.protect.cohort.untrusted.iter();
    let cohort = cohort.map(|budget| ("protect.cohort.untrusted".to_owned(), &budget.0));
    for (path, rule) in tenants.chain(cohort) {
        let mut sense = Sense {
            file,
            rule,
            path,
            found,
        };
        sense.window();
        sense.contradictions();
    }
    let given: Vec<String> = rules.iter().filter_map(|rule| rule.id.clone()).collect();
    for (index, name) in names(rules).iter().enumerate() {
        let own = rules.get(index).and_then(|rule| rule.id.as_ref());
        if own.is_some_and(|own| own != name) {
            let message = format!("there is a rule `{}` already", own.unwrap_or(name));
            found.push(Diagnostic::error(format!("limits[{index}].id"), message));
        } else if own.is_none() && given.contains(name) {
            let message = format!("another rule is called `{name}`: give this one an `id`");
            found.push(Diagnostic::error(format!("limits[{index}]"), message));
        }
    }
}

/// Names of plans and segments, and the rules that plans hold.
fn plans(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let mut unknown = |path: String, what: &str, name: &str, known: Vec<&str>| {
        let suggestion = did_you_mean(name, known);
        let error = Diagnostic::error(path, format!("there is no {what} `{name}`"));
        found.push(error.suggest(suggestion));
    };
    let plan_names = || file.plans.keys().map(String::as_str).collect();
    let segment_names = || file.segments.keys().map(String::as_str).collect();
    for (tenant, config) in &file.tenants {
        if let Some(plan) = config
            .plan
            .as_ref()
            .filter(|plan| !file.plans.contains_key(*plan))
        {
            unknown(format!("tenants.{tenant}.plan"), "plan", plan, plan_names());
        }
    }
    for (name, segment) in &file.segments {
        let path = format!("segments.{name}");
        if let Some(plan) = segment
            .plan
            .as_ref()
            .filter(|plan| !file.plans.contains_key(*plan))
        {
            unknown(format!("{path}.plan"), "plan", plan, plan_names());
        }
        for (index, tenant) in segment.tenants.iter().enumerate() {
            if !file.tenants.contains_key(tenant) {
                let known = file.tenants.keys().map(String::as_str).collect();
                unknown(format!("{path}.tenants[{index}]"), "tenant", tenant, known);
            }
        }
    }
    for (name, plan) in &file.plans {
        if let Some(segment) = plan
            .segment
            .as_ref()
            .filter(|one| !file.segments.contains_key(*one))
        {
            unknown(
                format!("plans.{name}.segment"),
                "segment",
                segment,
                segment_names(),
            );
        }
    }
    for (name, plan) in &file.plans {
        let budget = plan
            .budget
            .iter()
            .map(|budget| ("budget".to_owned(), &budget.0));
        let limits = plan.limits.iter().enumerate();
        let limits = limits.map(|(index, rule)| (format!("limits[{index}]"), rule));
        for (member, rule) in budget.chain(limits) {
            let mut sense = Sense {
                file,
                rule,
                path: format!("plans.{name}.{member}"),
                found,
            };
            sense.name();
            sense.window();
            sense.contradictions();
            sense.meets();
        }
    }
}

/// Budgets of providers' keys.
fn providers(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    for (name, provider) in &file.providers {
        for rule in provider.budget.iter().flat_map(|budget| budget.rules()) {
            let mut sense = Sense {
                file,
                rule: &rule,
                path: format!("providers.{name}.budget.{}", rule.meter.name()),
                found,
            };
            sense.window();
            sense.contradictions();
        }
    }
}

/// Whether users have levels of trust.
pub(crate) fn has_trust(file: &ConfigFile) -> bool {
    file.karma.enabled || file.segments.values().any(|one| one.trust.is_some())
}

/// Segments that are levels of trust.
fn trust(file: &ConfigFile, found: &mut Vec<Diagnostic>) {
    let mut error = |path: String, message: String| found.push(Diagnostic::error(path, message));
    for (index, (name, segment)) in file.segments.iter().enumerate() {
        let path = format!("segments.{name}");
        let multiplier = segment.multiplier.unwrap_or(1.0);
        if !multiplier.is_finite() || !(0.0..=1000.0).contains(&multiplier) {
            let message = "expected a number from 0 to 1000".to_owned();
            error(format!("{path}.multiplier"), message);
        }
        let own = TrustConfig::ALL.iter().find(|level| level.name() == name);
        if let Some(level) = own.filter(|level| has_trust(file) && segment.trust != Some(**level)) {
            let message = format!(
                "`{name}` is a level of trust: say `trust: {}`, or give the segment another name",
                level.name()
            );
            error(path.clone(), message);
        }
        let leaves = segment.first.is_some() || segment.active_days.is_some();
        let level = segment.trust.filter(|_| !segment.names_users());
        if leaves && level != Some(TrustConfig::Quarantine) {
            let member = if segment.first.is_some() {
                "first"
            } else {
                "active_days"
            };
            let message = "belongs to a segment with `trust: quarantine` and no users of its own";
            error(format!("{path}.{member}"), message.to_owned());
        }
        let twice = file
            .segments
            .iter()
            .take(index)
            .find(|(_, other)| level.is_some() && other.trust == level && !other.names_users());
        if let Some((other, _)) = twice {
            let message = format!("`{other}` stands for this level of trust already");
            error(format!("{path}.trust"), message);
        }
    }
}

struct Sense<'a> {
    file: &'a ConfigFile,
    rule: &'a LimitRule,
    path: String,
    found: &'a mut Vec<Diagnostic>,
}

impl Sense<'_> {
    fn error(&mut self, member: &str, message: impl Into<String>) {
        self.suggest(member, message, None);
    }

    fn suggest(&mut self, member: &str, message: impl Into<String>, hint: Option<&str>) {
        let error = Diagnostic::error(format!("{}.{member}", self.path), message);
        self.found.push(error.suggest(hint.map(str::to_owned)));
    }

    fn name(&mut self) {
        let Some(id) = &self.rule.id else { return };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if id.is_empty() || id.len() > NAME_MAX || !id.bytes().all(legal) {
            let message = "a rule's id has 1 to 64 letters, digits, `.`, `_` or `-`";
            self.error("id", message);
        }
    }

    fn window(&mut self) {
        match &self.rule.window {
            WindowConfig::Sliding(span) if span.is_zero() => {
                let hint = "write a time such as `1m`, or `per lifetime`";
                self.suggest("window", "a window of no time counts nothing", Some(hint));
            }
            WindowConfig::Sliding(span) if *span > WINDOW_MAX => {
                let hint = "write `per year` or `per lifetime`";
                self.suggest("window", "a window is at most 366 days long", Some(hint));
            }
            WindowConfig::Calendar {
                unit,
                anchor: Some(anchor),
                ..
            } => {
                let (low, high, what) = match unit {
                    CalendarUnit::Day => (0, 23, "an hour"),
                    CalendarUnit::Week => (1, 7, "a day of the week"),
                    CalendarUnit::Month => (1, 28, "a day of every month"),
                    CalendarUnit::Year => (1, 12, "a month"),
                };
                if !(low..=high).contains(anchor) {
                    let message =
                        format!("the anchor of a {} is {what}, {low} to {high}", unit.name());
                    self.error("anchor", message);
                }
            }
            _ => {}
        }
    }

    /// Parts of a rule that exclude one another.
    fn contradictions(&mut self) {
        let rule = self.rule;
        let concurrent = rule.meter == MeterConfig::Concurrent;
        if rule.limit == 0 {
            let hint = "leave out the routes that a key may not use with `tenants.<name>.routes`";
            self.suggest("limit", "a limit of 0 lets nothing through", Some(hint));
        }
        match (&rule.window, concurrent) {
            (WindowConfig::Concurrent, true) => {}
            (_, true) => {
                let hint = "leave the window out, or count `requests`";
                self.suggest(
                    "window",
                    "what is in flight is counted at one time, not over a window",
                    Some(hint),
                );
            }
            (WindowConfig::Concurrent, false) => self.error("window", "`window` is missing"),
            _ => {}
        }
        if let Some(burst) = rule.burst {
            let sliding = matches!(rule.window, WindowConfig::Sliding(_));
            if !sliding || rule.meter == MeterConfig::Cost {
                let message = "a burst belongs to requests or tokens over a sliding window";
                self.error("burst", message);
            } else if burst == 0 || burst > rule.limit {
                let message = "a burst is at least 1 and at most the limit";
                self.error("burst", message);
            }
        }
        if rule.mode == ModeConfig::Shadow && rule.on_exceed != ExceedConfig::Reject {
            let hint = "leave out `on exceed`, or `shadow`";
            self.suggest(
                "mode",
                "a shadow rule only counts: nothing can happen on exceed",
                Some(hint),
            );
        }
        match &rule.on_exceed {
            ExceedConfig::Queue(wait) if wait.is_zero() => {
                let hint = "write `on exceed reject`";
                self.suggest("on_exceed", "a wait of no time is none", Some(hint));
            }
            ExceedConfig::Queue(wait) if *wait > WAIT_MAX => {
                self.error("on_exceed", "a request waits at most `10m`");
            }
            _ => {}
        }
    }

    /// Names that stand elsewhere in the file.
    fn meets(&mut self) {
        let file = self.file;
        if let ExceedConfig::Downgrade(model) = &self.rule.on_exceed {
            self.known("on_exceed", "route", model, file.routes.keys());
        }
        for condition in &self.rule.when {
            let value = &condition.value;
            if value.contains('*') {
                continue;
            }
            match condition.field {
                FieldConfig::Tenant if !file.tenants.is_empty() => {
                    self.known("where", "tenant", value, file.tenants.keys());
                }
                FieldConfig::Route => self.known("where", "route", value, file.routes.keys()),
                // Levels of trust are segments too, where there are any.
                FieldConfig::Segment
                    if has_trust(file)
                        && TrustConfig::ALL.iter().any(|level| level.name() == value) => {}
                FieldConfig::Segment
                    if value == crate::protect::LINKED && file.protect.accounts.enabled => {}
                FieldConfig::Segment => self.known("where", "segment", value, file.segments.keys()),
                FieldConfig::Plan => self.known("where", "plan", value, file.plans.keys()),
                FieldConfig::Via if !["key", "session"].contains(&value.as_str()) => {
                    let message =
                        format!("callers come in by `key` or by `session`, not `{value}`");
                    self.suggest("where", message, None);
                }
                FieldConfig::Tenant
                | FieldConfig::User
                | FieldConfig::Key
                | FieldConfig::Model
                | FieldConfig::Via => {}
            }
        }
        for scope in &self.rule.per {
            if *scope == ScopeConfig::ProviderKey {
                let message = "what a provider's key may be asked for stands with the provider";
                let hint =
                    "`providers.<name>.budget` says what each key of a provider may be asked for";
                self.suggest("per", message, Some(hint));
            }
        }
    }

    fn known<'n>(
        &mut self,
        member: &str,
        what: &str,
        name: &str,
        known: impl Iterator<Item = &'n String> + Clone,
    ) {
        if known.clone().any(|other| other == name) {
            return;
        }
        let suggestion = did_you_mean(name, known.map(String::as_str));
        let message = format!("there is no {what} `{name}`");
        let error = Diagnostic::error(format!("{}.{member}", self.path), message);
        self.found.push(error.suggest(suggestion));
    }
}

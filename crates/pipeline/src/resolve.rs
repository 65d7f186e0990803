//! From the model name that a client asks for to a route.

use crate::policy::{Direct, Listed, Policy, Recording, Route, default_timeouts};
use crate::target::{Manner, Offer};
use crate::validated::Checking;
use aplomb_core::error::{ApiError, ErrorCode};
use aplomb_observe::metrics::{DIRECT, Metrics};
use std::sync::Arc;

impl Policy {
    /// The route for a model name: a route of that name, a route with a fitting `*`, `provider/model`, or a bare name
    /// that exactly one provider lists.
    ///
    /// # Errors
    /// `ModelNotFound`, or that two providers list the name.
    pub fn resolve(&self, model: &str, metrics: &Metrics) -> Result<Arc<Route>, ApiError> {
        if let Some(route) = self.routes.get(model) {
            return Ok(route.clone());
        }
        if let Some(route) = self.by_pattern(model, metrics) {
            return Ok(route);
        }
        if model.ends_with('/') {
            return Err(not_found(model));
        }
        if let Some((provider, name)) = model.split_once('/')
            && let Some(listed) = self.providers.get(provider)
            && !name.is_empty()
        {
            return self.direct(listed, name, metrics);
        }
        self.by_bare_name(model, metrics)
    }

    /// A route to one provider for a model that none names.
    fn direct(
        &self,
        listed: &Listed,
        model: &str,
        metrics: &Metrics,
    ) -> Result<Arc<Route>, ApiError> {
        let Direct::Served(rules) = &self.direct else {
            let message = "models are reached by routes here: privacy policies belong to routes, and none is for all models";
            return Err(ApiError::new(ErrorCode::NotAllowed, message));
        };
        let targets = listed.offers(0, 1);
        Ok(Arc::new(Route {
            name: None,
            targets: targets
                .map(|offer| self.target(&offer, model, metrics))
                .collect(),
            timeouts: default_timeouts(),
            manner: Manner::default(),
            rules: rules.clone(),
            record: Recording::default(),
            checking: Checking::default(),
            cache: None,
            sharing: self.sharing.clone(),
            metrics: metrics.route(DIRECT),
        }))
    }

    fn by_pattern(&self, model: &str, metrics: &Metrics) -> Option<Arc<Route>> {
        let (pattern, star) = self.patterns.iter().find_map(|pattern| {
            let star = model
                .strip_prefix(pattern.head.as_str())?
                .strip_suffix(pattern.tail.as_str())?;
            Some((pattern, star))
        })?;
        let target = |(offer, model): &(Offer, String)| {
            self.target(offer, &model.replace('*', star), metrics)
        };
        Some(Arc::new(Route {
            name: Some(pattern.name.clone()),
            targets: pattern.targets.iter().map(target).collect(),
            timeouts: pattern.timeouts,
            manner: pattern.manner.clone(),
            rules: pattern.rules.clone(),
            record: pattern.record,
            checking: pattern.checking.clone(),
            cache: pattern.cache.clone(),
            sharing: pattern.sharing.clone(),
            metrics: pattern.metrics.clone(),
        }))
    }

    fn by_bare_name(&self, model: &str, metrics: &Metrics) -> Result<Arc<Route>, ApiError> {
        let serves = |name: &str, models: &[String]| {
            models.iter().any(|listed| listed == model) || aplomb_catalog::serves(name, model)
        };
        let mut found: Vec<_> = self
            .providers
            .iter()
            .filter(|(name, listed)| serves(name, &listed.models))
            .collect();
        found.sort_by_key(|(name, _)| name.as_str());
        match found.as_slice() {
            [(_, listed)] => self.direct(listed, model, metrics),
            [] => Err(not_found(model)),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|(name, _)| format!("`{name}/{model}`"))
                    .collect();
                Err(ApiError::invalid(
                    "model",
                    format!(
                        "several providers serve this model; ask for {}",
                        names.join(" or ")
                    ),
                ))
            }
        }
    }
}

fn not_found(model: &str) -> ApiError {
    let shown: String = model.chars().take(128).collect();
    let message = format!(
        "the model `{shown}` does not exist here: it is no route, no `provider/model`, and no provider lists it"
    );
    let mut error = ApiError::new(ErrorCode::ModelNotFound, message);
    error.param = Some("model".to_owned());
    error
}

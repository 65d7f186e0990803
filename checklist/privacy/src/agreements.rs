//! Which provider may see what: agreements as the operator states them, held against what a policy requires.

use std::time::Duration;

/// What is required of a provider. `Default` requires nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Region of processing.
    pub region: Option<String>,
    /// Must not train on the data.
    pub no_training: bool,
    /// Must keep nothing.
    pub zdr: bool,
    /// A data-processing agreement must be there.
    pub dpa: bool,
    /// Longest time of keeping.
    pub retention: Option<Duration>,
}

/// What a provider is known to have agreed to. What is not known satisfies nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Region of processing.
    pub region: Option<String>,
    /// Whether it trains on the data.
    pub trains: Option<bool>,
    /// Whether it keeps nothing.
    pub zdr: bool,
    /// Whether there is a data-processing agreement, or the provider is the operator.
    pub dpa: bool,
    /// How long it keeps data.
    pub retention: Option<Duration>,
}

impl Agreement {
    /// Whether nothing is required.
    pub fn is_empty(&self) -> bool {
        *self == Agreement::default()
    }

    /// Both requirements together; of two regions the other one's counts only where this has none.
    #[must_use]
    pub fn and(&self, other: &Agreement) -> Agreement {
        Agreement {
            region: self.region.clone().or_else(|| other.region.clone()),
            no_training: self.no_training || other.no_training,
            zdr: self.zdr || other.zdr,
            dpa: self.dpa || other.dpa,
            retention: match (self.retention, other.retention) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
        }
    }

    /// What a provider lacks, in words; `None` if it may see the data.
    pub fn lacking(&self, known: &Known) -> Option<String> {
        let mut lacks = Vec::new();
        if self.dpa && !known.dpa {
            lacks.push("has no data-processing agreement".to_owned());
        }
        if let Some(region) = &self.region
            && known.region.as_deref() != Some(region)
        {
            let where_ = known.region.as_deref().unwrap_or("an unknown region");
            lacks.push(format!("processes in {where_}, not in {region}"));
        }
        if self.no_training && known.trains != Some(false) {
            lacks.push(match known.trains {
                Some(_) => "trains on what it sees".to_owned(),
                None => "may train on what it sees: `trains` is not stated".to_owned(),
            });
        }
        if self.zdr && !known.zdr {
            lacks.push("keeps data".to_owned());
        }
        if let Some(longest) = self.retention {
            let keeps = if known.zdr {
                Some(Duration::ZERO)
            } else {
                known.retention
            };
            if keeps.is_none_or(|keeps| keeps > longest) {
                lacks.push("keeps data for longer, or it is not stated for how long".to_owned());
            }
        }
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_satisfies_nothing() {
        let require = Agreement {
            region: Some("eu".into()),
            no_training: true,
            dpa: true,
            ..Agreement::default()
        };
        let good = Known {
            region: Some("eu".into()),
            trains: Some(false),
            dpa: true,
            ..Known::default()
        };
        assert_eq!(require.lacking(&good), None);
        assert_eq!(Agreement::default().lacking(&Known::default()), None);
        let unknown = require.lacking(&Known::default()).unwrap();
        assert_eq!(unknown.matches(',').count(), 3, "{unknown}");
        for bad in [
            Known {
                region: Some("us".into()),
                ..good.clone()
            },
            Known {
                trains: None,
                ..good.clone()
            },
            Known {
                trains: Some(true),
                ..good.clone()
            },
            Known {
                dpa: false,
                ..good.clone()
            },
        ] {
            assert!(require.lacking(&bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn keeping_nothing_is_the_shortest_time() {
        let require = Agreement {
            retention: Some(Duration::from_secs(60)),
            ..Agreement::default()
        };
        let zdr = Known {
            zdr: true,
            ..Known::default()
        };
        assert_eq!(require.lacking(&zdr), None);
        assert!(require.lacking(&Known::default()).is_some());
    }
}

//! The one table of failures: each belongs to exactly one class, and the class says all that follows from it.

/// What a failed upstream call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// No connection, or it broke before an answer began.
    Connection,
    /// The provider has too much to do or fails: 408, 409, 5xx, an error inside a 200, an answer that is none.
    Overloaded,
    /// Nothing came for too long.
    Slow,
    /// 429 that passes with time.
    RateLimited,
    /// The account has no money or quota left.
    Quota,
    /// The provider does not accept the key at all.
    Credentials,
    /// The provider accepts the key, but not for this model.
    Forbidden,
    /// The provider does not know the model or the path.
    NotFound,
    /// The request is longer than what the model takes.
    ContextLength,
    /// The provider's own filter refused the request or its answer.
    ContentFilter,
    /// The request can't be said in this target's dialect.
    Untranslatable,
    /// The request itself is wrong.
    BadRequest,
    /// Too many requests wait for the target, or its turn does not come in time.
    Busy,
    /// The request's own time is used up.
    OutOfTime,
}

/// Which other targets may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// None: they would say the same.
    None,
    /// All.
    All,
    /// Those that take more input.
    Larger,
    /// All, where the route allows it for this class.
    IfAllowed,
}

/// What the failure says about the target, for the requests to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Health {
    /// Nothing.
    Unharmed,
    /// It failed, with this weight.
    Failed(f64),
    /// It is not asked until a time; that is no failure.
    Gated,
    /// Its key is set aside, for all models.
    KeyAside,
}

/// What an attempt that failed so is likely to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// Nothing.
    Nothing,
    /// Its input: the provider was at work when it was given up.
    Input,
}

/// What follows from a class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Action {
    /// The same target may be asked again after a wait.
    pub again: bool,
    /// The same model may be asked with another key of the provider.
    pub other_key: bool,
    /// Other targets that may be asked.
    pub others: Others,
    /// What it means for the target.
    pub health: Health,
    /// What it is likely to cost.
    pub charge: Charge,
}

impl Class {
    /// All classes.
    pub const ALL: [Class; 14] = [
        Class::Connection,
        Class::Overloaded,
        Class::Slow,
        Class::RateLimited,
        Class::Quota,
        Class::Credentials,
        Class::Forbidden,
        Class::NotFound,
        Class::ContextLength,
        Class::ContentFilter,
        Class::Untranslatable,
        Class::BadRequest,
        Class::Busy,
        Class::OutOfTime,
    ];

    /// Name in lists.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Connection => "connection",
            Class::Overloaded => "overloaded",
            Class::Slow => "slow",
            Class::RateLimited => "rate_limited",
            Class::Quota => "quota",
            Class::Credentials => "credentials",
            Class::Forbidden => "forbidden",
            Class::NotFound => "not_found",
            Class::ContextLength => "context_length",
            Class::ContentFilter => "content_filter",
            Class::Untranslatable => "untranslatable",
            Class::BadRequest => "bad_request",
            Class::Busy => "busy",
            Class::OutOfTime => "out_of_time",
        }
    }

    /// The table.
    pub const fn action(self) -> Action {
        let none = Action {
            again: false,
            other_key: false,
            others: Others::None,
            health: Health::Unharmed,
            charge: Charge::Nothing,
        };
        let elsewhere = Action {
            other_key: true,
            others: Others::All,
            ..none
        };
        match self {
            Class::Connection | Class::Overloaded => Action {
                again: true,
                health: Health::Failed(1.0),
                ..elsewhere
            },
            Class::Slow => Action {
                health: Health::Failed(0.5),
                charge: Charge::Input,
                ..elsewhere
            },
            Class::RateLimited => Action {
                again: true,
                health: Health::Gated,
                ..elsewhere
            },
            Class::Quota | Class::Credentials => Action {
                health: Health::KeyAside,
                ..elsewhere
            },
            Class::Forbidden => Action {
                health: Health::Gated,
                ..elsewhere
            },
            Class::NotFound | Class::Busy => elsewhere,
            Class::ContextLength => Action {
                others: Others::Larger,
                ..none
            },
            Class::ContentFilter => Action {
                others: Others::IfAllowed,
                ..none
            },
            Class::Untranslatable => Action {
                others: Others::All,
                ..none
            },
            Class::BadRequest | Class::OutOfTime => none,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What holds for every row, whoever edits the table.
    #[test]
    fn the_table_has_no_contradictions() {
        for class in Class::ALL {
            let action = class.action();
            let says_nothing_new = action.others == Others::None;
            assert!(
                !says_nothing_new || (!action.again && !action.other_key),
                "{class:?}: what is wrong everywhere is not asked again"
            );
            if matches!(action.health, Health::KeyAside) {
                assert!(
                    !action.again,
                    "{class:?}: a key that is set aside is not used"
                );
            }
            if let Health::Failed(weight) = action.health {
                assert!(weight > 0.0 && weight <= 1.0, "{class:?}");
            }
        }
    }

    #[test]
    fn only_what_passes_is_asked_again() {
        let again = Class::ALL.into_iter().filter(|class| class.action().again);
        let expected = [Class::Connection, Class::Overloaded, Class::RateLimited];
        assert_eq!(again.collect::<Vec<_>>(), expected);
    }
}

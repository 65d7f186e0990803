//! What a client wants of the cache: the request's `cache-control` (RFC 9111 section 5.2.1).

use std::time::Duration;

/// Directives of a request. What is not known is passed over, as the RFC says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Directives {
    /// A fresh answer is wanted; it may be kept.
    pub no_cache: bool,
    /// Nothing is to be kept, and nothing kept is wanted.
    pub no_store: bool,
    /// Only a kept answer is wanted.
    pub only_if_cached: bool,
    /// Oldest answer that is wanted.
    pub max_age: Option<Duration>,
}

impl Directives {
    /// Reads a header's value; several values are read one after the other.
    pub fn read<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut all = Directives::default();
        for directive in values.flat_map(|value| value.split(',')) {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("no-cache") {
                all.no_cache = true;
            } else if is("no-store") {
                all.no_store = true;
            } else if is("only-if-cached") {
                all.only_if_cached = true;
            } else if is("max-age") {
                let seconds = value.trim().trim_matches('"').parse().ok();
                all.max_age = seconds.map(Duration::from_secs).or(all.max_age);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_in_any_case_and_order() {
        let read = |text: &str| Directives::read([text].into_iter());
        let all = read("No-Cache , max-age=\"60\", foo=bar,only-if-cached");
        assert!(all.no_cache && all.only_if_cached && !all.no_store);
        assert_eq!(all.max_age, Some(Duration::from_secs(60)));
        assert!(read("no-store").no_store);
        assert_eq!(read("max-age=x, ,=,"), Directives::default());
        assert_eq!(read("max-age=0").max_age, Some(Duration::ZERO));
    }
}

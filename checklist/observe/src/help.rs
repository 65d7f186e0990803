//! Who needs help? Users ranked by the trouble they have, with its reasons.

use crate::store::embedded::ask::{AskError, Reader};
use rusqlite::{Connection, Row};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::RangeInclusive;

/// Trouble of one user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Trouble {
    requests: u64,
    failures: u64,
    refusals: u64,
    limited: u64,
    left: u64,
    slow: u64,
    thumbs_down: u64,
    repeated: u64,
}

/// One user who has trouble.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person {
    /// Tenant.
    pub tenant: String,
    /// User.
    pub user: String,
    /// Exchanges in the time looked at.
    pub requests: u64,
    /// How much trouble: the sum of all kinds, weighted. The list is sorted by it.
    pub trouble: f64,
    /// The kinds of trouble in words, the worst first.
    pub reasons: Vec<String>,
}

/// First content later than this is slow. Chosen: people look away.
const SLOW_US: u64 = 10_000_000;
/// Same question again within a day this often is trouble.
const WEIGHTS: [f64; 7] = [2.0, 2.0, 1.5, 1.0, 0.5, 3.0, 1.0];

impl Trouble {
    fn kinds(&self) -> [(u64, &'static str); 7] {
        [
            (self.failures, "answers failed or were cut"),
            (
                self.refusals,
                "were refused (content filter, privacy, validation)",
            ),
            (self.limited, "hit a limit"),
            (self.left, "were left before the answer"),
            (self.slow, "waited over 10 s for the first word"),
            (
                self.thumbs_down,
                "got bad feedback (thumb down, inaccurate, regenerated, abandoned)",
            ),
            (self.repeated, "asked the same again"),
        ]
    }

    fn weighed(&self) -> Vec<(f64, u64, &'static str)> {
        let weigh = |((n, what), weight): ((u64, &'static str), f64)| {
            let n32 = u32::try_from(n).unwrap_or(u32::MAX);
            (f64::from(n32) * weight, n, what)
        };
        let mut kinds: Vec<_> = self
            .kinds()
            .into_iter()
            .zip(WEIGHTS)
            .map(weigh)
            .filter(|(_, n, _)| *n > 0)
            .collect();
        kinds.sort_by(|a, b| b.0.total_cmp(&a.0));
        kinds
    }

    fn person(&self, (tenant, user): (String, String)) -> Person {
        let kinds = self.weighed();
        Person {
            tenant,
            user,
            requests: self.requests,
            trouble: kinds.iter().map(|(weight, ..)| weight).sum(),
            reasons: kinds
                .iter()
                .map(|(_, n, what)| format!("{n} of {} {what}", self.requests))
                .collect(),
        }
    }
}

const FACTS: &str = "SELECT (SELECT text FROM names WHERE id = f.tenant), (SELECT text FROM names WHERE id = f.user), count(*), \
     sum(f.outcome IN (SELECT id FROM names WHERE text IN ('error', 'cut', 'panic', 'crashed')) AND f.status >= 500), \
     sum(f.finish_reason = (SELECT id FROM names WHERE text = 'content_filter') OR f.status = 422), \
     sum(f.status = 429), sum(f.outcome = (SELECT id FROM names WHERE text = 'client_gone')), sum(f.ttft_us > ?1) \
     FROM facts AS f WHERE f.user IS NOT NULL GROUP BY f.tenant, f.user";

const FEEDBACK: &str = "SELECT (SELECT text FROM names WHERE id = f.tenant), (SELECT text FROM names WHERE id = f.user), count(DISTINCT b.id) \
     FROM feedback AS b JOIN facts AS f ON f.id = b.id WHERE f.user IS NOT NULL AND ?1 > 0 \
     AND (b.thumb = -1 OR b.label = 'inaccurate' OR b.event IN ('regenerated', 'abandoned')) GROUP BY f.tenant, f.user";

const REPEATED: &str = "SELECT (SELECT text FROM names WHERE id = f.tenant), (SELECT text FROM names WHERE id = f.user), \
     count(*) - count(DISTINCT h.prompt) FROM t.heads AS h JOIN facts AS f ON f.id = h.id \
     WHERE f.user IS NOT NULL AND ?1 > 0 AND typeof(h.prompt) = 'text' AND h.prompt <> '' GROUP BY f.tenant, f.user \
     HAVING count(*) > count(DISTINCT h.prompt)";

type People = HashMap<(String, String), Trouble>;

fn collect(
    connection: &Connection,
    sql: &str,
    people: &mut People,
    add: impl Fn(&mut Trouble, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([i64::try_from(SLOW_US).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let (tenant, user): (Option<String>, Option<String>) = (row.get(0)?, row.get(1)?);
        if let (Some(tenant), Some(user)) = (tenant, user) {
            add(people.entry((tenant, user)).or_default(), row)?;
        }
    }
    Ok(())
}

fn number(row: &Row<'_>, at: usize) -> rusqlite::Result<u64> {
    let n: Option<i64> = row.get(at)?;
    Ok(n.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
}

/// The users with the most trouble in these days, worst first. Blocking.
///
/// # Errors
/// A file can't be read.
pub fn who_needs_help(
    reader: &Reader,
    days: RangeInclusive<u64>,
    tenant: Option<&str>,
    limit: usize,
) -> Result<Vec<Person>, AskError> {
    let mut people = People::new();
    reader.each_day(days, |connection, with_text| {
        collect(connection, FACTS, &mut people, |trouble, row| {
            trouble.requests += number(row, 2)?;
            trouble.failures += number(row, 3)?;
            trouble.refusals += number(row, 4)?;
            trouble.limited += number(row, 5)?;
            trouble.left += number(row, 6)?;
            trouble.slow += number(row, 7)?;
            Ok(())
        })?;
        collect(connection, FEEDBACK, &mut people, |trouble, row| {
            trouble.thumbs_down += number(row, 2)?;
            Ok(())
        })?;
        if with_text {
            collect(connection, REPEATED, &mut people, |trouble, row| {
                trouble.repeated += number(row, 2)?;
                Ok(())
            })?;
        }
        Ok(())
    })?;
    let wanted = people
        .into_iter()
        .filter(|((own, _), _)| tenant.is_none_or(|tenant| own == tenant));
    let mut found: Vec<Person> = wanted
        .map(|(who, trouble)| trouble.person(who))
        .filter(|person| person.trouble > 0.0)
        .collect();
    found.sort_by(|a, b| {
        b.trouble
            .total_cmp(&a.trouble)
            .then_with(|| a.user.cmp(&b.user))
    });
    found.truncate(limit);
    Ok(found)
}

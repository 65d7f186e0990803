//! Looks at a question in SQL before ClickHouse sees it: one `SELECT` over the public tables, without settings of its own.
//!
//! The engine does the rest: it is read-only, has limits, and holds every table to the tenant (`additional_table_filters`). What
//! would get around that are tables of other databases, our own tables behind the public ones, and table functions; these
//! are refused here by the names that the engine itself gives.

use std::collections::HashSet;

/// Table functions that read nothing.
const HARMLESS: [&str; 4] = ["numbers", "values", "zeros", "generate_series"];

/// Names that ClickHouse knows.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// Databases.
    pub(super) databases: HashSet<String>,
    /// Table functions, in lower case.
    pub(super) functions: HashSet<String>,
    /// Tables of our database that are not public.
    pub(super) tables: HashSet<String>,
}

#[derive(Debug, PartialEq)]
enum Token {
    /// A name, and whether it stands in quotes.
    Word(String, bool),
    /// A text or number.
    Literal,
    /// Anything else.
    Sign(char),
}

fn tokens(sql: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        if first.is_whitespace() {
            rest = after;
        } else if rest.starts_with("--") || first == '#' {
            rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
        } else if rest.starts_with("/*") {
            rest = rest.split_once("*/").ok_or("a comment does not end")?.1;
        } else if matches!(first, '\'' | '"' | '`') {
            let (text, tail) = quotation(after, first)?;
            found.push(match first {
                '\'' => Token::Literal,
                _ => Token::Word(text, true),
            });
            rest = tail;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            let (word, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
            found.push(Token::Word(word.to_owned(), false));
            rest = tail;
        } else if first.is_ascii_digit() {
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            found.push(Token::Literal);
            rest = rest.get(end..).unwrap_or_default();
        } else if first == '$' || !first.is_ascii() {
            return Err(format!("`{first}` is not understood outside of quotes"));
        } else {
            found.push(Token::Sign(first));
            rest = after;
        }
    }
    Ok(found)
}

/// What stands in quotes, and what follows.
fn quotation(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut found = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            if quote != '\'' {
                return Err("names with a backslash are not understood".to_owned());
            }
            chars.next();
        } else if c == quote {
            let tail = text.get(at + c.len_utf8()..).unwrap_or_default();
            if tail.starts_with(quote) {
                if quote != '\'' {
                    return Err("names with quotes in them are not understood".to_owned());
                }
                chars.next();
                continue;
            }
            return Ok((found, tail));
        } else {
            found.push(c);
        }
    }
    Err("a quotation does not end".to_owned())
}

/// Checks a question, and gives it without a semicolon at its end.
///
/// # Errors
/// What is not allowed in it, in words.
pub(super) fn check<'q>(sql: &'q str, known: &Known) -> Result<&'q str, String> {
    let sql = sql.trim().trim_end_matches(';').trim_end();
    let tokens = tokens(sql)?;
    let begins = matches!(tokens.first(), Some(Token::Word(word, false))
        if word.eq_ignore_ascii_case("select") || word.eq_ignore_ascii_case("with"));
    if !begins {
        return Err(format!(
            "only SELECT over these tables is allowed: {}",
            super::ddl::PUBLIC.join(", ")
        ));
    }
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1);
        match token {
            Token::Sign(';') => return Err("one statement at a time, please".to_owned()),
            Token::Word(word, in_quotes) => allowed(word, *in_quotes, next, known)?,
            _ => {}
        }
    }
    Ok(sql)
}

fn allowed(word: &str, in_quotes: bool, next: Option<&Token>, known: &Known) -> Result<(), String> {
    let lower = word.to_ascii_lowercase();
    let called = next == Some(&Token::Sign('('));
    let clause = ["settings", "format", "outfile", "infile"].contains(&lower.as_str());
    if clause && !in_quotes && !called {
        return Err(format!("`{word}` is set by the gateway"));
    }
    let reads = known.functions.contains(&lower) && !HARMLESS.contains(&lower.as_str());
    let looks_up = lower.starts_with("dictget") || lower.starts_with("joinget");
    if called && (reads || looks_up) {
        return Err(format!("the function `{word}` is not allowed here"));
    }
    if next == Some(&Token::Sign('.')) && known.databases.contains(word) {
        return Err(format!(
            "name the tables without their database: `{word}.` is not allowed"
        ));
    }
    if known.tables.contains(word) {
        return Err(format!(
            "`{word}` is none of these tables: {}",
            super::ddl::PUBLIC.join(", ")
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Known {
            databases: set(&["aplomb", "system", "information_schema", "other"]),
            functions: set(&["merge", "url", "numbers", "mergetreeindex", "remote"]),
            tables: set(&["minutes_feed", "schema_versions"]),
        }
    }

    #[test]
    fn questions_pass() {
        for sql in [
            "SELECT count() FROM requests;",
            "with x as (select tenant, format('{}', tenant) from requests r) select * from x where r.tenant = 'a;b'",
            "select 'it''s \\' system.tables' from numbers(3) -- merge(",
            "SELECT quantileDDMerge(0.01, 0.95)(ttft) FROM hours /* settings */",
        ] {
            assert_eq!(check(sql, &known()).err(), None, "{sql}");
        }
    }

    #[test]
    fn ways_around_are_closed() {
        for sql in [
            "DROP TABLE requests",
            "select 1; select 2",
            "select 1 settings readonly = 0",
            "select 1 SETTINGS additional_table_filters = {}",
            "select * from requests format Native",
            "select * from system.tables",
            "select * from requests x, `system` . tables",
            "select * from \"other\".secrets",
            "select * from merge('aplomb', '^requests$')",
            "select * from mergeTreeIndex(aplomb, requests)",
            "select * from Merge ('a', 'b')",
            "select dictGetString('d', 'x', 1)",
            "select * from minutes_feed",
            "select 1 where id in `minutes_feed`",
            "select $$x$$",
            "select 'open",
            "select * from `mer\\x67e`('a', 'b')",
            "",
        ] {
            assert!(check(sql, &known()).is_err(), "{sql}");
        }
    }
}

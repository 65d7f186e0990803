//! Reads a rule that stands in one line.
//!
//! `AMOUNT METER [per WINDOW] [per SCOPE]... [where FIELD = VALUE [and ...]] [, OPTION]...`; one pass over the words, so the
//! time is in proportion to the text.

use super::words::{Word, words};
use super::{
    CalendarUnit, ConditionConfig, ExceedConfig, FieldConfig, LimitRule, MeterConfig, ModeConfig,
    PercentConfig, ScopeConfig, StoreErrorConfig, WindowConfig,
};
use crate::diagnostic::did_you_mean;
use crate::scalar::{Span, Usd};
use std::fmt;
use std::str::FromStr;

/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 1024;

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Byte of the text at which it stands.
    pub at: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Mistake {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Mistake {
            at: 0,
            message: message.into(),
            suggestion: None,
        }
    }

    fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

const EXAMPLE: &str = "25 requests per 3h per user where segment = free";

/// The words that are still to be read.
struct Reader<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<Word<'a>>>,
    end: usize,
}

impl<'a> Reader<'a> {
    fn of(text: &'a str) -> Result<Self, Mistake> {
        if text.len() > LINE_BYTES_MAX {
            let message = format!("a rule has at most {LINE_BYTES_MAX} bytes");
            return Err(Mistake::new(message));
        }
        let words = words(text).map_err(|at| Mistake {
            at,
            ..Mistake::new("this quote is not closed")
        })?;
        Ok(Reader {
            words: words.into_iter().peekable(),
            end: text.len(),
        })
    }

    fn at(&mut self) -> usize {
        self.words.peek().map_or(self.end, |word| word.at)
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, text: &str) -> bool {
        let same = |word: &Word<'_>| !word.quoted && word.text == text;
        self.words.next_if(same).is_some()
    }

    /// The next word, which has to be there.
    fn next(&mut self, expected: &str) -> Result<Word<'a>, Mistake> {
        let at = self.at();
        self.words.next().ok_or_else(|| Mistake {
            at,
            ..Mistake::new(format!("expected {expected} at the end"))
        })
    }

    /// Nothing may follow.
    fn done(&mut self, known: &[&str]) -> Result<(), Mistake> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => Err(unexpected(word, known)),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

fn mistake(word: Word<'_>, message: impl Into<String>) -> Mistake {
    Mistake {
        at: word.at,
        ..Mistake::new(message)
    }
}

fn unexpected(word: Word<'_>, known: &[&str]) -> Mistake {
    let suggestion = did_you_mean(word.text, known.iter().copied());
    let message = format!("`{}` is not understood here", shown(word.text));
    let all = || Some(format!("expected one of: {}", known.join(", ")));
    mistake(word, message).suggest(suggestion.or_else(all))
}

fn whole(word: Word<'_>) -> Result<u64, Mistake> {
    let digits = !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_digit());
    let number = word.text.parse::<u64>().ok().filter(|_| digits);
    number.ok_or_else(|| {
        let message = format!("expected a whole number, found `{}`", shown(word.text));
        mistake(word, message)
    })
}

const METERS: [&str; 5] = ["requests", "tokens", "input tokens", "output tokens", "USD"];

fn meter(reader: &mut Reader<'_>) -> Result<MeterConfig, Mistake> {
    let word = reader.next("what is counted, such as `requests`")?;
    let of_tokens = |reader: &mut Reader<'_>, meter| match reader.take("tokens") {
        true => Ok(meter),
        false => Err(Mistake {
            at: reader.at(),
            ..Mistake::new("expected `tokens`")
        }),
    };
    match word.text {
        "requests" | "request" => Ok(MeterConfig::Requests),
        "tokens" => Ok(MeterConfig::Tokens),
        "total" => of_tokens(reader, MeterConfig::Tokens),
        "input" => of_tokens(reader, MeterConfig::InputTokens),
        "output" => of_tokens(reader, MeterConfig::OutputTokens),
        "USD" => Ok(MeterConfig::Cost),
        "concurrent" => {
            let _ = reader.take("requests");
            Ok(MeterConfig::Concurrent)
        }
        "EUR" | "GBP" | "usd" | "dollars" => {
            let message = format!("money is counted in `USD` here, not in `{}`", word.text);
            Err(mistake(word, message))
        }
        "queued" => {
            let hint = "how many requests of a user wait for a target is `queue: { per_user: 3 }`";
            Err(mistake(word, "`queued` is no meter of a limit").suggest(Some(hint.to_owned())))
        }
        _ => {
            let message = format!("`{}` can't be counted", shown(word.text));
            let known = METERS.into_iter().chain(["concurrent"]);
            let list = format!("expected one of: {}, concurrent", METERS.join(", "));
            let suggestion = did_you_mean(word.text, known).or(Some(list));
            Err(mistake(word, message).suggest(suggestion))
        }
    }
}

/// How much a rule allows.
///
/// # Errors
/// It is no number, or no amount of money where money is counted.
pub(crate) fn amount(text: &str, meter: MeterConfig) -> Result<u64, Mistake> {
    let text = text.trim();
    let wrong = |what: &str| Mistake::new(format!("expected {what}, found `{}`", shown(text)));
    if meter != MeterConfig::Cost {
        let number = text.parse::<u64>().ok();
        return number.ok_or_else(|| wrong("a whole number such as `25`"));
    }
    let usd = text.parse::<Usd>().ok();
    let nano = usd.and_then(|usd| u64::try_from(usd.0.0).ok());
    nano.ok_or_else(|| wrong("an amount such as `5 USD`"))
}

fn calendar(word: &str) -> Option<CalendarUnit> {
    Some(match word {
        "day" => CalendarUnit::Day,
        "week" => CalendarUnit::Week,
        "month" => CalendarUnit::Month,
        "year" => CalendarUnit::Year,
        _ => return None,
    })
}

/// A window, if the word is one.
fn window_word(word: Word<'_>) -> Option<Result<WindowConfig, Mistake>> {
    if word.text.starts_with(|c: char| c.is_ascii_digit()) {
        let span = word.text.parse::<Span>();
        return Some(match span {
            Ok(span) => Ok(WindowConfig::Sliding(span.0)),
            Err(message) => Err(mistake(word, message)),
        });
    }
    if word.text == "lifetime" {
        return Some(Ok(WindowConfig::Lifetime));
    }
    let any = match word.text {
        "second" => "1s",
        "minute" => "1m",
        "hour" => "1h",
        _ => {
            return calendar(word.text).map(|unit| {
                Ok(WindowConfig::Calendar {
                    unit,
                    tz: None,
                    anchor: None,
                })
            });
        }
    };
    let message = format!("`{}` is no period of the calendar here", word.text);
    let hint = format!("write `per {any}` for any stretch of that length");
    Some(Err(mistake(word, message).suggest(Some(hint))))
}

/// A window by itself.
///
/// # Errors
/// It is none.
pub(crate) fn window(text: &str) -> Result<WindowConfig, Mistake> {
    let mut reader = Reader::of(text)?;
    let word = reader.next("a time such as `3h`, `month` or `lifetime`")?;
    let Some(window) = window_word(word) else {
        return Err(unexpected(
            word,
            &["3h", "day", "week", "month", "year", "lifetime"],
        ));
    };
    reader.done(&[])?;
    window
}

/// Scopes and conditions that nothing can tell yet.
const PROTECTED: [&str; 3] = ["fingerprint", "cohort", "asn"];

fn protected(word: Word<'_>) -> Option<Mistake> {
    PROTECTED.contains(&word.text).then(|| {
        let message = format!("`{}` needs the protect room: not available", word.text);
        mistake(word, message)
    })
}

fn scope(reader: &mut Reader<'_>, word: Word<'_>) -> Result<ScopeConfig, Mistake> {
    if let Some(mistake) = protected(word) {
        return Err(mistake);
    }
    let meant = match word.text {
        "org" | "organisation" | "organization" | "team" | "customer" => Some("tenant"),
        "api_key" | "apikey" => Some("key"),
        "conversation" => Some("session"),
        "address" => Some("ip"),
        "network" => Some("subnet"),
        _ => None,
    };
    if let Some(meant) = meant {
        let hint = format!("did you mean `{meant}`?");
        let message = format!("`{}` is not known", word.text);
        return Err(mistake(word, message).suggest(Some(hint)));
    }
    match word.text {
        "provider" => {
            let _ = reader.take("key");
            Ok(ScopeConfig::ProviderKey)
        }
        text => match ScopeConfig::ALL.iter().find(|scope| scope.name() == text) {
            Some(scope) => Ok(*scope),
            None => Err(unexpected(
                word,
                &ScopeConfig::ALL.map(|scope| scope.name()),
            )),
        },
    }
}

fn push(per: &mut Vec<ScopeConfig>, scope: ScopeConfig, word: Word<'_>) -> Result<(), Mistake> {
    if per.contains(&scope) {
        let message = format!("`{}` is there already", scope.name());
        return Err(mistake(word, message));
    }
    per.push(scope);
    Ok(())
}

/// Scopes by themselves: `user`, `user and model`; nothing for an empty text.
///
/// # Errors
/// One is not known, or needs what is not there yet.
pub(crate) fn scopes(text: &str) -> Result<Vec<ScopeConfig>, Mistake> {
    let mut reader = Reader::of(text)?;
    let mut per = Vec::new();
    while let Some(word) = reader.words.next() {
        let found = scope(&mut reader, word)?;
        push(&mut per, found, word)?;
        if !reader.take("and") {
            reader.done(&["and"])?;
            break;
        }
    }
    Ok(per)
}

fn condition(reader: &mut Reader<'_>) -> Result<ConditionConfig, Mistake> {
    let word = reader.next("a condition such as `segment = free`")?;
    if let Some(mistake) = protected(word) {
        return Err(mistake);
    }
    let field = FieldConfig::ALL
        .into_iter()
        .find(|field| field.name() == word.text);
    let field =
        field.ok_or_else(|| unexpected(word, &FieldConfig::ALL.map(|field| field.name())))?;
    let is = if reader.take("=") {
        true
    } else if reader.take("!=") {
        false
    } else {
        let at = reader.at();
        let message = format!("expected `=` or `!=` after `{}`", field.name());
        return Err(Mistake {
            at,
            ..Mistake::new(message)
        });
    };
    let value = reader.next("a value")?;
    if value.text.is_empty() || !value.quoted && value.text == "," {
        return Err(mistake(value, "expected a value"));
    }
    Ok(ConditionConfig {
        field,
        is,
        value: value.text.to_owned(),
    })
}

/// Conditions by themselves, joined by `and`; none for an empty text.
///
/// # Errors
/// One is not understood.
pub(crate) fn conditions(text: &str) -> Result<Vec<ConditionConfig>, Mistake> {
    let mut reader = Reader::of(text)?;
    if reader.words.peek().is_none() {
        return Ok(Vec::new());
    }
    let found = all_conditions(&mut reader)?;
    reader.done(&["and"])?;
    Ok(found)
}

fn all_conditions(reader: &mut Reader<'_>) -> Result<Vec<ConditionConfig>, Mistake> {
    let mut found = vec![condition(reader)?];
    while reader.take("and") {
        found.push(condition(reader)?);
    }
    Ok(found)
}

fn exceeded(reader: &mut Reader<'_>) -> Result<ExceedConfig, Mistake> {
    let word = reader.next("`reject`, `queue 20s` or `downgrade to MODEL`")?;
    match word.text {
        "reject" => Ok(ExceedConfig::Reject),
        "queue" => {
            let word = reader.next("how long to wait, such as `20s`")?;
            let span = Span::from_str(word.text).map_err(|message| mistake(word, message))?;
            Ok(ExceedConfig::Queue(span.0))
        }
        "downgrade" => {
            let _ = reader.take("to");
            let model = reader.next("the model")?;
            Ok(ExceedConfig::Downgrade(model.text.to_owned()))
        }
        "challenge" => Err(mistake(
            word,
            "`challenge` needs the protect room: not available",
        )),
        _ => Err(unexpected(word, &["reject", "queue", "downgrade"])),
    }
}

/// What happens to a request that is over a limit, by itself; `reject` for an empty text.
///
/// # Errors
/// It is not understood.
pub(crate) fn exceed(text: &str) -> Result<ExceedConfig, Mistake> {
    let mut reader = Reader::of(text)?;
    if reader.words.peek().is_none() {
        return Ok(ExceedConfig::Reject);
    }
    let found = exceeded(&mut reader)?;
    reader.done(&[])?;
    Ok(found)
}

/// What follows the commas of a rule.
#[derive(Default)]
struct Options {
    on_exceed: Option<ExceedConfig>,
    mode: Option<ModeConfig>,
    burst: Option<u64>,
    id: Option<String>,
    on_store_error: Option<StoreErrorConfig>,
    soft: Vec<PercentConfig>,
}

const OPTIONS: [&str; 7] = [
    "on exceed",
    "on store error",
    "burst",
    "soft",
    "shadow",
    "enforce",
    "id",
];

/// What a node does while the store that nodes share is away.
fn store_error(reader: &mut Reader<'_>) -> Result<StoreErrorConfig, Mistake> {
    let expected = "`local share`, `fail closed` or `fail open`";
    let at = reader.at();
    let (first, second) = (reader.next(expected)?, reader.next(expected)?);
    let known = StoreErrorConfig::ALL.into_iter();
    let mut known = known.filter(|one| one.words() == [first.text, second.text]);
    known.next().ok_or_else(|| Mistake {
        at,
        ..Mistake::new(format!("expected {expected}"))
    })
}

/// Shares of the limit: `80% 95%`.
fn shares(reader: &mut Reader<'_>) -> Result<Vec<PercentConfig>, Mistake> {
    let mut shares = vec![share(reader)?];
    while reader
        .words
        .peek()
        .is_some_and(|word| word.text.ends_with('%'))
    {
        shares.push(share(reader)?);
    }
    Ok(shares)
}

fn share(reader: &mut Reader<'_>) -> Result<PercentConfig, Mistake> {
    let at = reader.at();
    let word = reader.next("a share of the limit such as `80%`")?;
    word.text
        .parse()
        .map_err(|mistake: Mistake| Mistake { at, ..mistake })
}

impl Options {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Mistake> {
        let word = reader.next("an option such as `on exceed queue 20s`")?;
        let twice = match word.text {
            "on" if reader.take("store") => {
                if !reader.take("error") {
                    let at = reader.at();
                    return Err(Mistake {
                        at,
                        ..Mistake::new("expected `error` after `on store`")
                    });
                }
                self.on_store_error.replace(store_error(reader)?).is_some()
            }
            "on" => {
                if !reader.take("exceed") {
                    let at = reader.at();
                    return Err(Mistake {
                        at,
                        ..Mistake::new("expected `exceed` or `store error` after `on`")
                    });
                }
                self.on_exceed.replace(exceeded(reader)?).is_some()
            }
            "soft" => {
                let before = std::mem::replace(&mut self.soft, shares(reader)?);
                !before.is_empty()
            }
            "shadow" => self.mode.replace(ModeConfig::Shadow).is_some(),
            "enforce" => self.mode.replace(ModeConfig::Enforce).is_some(),
            "burst" => {
                let burst = whole(reader.next("the burst")?)?;
                self.burst.replace(burst).is_some()
            }
            "id" => {
                let id = reader.next("a name")?;
                self.id.replace(id.text.to_owned()).is_some()
            }
            _ => return Err(unexpected(word, &OPTIONS)),
        };
        if twice {
            return Err(mistake(word, "this is said twice"));
        }
        Ok(())
    }
}

/// What follows `per`.
fn per(
    reader: &mut Reader<'_>,
    window: &mut Option<WindowConfig>,
    per: &mut Vec<ScopeConfig>,
) -> Result<(), Mistake> {
    let word = reader.next("a time or a scope, such as `3h` or `user`")?;
    match window_word(word) {
        Some(found) => {
            if window.replace(found?).is_some() {
                return Err(mistake(word, "there is a window already: one rule has one"));
            }
            Ok(())
        }
        None => {
            let mut word = word;
            loop {
                let found = scope(reader, word)?;
                push(per, found, word)?;
                if !reader.take("and") {
                    return Ok(());
                }
                word = reader.next("a scope")?;
            }
        }
    }
}

fn time_zone(
    reader: &mut Reader<'_>,
    word: Word<'_>,
    window: &mut Option<WindowConfig>,
) -> Result<(), Mistake> {
    let Some(WindowConfig::Calendar { tz, anchor, .. }) = window else {
        let message = format!(
            "`{}` follows a period of the calendar, such as `per month`",
            word.text
        );
        return Err(mistake(word, message));
    };
    if word.text == "tz" {
        let zone = reader.next("a time zone such as `Europe/Berlin`")?;
        *tz = Some(zone.text.to_owned());
        return Ok(());
    }
    let number = reader.next("a number")?;
    let day = u8::try_from(whole(number)?).ok();
    *anchor = Some(day.ok_or_else(|| mistake(number, "the number is too large"))?);
    Ok(())
}

pub(super) fn rule(text: &str) -> Result<LimitRule, Mistake> {
    let mut reader = Reader::of(text)?;
    let number = reader
        .next("a rule")
        .map_err(|_| Mistake::new(format!("expected a rule such as `{EXAMPLE}`")))?;
    if !number.text.starts_with(|c: char| c.is_ascii_digit()) {
        let message = format!("a rule begins with a number, such as `{EXAMPLE}`");
        return Err(mistake(number, message));
    }
    let meter = meter(&mut reader)?;
    let limit = amount(number.text, meter).map_err(|found| Mistake {
        at: number.at,
        ..found
    })?;
    let (mut window, mut scopes, mut when) = (None, Vec::new(), Vec::new());
    let mut options = Options::default();
    while let Some(word) = reader.words.next() {
        match word.text {
            "per" => per(&mut reader, &mut window, &mut scopes)?,
            "tz" | "anchor" => time_zone(&mut reader, word, &mut window)?,
            "where" if when.is_empty() => when = all_conditions(&mut reader)?,
            "," => options.read(&mut reader)?,
            _ => return Err(unexpected(word, &["per", "where", "tz", "anchor", ","])),
        }
    }
    let window = match (window, meter) {
        (Some(window), _) => window,
        (None, MeterConfig::Concurrent) => WindowConfig::Concurrent,
        (None, _) => {
            let hint = "add `per 1m`, `per month` or `per lifetime`".to_owned();
            return Err(Mistake::new("over which time is missing").suggest(Some(hint)));
        }
    };
    Ok(LimitRule {
        id: options.id,
        meter,
        limit,
        window,
        per: scopes,
        when,
        mode: options.mode.unwrap_or_default(),
        on_exceed: options.on_exceed.unwrap_or_default(),
        burst: options.burst,
        on_store_error: options.on_store_error,
        soft: options.soft,
    })
}

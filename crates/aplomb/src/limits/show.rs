//! Answers about limits, for people.

use crate::output::line;
use serde_json::Value;

fn text(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_f64() => {
            format!("{:.2}", number.as_f64().unwrap_or_default())
        }
        Some(other) => other.to_string(),
    }
}

fn list<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    let found = value.pointer(path).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn joined(value: &Value, path: &str) -> String {
    let all: Vec<&str> = list(value, path).filter_map(Value::as_str).collect();
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(", ")
    }
}

/// A time from now, in the largest unit that says enough.
fn after(value: &Value, path: &str) -> String {
    let Some(ms) = value.pointer(path).and_then(Value::as_u64) else {
        return String::new();
    };
    let seconds = ms.div_ceil(1000);
    match seconds {
        0..=119 => format!(", room again in {seconds} s"),
        120..=7199 => format!(", room again in {} min", seconds / 60),
        _ => format!(", room again in {} h", seconds / 3600),
    }
}

fn at(value: &Value, path: &str) -> String {
    let ms = value.pointer(path).and_then(Value::as_i64);
    let time = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%F %T").to_string())
}

/// How somebody stands, what moved its score, and what limits did last.
pub fn somebody(answer: &Value) {
    line(&format!(
        "tenant {}, user {}, plan {}, segments {}, limits times {}",
        text(answer, "/tenant"),
        text(answer, "/user"),
        text(answer, "/plan"),
        joined(answer, "/segments"),
        text(answer, "/multiplier")
    ));
    for limit in list(answer, "/limits") {
        line(&format!(
            "  {:>10} of {:<10} {:<14} {}{}",
            text(limit, "/used"),
            text(limit, "/limit"),
            text(limit, "/unit"),
            text(limit, "/text"),
            after(limit, "/room_again_ms")
        ));
    }
    for rule in list(answer, "/by_model").filter_map(Value::as_str) {
        line(&format!("  by model (say --model): {rule}"));
    }
    if answer.pointer("/karma").is_some_and(Value::is_object) {
        karma(answer);
    }
    for one in list(answer, "/decisions") {
        line(&format!(
            "  refused {}: {} of {} {} used under `{}`, decision {}",
            text(one, "/at"),
            text(one, "/used"),
            text(one, "/limit"),
            text(one, "/unit"),
            text(one, "/rule"),
            text(one, "/decision_id")
        ));
    }
}

fn karma(answer: &Value) {
    line(&format!(
        "trust {}, score {} ({} good and {} bad units, {} active days), since {}",
        text(answer, "/karma/level"),
        text(answer, "/karma/score"),
        text(answer, "/karma/good_units"),
        text(answer, "/karma/bad_units"),
        text(answer, "/karma/active_days"),
        at(answer, "/karma/since_ms")
    ));
    if answer.pointer("/karma/set").is_some_and(Value::is_object) {
        line(&format!(
            "  set by the operator until {}: {}",
            at(answer, "/karma/set/until_ms"),
            text(answer, "/karma/set/reason")
        ));
    }
    for one in list(answer, "/karma/moves") {
        line(&format!(
            "  {} {:<16} {:>6} units: {} -> {} {}",
            at(one, "/at_ms"),
            text(one, "/cause"),
            text(one, "/units"),
            text(one, "/score_before"),
            text(one, "/score_after"),
            text(one, "/evidence")
        ));
    }
}

/// Users by how far they are trusted.
pub fn users(answer: &Value) {
    for user in list(answer, "/data") {
        line(&format!(
            "{:<24} {:<24} {:<11} score {:>6}  active days {:>3}  seen {}",
            text(user, "/tenant"),
            text(user, "/user"),
            text(user, "/level"),
            text(user, "/score"),
            text(user, "/active_days"),
            at(user, "/seen_ms")
        ));
    }
}

/// What a word of the operator has changed.
pub fn moved(answer: &Value) {
    if answer.pointer("/moved").is_none_or(Value::is_null) {
        line("nothing changed: it counts once, or its share of the day is used up");
        return;
    }
    line(&format!(
        "score {} -> {}, level {} -> {}",
        text(answer, "/moved/score_before"),
        text(answer, "/moved/score_after"),
        text(answer, "/moved/level_before"),
        text(answer, "/moved/level_after")
    ));
}

/// What other rules would have done.
pub fn simulated(answer: &Value) {
    line(&format!(
        "{} requests of {} days: {} let in, {} refused ({} were refused then), {} users refused at least once",
        text(answer, "/requests"),
        text(answer, "/days"),
        text(answer, "/admitted"),
        text(answer, "/refused"),
        text(answer, "/refused_then"),
        text(answer, "/users_refused")
    ));
    for rule in list(answer, "/rules") {
        line(&format!(
            "  {:<24} refused {:>7}  waits {:>7}  downgraded {:>7}  shadow {:>7}  users {:>6}  {}",
            text(rule, "/rule"),
            text(rule, "/refused"),
            text(rule, "/queued"),
            text(rule, "/downgraded"),
            text(rule, "/shadow"),
            text(rule, "/users"),
            text(rule, "/text")
        ));
        for user in list(rule, "/most").take(3) {
            line(&format!(
                "    {} times {} of {}",
                text(user, "/times"),
                text(user, "/user"),
                text(user, "/tenant")
            ));
        }
    }
    if answer.pointer("/truncated").and_then(Value::as_bool) == Some(true) {
        line("  only the latest requests were played; there are more");
    }
}

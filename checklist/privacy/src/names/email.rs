//! Names that e-mail addresses of a text give away: `jane.doe@…` makes `Jane Doe`, `Jane` and `Doe` names.

use std::ops::Range;

use super::fold::Key;
use super::lexicon::Lexicon;
use super::spread::Known;
use super::table::role;

/// Addresses looked at; a list of thousands names nobody in particular.
const ADDRESSES_MAX: usize = 256;

/// Mailboxes of nobody.
const BOXES: &[&str] = &[
    "info",
    "support",
    "sales",
    "admin",
    "contact",
    "hello",
    "office",
    "team",
    "noreply",
    "reply",
    "billing",
    "help",
    "mail",
    "service",
    "kontakt",
    "postmaster",
    "webmaster",
    "abuse",
    "security",
    "privacy",
    "jobs",
    "careers",
    "press",
    "news",
    "newsletter",
    "root",
    "test",
    "user",
    "example",
    "accounts",
    "orders",
    "marketing",
    "feedback",
    "donotreply",
    "api",
    "dev",
    "ops",
    "git",
    "alerts",
    "notifications",
];

/// The names in the local parts of these addresses.
pub fn known(text: &str, emails: &[Range<usize>], lexicon: &Lexicon) -> Known {
    let mut known = Known::default();
    for email in emails.iter().take(ADDRESSES_MAX) {
        let Some((local, _)) = text
            .get(email.clone())
            .and_then(|address| address.split_once('@'))
        else {
            continue;
        };
        let parts = parts(local);
        for part in &parts {
            let roles = lexicon.word(Key::of(part));
            let word = roles & (role::COMMON | role::STOP | role::BRAND | role::GROUP) != 0;
            let listed = roles & (role::FIRST | role::LAST) != 0;
            if BOXES.contains(&part.as_str()) || part.chars().count() < 3 || (word && !listed) {
                continue;
            }
            if listed || parts.len() > 1 {
                known.add(Key::of(part), roles, 0.6, "email");
            }
        }
        // `jdoe@`: the rest after an initial may be a surname.
        if let [only] = parts.as_slice() {
            let surname: String = only.chars().skip(1).collect();
            let roles = lexicon.word(Key::of(&surname));
            if surname.chars().count() > 2
                && roles & role::LAST != 0
                && roles & (role::COMMON | role::STOP) == 0
            {
                known.add(Key::of(&surname), roles, 0.6, "email");
            }
        }
    }
    known
}

/// Words of a local part: cut at marks and digits, and before capitals.
fn parts(local: &str) -> Vec<String> {
    let local = local.split('+').next().unwrap_or_default();
    let mut parts = vec![String::new()];
    let mut small = false;
    for letter in local.chars() {
        let cut = !letter.is_alphabetic() || (small && letter.is_uppercase());
        if cut {
            parts.push(String::new());
        }
        small = letter.is_lowercase();
        if let Some(part) = parts.last_mut()
            && letter.is_alphabetic()
        {
            part.extend(letter.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_are_cut_into_words() {
        assert_eq!(parts("jane.doe"), ["jane", "doe"]);
        assert_eq!(parts("EmilHenriksson"), ["emil", "henriksson"]);
        assert_eq!(parts("j_doe82+news"), ["j", "doe"]);
        assert_eq!(parts(""), Vec::<String>::new());
    }
}

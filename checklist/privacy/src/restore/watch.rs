//! Counts what goes out in the form of a placeholder: the evidence that none leaks.
//!
//! It reads a text as it goes to the client, without the values that were put back, in pieces of any cut. What stands
//! behind an opening bracket is a placeholder if its name is one of this request, however it is closed, or if it has
//! the form of one (`<EMAIL_k3f9>`) of a kind that the policy masks. Names that must not come back where they stand
//! (secrets in arguments of calls, secrets of instructions, digests) are no leaks.

use crate::vault::{Place, Standing, Vault};

/// Longest text behind a bracket that is looked at, in bytes. Chosen: the longest name has about 80.
const NAME_BYTES_MAX: usize = 128;

/// What went out of one text.
#[derive(Debug, Default)]
pub struct Watch {
    /// Behind an opening bracket that may still begin a name.
    open: Option<String>,
    /// Placeholders of this request that were not put back.
    pub unrestored: u64,
    /// Texts of their form that this request did not make.
    pub foreign: u64,
}

impl Watch {
    /// Whether the next piece can complete a name.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The next piece that goes out.
    pub fn plain(&mut self, vault: &Vault, place: Place, piece: &str) {
        if !vault.is_watched() {
            return;
        }
        let mut rest = piece;
        loop {
            if let Some(mut name) = self.open.take() {
                let end = rest.find(|c| !is_inner(c)).unwrap_or(rest.len());
                let (inner, tail) = rest.split_at(end);
                name.push_str(inner);
                rest = tail;
                if name.len() <= NAME_BYTES_MAX && !vault.can_name(&name) {
                    // Nothing of ours begins like this: what follows is plain again.
                } else if rest.is_empty() && name.len() <= NAME_BYTES_MAX {
                    self.open = Some(name);
                    return;
                } else {
                    let closes = rest.starts_with(['>', '＞']) || rest.starts_with("&gt");
                    self.judge(vault, place, &name, closes);
                }
            }
            // An opening bracket as an HTML entity ends with `;`.
            let Some(at) = rest.find(['<', '＜', ';']) else {
                return;
            };
            let length = rest.get(at..).and_then(|r| r.chars().next());
            rest = rest
                .get(at + length.map_or(1, char::len_utf8)..)
                .unwrap_or_default();
            self.open = Some(String::new());
        }
    }

    /// The text is over, or a value stands next.
    pub fn end(&mut self, vault: &Vault, place: Place) {
        if let Some(name) = self.open.take() {
            self.judge(vault, place, &name, false);
        }
    }

    fn judge(&mut self, vault: &Vault, place: Place, inner: &str, closes: bool) {
        let mended: String = inner
            .chars()
            .filter(|c| !matches!(c, '\\' | ' '))
            .map(|c| if c == '-' { '_' } else { c })
            .collect();
        let first = inner.split_whitespace().next().unwrap_or_default();
        let standing = match vault.standing(&mended, place) {
            Standing::Unknown => vault.standing(&first.replace('\\', ""), place),
            known => known,
        };
        match standing {
            Standing::Restorable => self.unrestored += 1,
            Standing::Kept => {}
            Standing::Unknown => {
                self.foreign += u64::from(closes && vault.has_form(inner.trim()));
            }
        }
    }
}

/// What can stand between the brackets: a name, and the ways in which models spoil one.
fn is_inner(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '\\' | '-' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::entity::EntityKind;
    use crate::placeholder::{Labels, Minter};
    use crate::policy::{Action, Profile};
    use crate::vault::{Restore, Taken};
    use std::sync::Arc;

    /// A vault, and the names in it of a value that comes back, a secret of the conversation, and a digest.
    fn vault() -> (Vault, [String; 3]) {
        let minter = Minter::new(b"s", "t", "u");
        let mut vault = Vault::default();
        let mut made = |kind: &EntityKind, restore| {
            let name = vault.placeholder(&minter, kind, "value", &Taken::new(b""));
            vault.allow(&name, restore);
            name.trim_matches(|c| "<>".contains(c)).to_owned()
        };
        let email = made(&EntityKind::Email, Restore::Everywhere);
        let secret = made(&EntityKind::Secret, Restore::TextOnly);
        let digest = minter.hash(&EntityKind::Iban, "value");
        vault.keep(&digest);
        let mut profile = Profile::all("p", Action::Mask);
        profile.actions.insert(EntityKind::Phone, Action::Flag);
        vault.watch(Arc::new(Labels::of(&profile, &["TICKET".to_owned()])));
        (vault, [email, secret, digest])
    }

    /// Counts of a text, the same for every cut of it.
    #[track_caller]
    fn check(place: Place, text: &str, expected: (u64, u64)) {
        let (vault, _) = vault();
        let run = |pieces: &[&str]| {
            let mut watch = Watch::default();
            for piece in pieces {
                watch.plain(&vault, place, piece);
            }
            watch.end(&vault, place);
            (watch.unrestored, watch.foreign)
        };
        assert_eq!(run(&[text]), expected, "{text}");
        for (cut, _) in text.char_indices() {
            let (one, other) = text.split_at(cut);
            assert_eq!(run(&[one, other]), expected, "{one} | {other}");
        }
        let single: Vec<String> = text.chars().map(String::from).collect();
        let single: Vec<&str> = single.iter().map(String::as_str).collect();
        assert_eq!(run(&single), expected, "{text}");
    }

    #[test]
    fn names_of_the_request_count_however_they_are_closed() {
        let (_, [email, ..]) = vault();
        for text in [
            format!("a <{email}> b"),
            format!("<    {email}    >"),
            format!("<{}>", email.replace('_', "-")),
            format!("＜{}］", email.to_lowercase()),
            format!("&lt;{email}&gt;"),
            format!("cut off <{email}"),
            format!("x < {email} y"),
        ] {
            check(Place::Text, &text, (1, 0));
        }
        check(Place::Text, &format!("<{email}><{email}>"), (2, 0));
    }

    #[test]
    fn invented_ones_count_by_their_form() {
        check(
            Place::Text,
            "<EMAIL_zzzz> <IBAN_abcdef2> <TICKET_ab2c>",
            (0, 2),
        );
        check(Place::Text, "<CREDIT_CARD_abcd23>", (0, 1));
        for text in [
            "<PERSON_NAME> <email_body> <EMAIL> <EMAIL_abc> <EMAIL_ab1c>",
            "<PHONE_zzzz>, which is not masked",
            "<EMAIL_zzzz is not closed",
            "a < b && c > d; <b>x</b> <div class=\"EMAIL_zzzz\">",
            "EMAIL_zzzz",
        ] {
            check(Place::Text, text, (0, 0));
        }
    }

    #[test]
    fn what_may_not_come_back_is_no_leak() {
        let (_, [_, secret, digest]) = vault();
        check(
            Place::Arguments,
            &format!("{{\"k\":\"<{secret}>\"}}"),
            (0, 0),
        );
        check(Place::Text, &format!("<{secret}>"), (1, 0));
        check(Place::Text, &format!("<{digest}>"), (0, 0));
    }
}

//! Messages of providers, made fit for a client: no keys, no addresses, no markup, bounded.

/// Longest message that is passed on, in characters. Chosen: real messages are under 300.
const CHARS_MAX: usize = 500;

/// Takes out of a provider's message what a client must not see.
///
/// Words that look like credentials become `[redacted]`, URLs and addresses `[address]`; control characters go.
pub fn clean(message: &str) -> String {
    let text: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(CHARS_MAX)
        .collect();
    if text.contains('<') && text.contains("</") {
        return "the provider sent an error page".to_owned();
    }
    let mut after_bearer = false;
    let words: Vec<String> = text
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| {
            let cleaned = if after_bearer && word.len() >= 8 {
                "[redacted]".to_owned()
            } else {
                clean_word(word)
            };
            after_bearer = word.eq_ignore_ascii_case("bearer");
            cleaned
        })
        .collect();
    words.join(" ")
}

fn clean_word(word: &str) -> String {
    if word.contains("://") || is_address(word) {
        "[address]".to_owned()
    } else if looks_secret(word) {
        "[redacted]".to_owned()
    } else {
        word.to_owned()
    }
}

/// A word with the prefix of a known credential, or a long mix of letters and digits, or a masked key (`sk-***ab`).
fn looks_secret(word: &str) -> bool {
    const PREFIXES: [&str; 9] = [
        "sk-", "sk_", "pk-", "gsk_", "xai-", "AIza", "apl_", "hf_", "key-",
    ];
    let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let mut runs =
        core.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '*'));
    PREFIXES.iter().any(|prefix| core.contains(prefix))
        || core.contains("****")
        || runs.any(|run| {
            let digits = run.bytes().filter(u8::is_ascii_digit).count();
            let letters = run.bytes().filter(u8::is_ascii_alphabetic).count();
            // Identifiers such as `claude-haiku-4-5-20251001` have their digits at the end, in groups.
            run.len() >= 24 && digits >= 4 && letters >= 4 && !run.split('-').all(is_plain)
        })
}

fn is_plain(part: &str) -> bool {
    part.len() <= 12
        && (part.bytes().all(|b| b.is_ascii_digit()) || !part.bytes().any(|b| b.is_ascii_digit()))
        || part.len() <= 6
}

fn is_address(word: &str) -> bool {
    let core = word.trim_matches(|c: char| !(c.is_ascii_alphanumeric() || c == ':' || c == '['));
    let host = core.rsplit_once(':').map_or(core, |(host, _)| host);
    host.parse::<std::net::IpAddr>().is_ok()
        || core.parse::<std::net::SocketAddr>().is_ok()
        || host.ends_with(".internal")
        || host.ends_with(".local")
        || host == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_addresses_are_taken_out() {
        for (message, expected) in [
            (
                "Incorrect API key provided: sk-proj-abc123. See docs",
                "Incorrect API key provided: [redacted] See docs",
            ),
            ("bad key 'sk-***4f2a'", "bad key [redacted]"),
            ("Bearer abcdefgh1234 refused", "Bearer [redacted] refused"),
            (
                "upstream 10.2.3.4:8080 refused",
                "upstream [address] refused",
            ),
            ("see https://platform.example/account", "see [address]"),
            (
                "token 9f86d081884c7d659a2feaa0c55ad015 unknown",
                "token [redacted] unknown",
            ),
            ("host db1.internal: no route", "host [address] no route"),
        ] {
            assert_eq!(clean(message), expected);
        }
    }

    #[test]
    fn ordinary_messages_stay() {
        for message in [
            "This model's maximum context length is 128000 tokens, however you requested 130000 tokens.",
            "The model `claude-haiku-4-5-20251001` does not exist",
            "messages.1.content.0.text: field required",
        ] {
            assert_eq!(clean(message), message);
        }
    }

    #[test]
    fn markup_and_length_are_bounded() {
        assert_eq!(
            clean("<html><b>x</b></html>"),
            "the provider sent an error page"
        );
        assert!(clean(&"word ".repeat(1000)).len() <= CHARS_MAX);
    }
}

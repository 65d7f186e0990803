//! The value of an `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-07): a structured-field string, or,
//! as most clients send it, a bare token.

/// Longest key in characters.
pub const LABEL_MAX: usize = 255;

/// Reads a header's value. `"abc"` and `abc` are the same key.
///
/// # Errors
/// What is wrong with it, for the client.
pub fn read(value: &str) -> Result<String, &'static str> {
    let value = value.trim();
    let label = match value.strip_prefix('"') {
        Some(rest) => quoted(rest)?,
        None if value.chars().all(is_bare) => value.to_owned(),
        None => return Err("is neither a string in double quotes nor a bare token"),
    };
    match label.chars().count() {
        0 => Err("is empty"),
        1..=LABEL_MAX => Ok(label),
        _ => Err("is longer than 255 characters"),
    }
}

/// Characters that keys have without quotes: those of RFC 9651 tokens, and what UUIDs, paths and Base64 use besides.
fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/=@".contains(c)
}

/// The rest of a string after its opening quote (RFC 9651 section 3.3.3).
fn quoted(rest: &str) -> Result<String, &'static str> {
    let mut label = String::new();
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.as_str().is_empty() => return Ok(label),
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\\')) => label.push(escaped),
                _ => {
                    return Err(
                        "has a backslash before something else than a quote or a backslash",
                    );
                }
            },
            ' '..='~' if c != '"' => label.push(c),
            _ => return Err("has characters that a string in double quotes can't have"),
        }
    }
    Err("has no closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_bare_tokens_are_read() {
        for (value, label) in [
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
            ),
            ("\"8e03978e\"", "8e03978e"),
            ("\"a \\\" b \\\\\"", "a \" b \\"),
            (" stainless-node-retry-1 ", "stainless-node-retry-1"),
        ] {
            assert_eq!(read(value).as_deref(), Ok(label), "{value}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "x".repeat(LABEL_MAX + 1);
        assert!(read(&"x".repeat(LABEL_MAX)).is_ok());
        for value in [
            "",
            "\"\"",
            "\"a",
            "a b",
            "a,b",
            "\"a\"b",
            "\"a\\b\"",
            "\"\u{e9}\"",
            &long,
        ] {
            assert!(read(value).is_err(), "{value}");
        }
    }
}

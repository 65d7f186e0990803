//! Secrets: keys by their provider's prefix, private key blocks, assignments, headers,
//! credentials in URLs.

pub(super) mod assign;
pub(super) mod block;
pub(super) mod prefix;
pub(super) mod url;

/// Whether a value only stands for a secret: `changeme`, `<your key>`, `${VAR}`, `xxxx`.
fn is_placeholder(value: &[u8]) -> bool {
    const PARTS: [&[u8]; 22] = [
        b"your",
        b"xxxx",
        b"****",
        b"....",
        b"changeme",
        b"change_me",
        b"change-me",
        b"placeholder",
        b"redacted",
        b"insert",
        b"replace",
        b"dummy",
        b"${",
        b"{{",
        b"$(",
        b"<%",
        b"%(",
        b"todo",
        b"_here",
        b"-here",
        b"not-a-real",
        b"masked",
    ];
    let lower = value.to_ascii_lowercase();
    let holds = |part: &&[u8]| memchr::memmem::find(&lower, part).is_some();
    let wrapped =
        lower.starts_with(b"<") || lower.starts_with(b"$") && lower.get(1..).is_some_and(is_name);
    wrapped || lower.starts_with(b"%") || PARTS.iter().any(holds) || different(&lower) < 4
}

/// An identifier: a variable, not a value.
fn is_name(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// How many different bytes there are.
fn different(value: &[u8]) -> usize {
    let mut seen = [false; 256];
    for &byte in value {
        if let Some(place) = seen.get_mut(usize::from(byte)) {
            *place = true;
        }
    }
    seen.iter().filter(|&&seen| seen).count()
}

/// Shannon entropy in bits per byte; random base64 of 32 bytes has about 4.5.
fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for &byte in value.iter().take(4096) {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count += 1;
        }
    }
    let total = f32::from(u16::try_from(value.len().clamp(1, 4096)).unwrap_or(4096));
    let used = counts.iter().filter(|&&count| count > 0);
    used.map(|&count| f32::from(count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// Whether bytes look drawn at random: letters and digits mixed, or long and varied.
fn is_random(value: &[u8]) -> bool {
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let letters = value.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let mixed = digits >= 2 && letters >= 2;
    value.len() >= 12
        && entropy(value) >= 2.8
        && (mixed || value.len() >= 20 && entropy(value) >= 3.7 && has_both_cases(value))
}

fn has_both_cases(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase)
}

/// `550e8400-e29b-41d4-a716-446655440000`.
fn is_uuid(value: &[u8]) -> bool {
    let dashes = |(place, &byte): (usize, &u8)| match place {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    value.len() == 36 && value.iter().enumerate().all(dashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_no_secrets() {
        for value in [
            "changeme",
            "<token>",
            "${DB_PASSWORD}",
            "xxxxxxxx",
            "YOUR_API_KEY",
            "$TOKEN",
            "{{ secret }}",
        ] {
            assert!(is_placeholder(value.as_bytes()), "{value}");
        }
        for value in ["hunter2", "s3cr3t!pass", "P@ssw0rd$1"] {
            assert!(!is_placeholder(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn random_text_is_told_from_words() {
        assert!(is_random(b"f3Kq9ZtL2mXv8RwB"));
        assert!(!is_random(b"the-quick-brown-fox"));
        assert!(is_uuid(b"550e8400-e29b-41d4-a716-446655440000"));
    }
}

//! Where bare words are not looked at: code.
//!
//! Class names, imports and calls are capitalised like people. Fenced blocks, inline code and lines that look like
//! code are left to the rules on keys (`"first_name": …`), which need no prose.

use super::token::{Gap, Kind, Token};

/// Words that start a line of code, and nothing else of note.
const OPENERS: &[&str] = &[
    "import ",
    "from ",
    "package ",
    "namespace ",
    "using ",
    "use ",
    "#include",
    "def ",
    "class ",
    "fn ",
    "pub ",
    "let ",
    "const ",
    "var ",
    "func ",
    "function ",
    "public ",
    "private ",
    "protected ",
    "static ",
    "return ",
    "struct ",
    "enum ",
    "impl ",
    "trait ",
    "interface ",
    "export ",
    "async ",
    "await ",
    "elif ",
    "} ",
    "//!",
    "<?",
    "$ ",
    "> npm",
    "@",
    "FROM ",
    "RUN ",
    "COPY ",
    "CREATE ",
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "ALTER ",
    "module ",
    "require ",
    "extends ",
    "new ",
    "throw ",
    "raise ",
    "#!",
];

/// Whether each token is muted.
pub fn muted(text: &str, tokens: &[Token]) -> Vec<bool> {
    let mut flags = vec![false; tokens.len()];
    let mut state = State {
        fenced: false,
        ticked: false,
        line: false,
    };
    for (index, token) in tokens.iter().enumerate() {
        if token.gap >= Gap::Line || index == 0 {
            state.line = is_code(line_at(text, token.start));
            state.ticked = false;
        }
        let tick = token.kind == Kind::Mark('`');
        let run = tick
            && tokens
                .get(index + 1..index + 3)
                .is_some_and(|next| next.iter().all(|t| t.glued() && t.kind == token.kind));
        if run && (token.gap >= Gap::Line || index == 0) {
            state.fenced = !state.fenced;
        } else if tick {
            state.ticked = !state.ticked;
        }
        if let Some(flag) = flags.get_mut(index) {
            *flag = state.fenced || state.ticked || state.line;
        }
    }
    flags
}

struct State {
    fenced: bool,
    ticked: bool,
    line: bool,
}

fn line_at(text: &str, start: usize) -> &str {
    let rest = text.as_bytes().get(start..).unwrap_or_default();
    // A line of code is short; looking further would make long lines cost twice.
    let limit = rest.len().min(400);
    let end = memchr::memchr(b'\n', rest.get(..limit).unwrap_or_default()).unwrap_or(limit);
    let end = (start + end..=start + limit)
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(start);
    text.get(start..end).unwrap_or_default().trim_end()
}

fn is_code(line: &str) -> bool {
    let ends = [";", "{", "};", "):", "=>", "->"]
        .iter()
        .any(|end| line.ends_with(end));
    let closed = ends && line.contains(['(', '=', '}', '{', '<', ':']);
    let first = line.as_bytes().first();
    let opened = OPENERS
        .iter()
        .any(|opener| opener.as_bytes().first() == first && line.starts_with(opener))
        && line.contains([
            '(', ')', '{', '}', ';', '=', '<', '>', '/', '.', '"', '\'', '*',
        ]);
    // Prose may start with `use` or `new`, but then it goes on for a while.
    let short = line.bytes().filter(|byte| *byte == b' ').count() <= 12;
    let python = line.starts_with("from ") && line.contains(" import ");
    let path = line.contains("::") && line.contains('(');
    closed || python || path || (opened && short && !line.starts_with("from "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_code_are_told_from_prose() {
        for code in [
            "import { Jackson } from 'x'",
            "let anna = Anna::new();",
            "public class Robert {",
            "from rosa import Maria",
            "def peter(self):",
        ] {
            assert!(is_code(code), "{code}");
        }
        for prose in [
            "From: Anna Smith",
            "Let Anna know.",
            "I use Rust (daily)",
            "Dear Peter;",
            "new customer Maria called",
        ] {
            assert!(!is_code(prose), "{prose}");
        }
    }
}

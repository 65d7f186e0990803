//! Sentences of the simulation, and their cut into pieces that look like tokens.

/// What the simulation says of itself, first in every text.
pub const NOTICE: &str = "[practice] This is a simulated answer.";

const SENTENCES: [&str; 10] = [
    "No model was asked and nothing left this machine.",
    "The text is the same for the same request, so tests can rely on it.",
    "Streams come at the pace that the configuration sets.",
    "Token counts are reported as a real provider would.",
    "Tools, JSON answers and reasoning are simulated in the same way.",
    "A share of calls can be made to fail on purpose.",
    "Point a route at a real provider when you are ready.",
    "Nothing here should be read as advice.",
    "The gateway treats this answer like any other.",
    "Timeouts, retries and records work on it as they do in production.",
];

/// A text of `count` sentences chosen by `random`, after the notice.
pub fn text(question_words: usize, count: usize, random: &mut fastrand::Rng) -> String {
    let mut sentences = SENTENCES.to_vec();
    random.shuffle(&mut sentences);
    let rest: Vec<&str> = sentences.into_iter().take(count).collect();
    format!(
        "{NOTICE} Your message has {question_words} words. {}",
        rest.join(" ")
    )
}

/// Cuts a text into pieces of at most six characters, words apart, as tokens are. Joined they give the text.
pub fn pieces(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if !piece.is_empty() && (c == ' ' || piece.chars().count() >= 6) {
            out.push(std::mem::take(&mut piece));
        }
        piece.push(c);
    }
    if !piece.is_empty() {
        out.push(piece);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_text_back() {
        for text in ["", "a", "Hello, Wörld  😀😀😀😀😀😀😀 end", "\n\n x"] {
            assert_eq!(pieces(text).concat(), text);
        }
        assert_eq!(pieces("ab cdefghijk"), ["ab", " cdefg", "hijk"]);
    }
}

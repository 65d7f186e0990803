//! Whether what an answer says is in a context that was given, sentence by sentence, by numbers, names, negation and words.
//!
//! A sentence is unsupported where it has a number, unit, date, code or name that the context has not, where the part of the
//! context that is nearest says the opposite, ties its numbers to something else or has another word in the same place, or where
//! too few of its words are there. Greetings, questions and what says that something is not known claim nothing.
//!
//! The method is lexical: what is said in quite other words looks unsupported, and what follows only by thinking does too.

mod facts;

use crate::length::sentences;
use crate::words::{Index, Word, fold, same, share, words};
use facts::{Fact, counts, dates, facts, unit};
use std::collections::HashSet;

/// Characters of a context that are read. Chosen: some tens of documents; what comes after is not found.
const CONTEXT_CHARS_MAX: usize = 100_000;

/// Clauses of a context that are compared one by one: comparing takes time in proportion to them, for each sentence.
const CLAUSES_MAX: usize = 1_000;

/// Sentences of an answer that are looked at. Those after them count as unsupported.
const SENTENCES_MAX: usize = 200;

/// Share of a sentence's words that the context must have. Measured on the labelled set.
const WORDS_MIN: f32 = 0.6;

/// Share of a sentence's words that one clause must have to be its counterpart.
const NEAR: f32 = 0.5;

/// Why a sentence is unsupported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A number that is not there, or of something else.
    Number,
    /// A number that is there in another unit.
    Unit,
    /// A date, month or day that is not there.
    Date,
    /// A code that is not there.
    Code,
    /// A name that is not there.
    Name,
    /// It denies what is said there, or says what is denied there.
    Negation,
    /// It says the opposite.
    Opposite,
    /// Two names changed places.
    Order,
    /// A word stands in the place of another.
    Word,
    /// Too few of its words are there.
    Words,
    /// It comes after all that is looked at.
    Unread,
}

impl Reason {
    /// In output.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Number => "number",
            Reason::Unit => "unit",
            Reason::Date => "date",
            Reason::Code => "code",
            Reason::Name => "name",
            Reason::Negation => "negation",
            Reason::Opposite => "opposite",
            Reason::Order => "order",
            Reason::Word => "word",
            Reason::Words => "words",
            Reason::Unread => "unread",
        }
    }
}

/// A sentence of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// Its text.
    pub text: String,
    /// Whether it says something that can be right or wrong.
    pub claims: bool,
    /// Why it is unsupported, if it is.
    pub reason: Option<Reason>,
}

/// What was found of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grounding {
    /// Its sentences in order.
    pub sentences: Vec<Sentence>,
}

impl Grounding {
    /// Whether every sentence is supported.
    pub fn is_whole(&self) -> bool {
        self.sentences
            .iter()
            .all(|sentence| sentence.reason.is_none())
    }

    /// Share of sentences with a claim that are supported; 1 where none has one.
    pub fn share(&self) -> f32 {
        let claims: Vec<&Sentence> = self
            .sentences
            .iter()
            .filter(|sentence| sentence.claims)
            .collect();
        let supported = claims
            .iter()
            .filter(|sentence| sentence.reason.is_none())
            .count();
        if claims.is_empty() {
            1.0
        } else {
            share(supported, claims.len())
        }
    }

    /// Unsupported sentences, with their numbers from 1.
    pub fn unsupported(&self) -> impl Iterator<Item = (usize, &Sentence, Reason)> {
        let all = self.sentences.iter().enumerate();
        all.filter_map(|(at, sentence)| Some((at + 1, sentence, sentence.reason?)))
    }
}

/// Words by which a sentence denies, without accents.
const DENIALS: &[&str] = &[
    "not", "no", "never", "without", "none", "neither", "nor", "cannot", "nobody", "nothing",
    "nicht", "kein", "keine", "keinen", "keiner", "keinem", "nie", "niemals", "ohne", "weder",
    "pas", "jamais", "sans", "aucun", "aucune", "nunca", "sin", "jamas", "ningun", "ninguna",
    "non", "senza", "nessun", "nessuna",
];

/// Words and their opposites, without accents.
const OPPOSITES: &[(&str, &str)] = &[
    ("increase", "decrease"),
    ("increased", "decreased"),
    ("rise", "fall"),
    ("rose", "fell"),
    ("grew", "shrank"),
    ("grew", "fell"),
    ("allowed", "forbidden"),
    ("allowed", "prohibited"),
    ("permitted", "prohibited"),
    ("allow", "forbid"),
    ("open", "closed"),
    ("opens", "closes"),
    ("before", "after"),
    ("more", "less"),
    ("more", "fewer"),
    ("above", "below"),
    ("include", "exclude"),
    ("included", "excluded"),
    ("accept", "reject"),
    ("accepted", "rejected"),
    ("approved", "rejected"),
    ("approved", "denied"),
    ("first", "last"),
    ("morning", "evening"),
    ("higher", "lower"),
    ("highest", "lowest"),
    ("maximum", "minimum"),
    ("most", "least"),
    ("always", "never"),
    ("won", "lost"),
    ("win", "lose"),
    ("buy", "sell"),
    ("bought", "sold"),
    ("start", "end"),
    ("begins", "ends"),
    ("starts", "ends"),
    ("passed", "failed"),
    ("succeeded", "failed"),
    ("enabled", "disabled"),
    ("enable", "disable"),
    ("required", "optional"),
    ("mandatory", "optional"),
    ("largest", "smallest"),
    ("north", "south"),
    ("east", "west"),
    ("northern", "southern"),
    ("eastern", "western"),
    ("left", "right"),
    ("hot", "cold"),
    ("early", "late"),
    ("earlier", "later"),
    ("faster", "slower"),
    ("cheaper", "dearer"),
    ("up", "down"),
    ("public", "private"),
    ("safe", "dangerous"),
    ("same", "different"),
    ("over", "under"),
    ("profit", "loss"),
    ("import", "export"),
    ("entry", "exit"),
    ("free", "paid"),
    ("legal", "illegal"),
    ("valid", "invalid"),
    ("possible", "impossible"),
    ("able", "unable"),
    ("available", "unavailable"),
    ("refundable", "nonrefundable"),
    ("active", "inactive"),
    ("oldest", "newest"),
    ("older", "younger"),
    ("older", "newer"),
    ("all", "none"),
    ("inside", "outside"),
    ("indoors", "outdoors"),
    ("mehr", "weniger"),
    ("hoher", "niedriger"),
    ("vor", "nach"),
    ("erlaubt", "verboten"),
    ("offen", "geschlossen"),
    ("gestiegen", "gesunken"),
    ("steigt", "sinkt"),
    ("erste", "letzte"),
    ("maximal", "mindestens"),
    ("plus", "moins"),
    ("avant", "apres"),
    ("ouvert", "ferme"),
    ("augmente", "diminue"),
    ("mas", "menos"),
    ("antes", "despues"),
    ("abierto", "cerrado"),
];

/// Words that only speak of the answer or to the reader.
const FILLER: &[&str] = &[
    "sure",
    "hello",
    "hi",
    "thanks",
    "thank",
    "welcome",
    "hope",
    "helps",
    "help",
    "question",
    "questions",
    "answer",
    "answers",
    "context",
    "document",
    "documents",
    "text",
    "passage",
    "provided",
    "based",
    "summary",
    "below",
    "following",
    "course",
    "certainly",
    "sorry",
    "glad",
    "happy",
    "feel",
    "free",
    "ask",
    "anything",
    "else",
    "further",
    "information",
    "note",
    "assist",
    "great",
    "source",
    "sources",
    "mentioned",
    "stated",
    "states",
    "says",
    "said",
    "given",
    "gerne",
    "frage",
    "fragen",
    "antwort",
    "kontext",
    "text",
    "laut",
    "hallo",
    "voici",
    "bonjour",
    "reponse",
    "contexte",
    "respuesta",
    "contexto",
];

/// Beginnings of statements that something is not known, without accents.
const UNKNOWN: &[&str] = &[
    "i don't know",
    "i do not know",
    "i'm not sure",
    "i cannot find",
    "i can't find",
    "i could not find",
    "i couldn't find",
    "the context does not",
    "the context doesn't",
    "the document does not",
    "the documents do not",
    "the text does not",
    "the provided context does not",
    "the provided documents do not",
    "there is no information",
    "no information",
    "it is not stated",
    "it is not mentioned",
    "this is not mentioned",
    "das steht nicht",
    "ich weiss nicht",
    "der text sagt nicht",
    "je ne sais pas",
    "le contexte ne",
    "no se",
    "el contexto no",
    "non lo so",
];

/// Words by which a clause speaks of what stands before it.
const PRONOUNS: &[&str] = &[
    "he", "she", "it", "they", "his", "her", "its", "their", "er", "sie", "es", "ihr", "sein",
    "il", "elle", "ils", "elles",
];

/// A clause of a context.
struct Clause {
    words: Vec<Word>,
    index: Index,
    facts: Vec<Fact>,
    denies: usize,
    /// What stands before it.
    before: Index,
    /// Whether it speaks of what stands before it.
    continues: bool,
    /// Whether it has a name.
    names: bool,
}

/// A context, ready for answers to be laid beside it.
pub struct Context {
    clauses: Vec<Clause>,
    /// All its words.
    all: Index,
    facts: Vec<Fact>,
    /// First letters of runs of capitalised words, for short forms of names.
    initials: HashSet<String>,
}

impl Context {
    /// Of a text.
    pub fn new(text: &str) -> Self {
        let end = text.char_indices().nth(CONTEXT_CHARS_MAX).map(|(at, _)| at);
        let text = end.and_then(|end| text.get(..end)).unwrap_or(text);
        let all_words = words(text);
        let mut clauses: Vec<Clause> = Vec::new();
        for part in whole(text)
            .iter()
            .flat_map(|sentence| parts(sentence))
            .take(CLAUSES_MAX)
        {
            let own = words(part);
            if own.is_empty() {
                continue;
            }
            let last = clauses
                .iter()
                .rev()
                .take(2)
                .flat_map(|clause| &clause.words);
            let before = Index::of(last);
            clauses.push(Clause {
                index: Index::of(&own),
                facts: facts(&own),
                denies: denials(&own),
                continues: own
                    .first()
                    .is_some_and(|word| PRONOUNS.contains(&word.text.as_str())),
                names: !names(&own).is_empty(),
                words: own,
                before,
            });
        }
        let runs = all_words.split(|word| !word.capital);
        let initials = runs.filter(|run| run.len() > 1).map(|run| {
            run.iter()
                .filter_map(|word| word.text.chars().next())
                .collect()
        });
        Context {
            initials: initials.collect(),
            facts: facts(&all_words),
            all: Index::of(&all_words),
            clauses,
        }
    }

    /// Lays an answer beside it.
    pub fn ground(&self, answer: &str) -> Grounding {
        let told = whole(answer).into_iter().enumerate().map(|(at, text)| {
            let text = unmarked(&text);
            let claims = claims(text);
            let reason = match at {
                0..SENTENCES_MAX => claims.as_ref().and_then(|said| self.against(said)),
                _ => Some(Reason::Unread),
            };
            Sentence {
                text: text.to_owned(),
                claims: claims.is_some() || reason.is_some(),
                reason,
            }
        });
        Grounding {
            sentences: told.collect(),
        }
    }

    fn against(&self, said: &[Word]) -> Option<Reason> {
        let own = facts(said);
        let content: Vec<&Word> = said.iter().filter(|word| tells(word)).collect();
        self.fact(&own, &content)
            .or_else(|| self.name(said).then_some(Reason::Name))
            .or_else(|| self.other(said, &content).then_some(Reason::Name))
            .or_else(|| self.turned(said, &own, &content))
            .or_else(|| {
                let found = content
                    .iter()
                    .filter(|word| self.all.means(&word.text))
                    .count();
                let few = !content.is_empty() && share(found, content.len()) < WORDS_MIN;
                few.then_some(Reason::Words)
            })
    }

    /// A fact that is not in the context, or there of something else.
    fn fact(&self, own: &[Fact], content: &[&Word]) -> Option<Reason> {
        own.iter().find_map(|fact| match fact {
            Fact::Quantity { values, unit } => self.quantity((values, *unit), content),
            Fact::Code(_) => (!self.facts.contains(fact)).then_some(Reason::Code),
            Fact::Month(_) | Fact::Day(..) | Fact::Weekday(_) => {
                let there = self.facts.contains(fact);
                (!there
                    || self.elsewhere(
                        content,
                        |other| other == fact,
                        |other| kind(other) == kind(fact),
                    ))
                .then_some(Reason::Date)
            }
        })
    }

    fn quantity(
        &self,
        (values, unit): (&[String], Option<&'static str>),
        content: &[&Word],
    ) -> Option<Reason> {
        let equal = |fact: &Fact| matches!(fact, Fact::Quantity { values: theirs, .. } if theirs.iter().any(|value| values.contains(value)));
        let fits = |fact: &Fact| matches!(fact, Fact::Quantity { unit: theirs, .. } if theirs.is_none() || unit.is_none() || *theirs == unit);
        if !self.facts.iter().any(equal) {
            return Some(Reason::Number);
        }
        if !self.facts.iter().any(|fact| equal(fact) && fits(fact)) {
            return Some(Reason::Unit);
        }
        let rival =
            |fact: &Fact| matches!(fact, Fact::Quantity { unit: theirs, .. } if *theirs == unit);
        let elsewhere = self.elsewhere(content, |fact| equal(fact) && fits(fact), rival);
        elsewhere.then_some(Reason::Number)
    }

    /// Whether a clause that has another fact of the kind is nearer to what is said than all that have this one.
    fn elsewhere(
        &self,
        content: &[&Word],
        this: impl Fn(&Fact) -> bool,
        rival: impl Fn(&Fact) -> bool,
    ) -> bool {
        let here = |clause: &Clause| {
            content
                .iter()
                .filter(|word| clause.index.means(&word.text))
                .count()
        };
        let (mut own, mut others) = (0, 0);
        for clause in &self.clauses {
            if clause.facts.iter().any(&this) {
                let before = content.iter().filter(|word| {
                    !clause.index.means(&word.text) && clause.before.means(&word.text)
                });
                own = own.max(2 * here(clause) + before.count());
            } else if clause.facts.iter().any(&rival) {
                others = others.max(2 * here(clause));
            }
        }
        others > own
    }

    /// Whether a clause that speaks of somebody else is nearer to what is said of a name than all that have the name.
    fn other(&self, said: &[Word], content: &[&Word]) -> bool {
        let names = names(said);
        let rest: Vec<&&Word> = content
            .iter()
            .filter(|word| !names.contains(word))
            .collect();
        let here = |clause: &Clause| {
            rest.iter()
                .filter(|word| clause.index.means(&word.text))
                .count()
        };
        names.iter().any(|name| {
            let (mut own, mut others) = (0, 0);
            for clause in &self.clauses {
                if clause.index.has(&name.text) || clause.continues && clause.before.has(&name.text)
                {
                    let before = rest.iter().filter(|word| {
                        !clause.index.means(&word.text) && clause.before.means(&word.text)
                    });
                    own = own.max(2 * here(clause) + before.count());
                } else if clause.names && !clause.continues {
                    others = others.max(2 * here(clause));
                }
            }
            others > own
        })
    }

    /// Whether a name is not there.
    fn name(&self, said: &[Word]) -> bool {
        let names = names(said);
        names
            .iter()
            .any(|name| !self.all.has(&name.text) && !self.initials.contains(&name.text))
    }

    /// What its counterpart in the context says otherwise.
    fn turned(&self, said: &[Word], own: &[Fact], content: &[&Word]) -> Option<Reason> {
        let near = |clause: &Clause| {
            content
                .iter()
                .filter(|word| clause.index.means(&word.text))
                .count()
        };
        let best = self.clauses.iter().map(near).max()?;
        if content.is_empty() || share(best, content.len()) < NEAR || best == 0 {
            return None;
        }
        let nearest: Vec<&Clause> = self
            .clauses
            .iter()
            .filter(|clause| near(clause) == best)
            .collect();
        let why = nearest
            .iter()
            .map(|clause| differs((said, content), (clause, &self.all), own));
        // One that agrees is enough.
        let mut why: Vec<Option<Reason>> = why.collect();
        if why.contains(&None) {
            return None;
        }
        why.pop().flatten()
    }
}

fn kind(fact: &Fact) -> u8 {
    match fact {
        Fact::Quantity { .. } => 0,
        Fact::Month(_) => 1,
        Fact::Day(..) => 2,
        Fact::Weekday(_) => 3,
        Fact::Code(_) => 4,
    }
}

/// How a sentence differs from its counterpart.
fn differs(
    (said, content): (&[Word], &[&Word]),
    (clause, all): (&Clause, &Index),
    own: &[Fact],
) -> Option<Reason> {
    if opposite(said, &clause.words) {
        return (denials(said) % 2 == clause.denies % 2).then_some(Reason::Opposite);
    }
    if denials(said) % 2 != clause.denies % 2 {
        return Some(Reason::Negation);
    }
    if swapped(said, &clause.words) {
        return Some(Reason::Order);
    }
    // In German a verb is no other thing, and it has no capital.
    let things: Vec<&Word> = said
        .iter()
        .filter(|word| tells(word) && word.capital)
        .collect();
    let other = match is_german(said) {
        true => slot(
            &things,
            clause,
            (all, |word: &Word| tells(word) && word.capital),
        ),
        false => slot(content, clause, (all, tells)),
    };
    (other && own.len() == clause.facts.len()).then_some(Reason::Word)
}

fn denials(words: &[Word]) -> usize {
    words
        .iter()
        .filter(|word| DENIALS.contains(&word.text.as_str()))
        .count()
}

/// Whether one says a word and the other its opposite, neither being in both.
fn opposite(one: &[Word], other: &[Word]) -> bool {
    let has = |words: &[Word], text: &str| words.iter().any(|word| word.text == text);
    let only = |text: &str, here: &[Word], there: &[Word]| has(here, text) && !has(there, text);
    OPPOSITES.iter().any(|(a, b)| {
        only(a, one, other) && only(b, other, one) || only(b, one, other) && only(a, other, one)
    })
}

/// Whether two names stand in the other order, though nothing says that the sentence was turned.
fn swapped(said: &[Word], clause: &[Word]) -> bool {
    let turns = |words: &[Word]| {
        words.iter().any(|word| {
            ["by", "von", "par", "por", "da", "and", "und", "et"].contains(&word.text.as_str())
        })
    };
    if turns(said) || turns(clause) {
        return false;
    }
    let at = |name: &Word| {
        clause
            .iter()
            .position(|word| word.capital && word.text == name.text)
    };
    let names = said.iter().filter(|word| word.capital && word.content);
    let places: Vec<usize> = names.filter_map(at).collect();
    let [first, .., last] = places.as_slice() else {
        return false;
    };
    first > last
}

/// Whether a word that the whole context has not stands in the place of another: all other words are the same and as many, or
/// those beside it are.
fn slot(content: &[&Word], clause: &Clause, (all, fits): (&Index, impl Fn(&Word) -> bool)) -> bool {
    let said = Index::of(content.iter().copied());
    let theirs: Vec<&Word> = clause.words.iter().filter(|word| fits(word)).collect();
    let lone: Vec<usize> = (0..content.len())
        .filter(|at| {
            content
                .get(*at)
                .is_some_and(|word| !clause.index.means(&word.text))
        })
        .collect();
    let [here] = lone.as_slice() else {
        return false;
    };
    if content.len() < 3 || content.get(*here).is_none_or(|word| all.means(&word.text)) {
        return false;
    }
    let open: Vec<usize> = (0..theirs.len())
        .filter(|at| theirs.get(*at).is_some_and(|word| !said.means(&word.text)))
        .collect();
    let alone = matches!(open.as_slice(), [there] if here == there || content.len() - here == theirs.len() - there);
    let beside = |step: isize, there: usize| {
        let ours = here.checked_add_signed(step).and_then(|at| content.get(at));
        let other = there.checked_add_signed(step).and_then(|at| theirs.get(at));
        match (ours, other) {
            (Some(ours), Some(other)) => same(&ours.text, &other.text),
            (None, None) => step > 0,
            _ => false,
        }
    };
    alone
        || open
            .iter()
            .any(|there| beside(-1, *there) && beside(1, *there))
}

/// Whether a word says something, and is no number.
fn tells(word: &Word) -> bool {
    word.content && unit(&word.text).is_none() && !counts(&word.text)
}

/// Short forms after which a sentence goes on, without their mark.
const SHORT: &[&str] = &[
    "dr", "mr", "mrs", "ms", "prof", "st", "no", "vs", "approx", "e.g", "i.e", "ca", "z.b", "bzw",
    "nr", "jan", "feb", "aug", "sept", "sep", "oct", "nov", "dec", "inc", "ltd", "u.s", "mme",
    "sr", "sra",
];

/// The sentences of a text, those that a short form or the number of an item cuts put together again.
fn whole(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut open = false;
    for piece in sentences(text) {
        match all.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(piece);
            }
            None => all.push(piece.to_owned()),
        }
        let last = piece
            .strip_suffix('.')
            .and_then(|front| front.split_whitespace().last());
        let last = last.map(|word| {
            word.trim_start_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase()
        });
        open = last.is_some_and(|word| {
            let item = piece.len() <= 4 && word.chars().all(|c| c.is_ascii_digit());
            let initial = word.chars().nth(1).is_none() && word.chars().all(char::is_alphabetic);
            // A day of a month in German: `am 3. Mai`.
            item || initial
                || SHORT.contains(&word.as_str())
                || word.len() <= 2 && word.parse::<u8>().is_ok_and(|day| day <= 31) && german(piece)
        });
    }
    all
}

fn german(text: &str) -> bool {
    text.split_whitespace().any(|word| {
        ["am", "der", "die", "das", "vom", "bis"].contains(&word.to_lowercase().as_str())
    })
}

/// The parts of a sentence that say something of their own.
fn parts(sentence: &str) -> Vec<&str> {
    const BREAKS: [&str; 9] = [
        "; ",
        ", but ",
        ", and ",
        " while ",
        " whereas ",
        ", aber ",
        ", und ",
        ", mais ",
        ", pero ",
    ];
    let mut all = vec![sentence];
    for mark in BREAKS {
        all = all.into_iter().flat_map(|part| part.split(mark)).collect();
    }
    all
}

/// A sentence without the mark of a list before it.
fn unmarked(text: &str) -> &str {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || "-*•#>".contains(c));
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    match digits.strip_prefix(['.', ')']) {
        Some(rest) if digits.len() < text.len() && rest.starts_with(' ') => rest.trim_start(),
        _ => text,
    }
}

/// The words of a sentence that claims something.
fn claims(text: &str) -> Option<Vec<Word>> {
    let said = words(text);
    let begun = fold(text.trim_start_matches(|c: char| !c.is_alphanumeric())).replace('’', "'");
    let unknown = UNKNOWN.iter().any(|front| begun.starts_with(front));
    let asks = text.ends_with(['?', '？', ':', '：']);
    let speaks = |word: &Word| word.content && !FILLER.contains(&word.text.as_str());
    let something = said.iter().any(speaks);
    (something && !unknown && !asks).then_some(said)
}

const GERMAN: &[&str] = &[
    "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "dem", "den", "wird", "im", "mit",
    "fur", "auf", "werden", "betragt", "kann",
];

/// Whether capitals say nothing: all nouns have one.
fn is_german(said: &[Word]) -> bool {
    let german = said
        .iter()
        .filter(|word| GERMAN.contains(&word.text.as_str()))
        .count();
    let content = said.iter().filter(|word| word.content).count();
    let capitals = said
        .iter()
        .skip(1)
        .filter(|word| word.capital && word.content)
        .count();
    german >= 2 || german == 1 && capitals * 2 > content
}

/// Words that are names, as far as capitals tell: not of texts in German, where all nouns have one, nor of headlines.
fn names(said: &[Word]) -> Vec<&Word> {
    let content = said.iter().filter(|word| word.content).count();
    let capitals = said
        .iter()
        .skip(1)
        .filter(|word| word.capital && word.content)
        .count();
    if is_german(said) || content > 4 && capitals * 10 > content * 8 {
        return Vec::new();
    }
    let name = |at: usize, word: &Word| {
        let followed = said
            .get(at + 1)
            .is_some_and(|next| next.capital && next.content);
        let calendar = dates(&word.text) || counts(&word.text);
        let digit = word.text.contains(|c: char| c.is_ascii_digit());
        word.capital
            && word.content
            && !digit
            && unit(&word.text).is_none()
            && !calendar
            && (at > 0 || followed)
            && !FILLER.contains(&word.text.as_str())
    };
    said.iter()
        .enumerate()
        .filter(|(at, word)| name(*at, word))
        .map(|(_, word)| word)
        .collect()
}

#[cfg(test)]
mod tests;

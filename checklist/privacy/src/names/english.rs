//! English prose for the name model: which stretches of a text are, and how its words are handed over.
//!
//! The model was trained on English, so everything else is left to the rules: a stretch counts as English if it has
//! more function words of English than of its neighbours. Code is no prose.

use std::ops::Range;
use std::sync::OnceLock;

use aplomb_models::names::{Kind as ModelKind, Name, NameModel, Word};

use super::fold::Key;
use super::page::Page;
use super::table::{Table, role};
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// What is shown as the reason of a finding.
const REASON: &str = "name model";

/// Listed names with a title, a key or a cue have 0.9: the model never overrules them.
const SCORE_MAX: f32 = 0.89;

/// Below it a finding is more often wrong than right.
const SCORE_MIN: f32 = 0.5;

/// The same for a person of one word that the lists also know as a word, a brand or a place: `Bill`, `Georgia`.
const DOUBTFUL_MIN: f32 = 0.8;

/// Function words of English that neighbouring languages do not have.
const ENGLISH: &str = "the and that for with this are have they which you were her she there would their been has when \
    who what about into than them could these my your from not his it by please can how why where does did should our \
    to i'm if but only before after until because tell told said says asked ask write called call yes very any some \
    more most other here out up down now must need want everyone nobody someone both every each hello thanks thank dear";

/// Function words of English that other languages have too: half a sign.
const SHARED: &str = "a of is was had he as be at or no all over then will may we i me in on so an us hi hey am been do";

/// Function words of other languages in Latin script that English lacks.
const FOREIGN: &str = "der und das ist nicht ich ein eine mit auf für den dem von zu sie wir im bei aus nach wird sich \
    auch les des et est une dans pour pas que qui sur avec je vous nous du au aux ce cette el los del por para con una \
    es su como pero más di che è un per sono della il lo gli nel os em não uma com seu sua het een van en niet dat \
    zijn op te voor w na z się nie jest że och att det som är för på av og til ikke bir ve bu için ile olarak ja ei \
    että je az és hogy nem egy yang dan untuk dengan ini itu la le las và là không de se si ne";

/// A word of a stretch of prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProseWord {
    /// Its bytes; empty for a line break.
    pub range: Range<usize>,
    /// What the lists say of it, see [`Word::hints`].
    pub hints: u16,
    /// Whether a sentence, a line or a quotation starts here.
    pub start: bool,
}

/// A paragraph of prose, or what code leaves of it.
#[derive(Debug, Default)]
pub struct Stretch {
    pub words: Vec<ProseWord>,
    /// Function words of English, less those of other languages.
    lead: i32,
}

const OURS: u32 = 1;
const THEIRS: u32 = 2;
const EITHER: u32 = 4;

fn languages() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::with_capacity(512);
        for (list, language) in [(ENGLISH, OURS), (SHARED, EITHER), (FOREIGN, THEIRS)] {
            let words = list.split_whitespace();
            words.for_each(|word| table.add(Key::of(word), language));
        }
        table
    })
}

/// Paragraphs of a page; tokens that the rules on bare words leave alone end one.
pub fn stretches(page: &Page) -> Vec<Stretch> {
    let languages = languages();
    let mut all = Vec::new();
    let mut stretch = Stretch::default();
    for (index, token) in page.tokens.iter().enumerate() {
        if token.gap == Gap::Paragraph || page.muted(index) {
            end(&mut stretch, &mut all);
        }
        if page.muted(index) {
            continue;
        }
        if token.gap == Gap::Line && !stretch.words.is_empty() {
            stretch.words.push(line_break(token.start));
        }
        stretch.words.push(ProseWord {
            range: token.range(),
            hints: hints(*token),
            start: page.starts(index),
        });
        stretch.lead += match languages.get(token.key) {
            OURS => 2,
            EITHER => 1,
            THEIRS => -2,
            _ => foreign_script(*token),
        };
    }
    end(&mut stretch, &mut all);
    all
}

fn end(stretch: &mut Stretch, all: &mut Vec<Stretch>) {
    if !stretch.words.is_empty() {
        all.push(std::mem::take(stretch));
    }
}

const fn line_break(at: usize) -> ProseWord {
    ProseWord {
        range: at..at,
        hints: 0,
        start: false,
    }
}

fn foreign_script(token: Token) -> i32 {
    match token.kind {
        Kind::Han | Kind::Hiragana | Kind::Katakana | Kind::Hangul | Kind::Caseless => -2,
        _ => 0,
    }
}

/// Bits for the model; their order belongs to its weights.
fn hints(token: Token) -> u16 {
    const BITS: [u32; 11] = [
        role::FIRST,
        role::LAST,
        role::COMMON,
        role::STOP,
        role::BRAND,
        role::PLACE | role::PLACE_START,
        role::MAJOR,
        role::TITLE | role::OFFICE,
        role::LEGAL | role::TAIL | role::HEAD,
        role::GIVEN | role::FREQUENT,
        role::PARTICLE,
    ];
    let bits = BITS.iter().enumerate();
    bits.filter(|(_, roles)| token.is(**roles))
        .fold(0, |hints, (place, _)| hints | 1 << place)
}

/// Appends what the model finds in the English prose of a page. `out` holds what the rules found: a person among it is
/// never made a place or an organisation, which policies treat more lightly.
pub fn find(page: &Page, model: &NameModel, out: &mut Vec<Found>) {
    let people = People::among(out);
    let from = out.len();
    find_all(page, model, out);
    let mut place = 0;
    out.retain(|name| {
        place += 1;
        place <= from || name.kind == NameKind::Person || !people.meet(&name.range)
    });
}

/// Where the rules found people: each start, in order, with the furthest end up to there.
struct People(Vec<(usize, usize)>);

impl People {
    fn among(found: &[Found]) -> Self {
        let people = found.iter().filter(|name| name.kind == NameKind::Person);
        let mut ranges: Vec<_> = people
            .map(|name| (name.range.start, name.range.end))
            .collect();
        ranges.sort_unstable();
        let mut furthest = 0;
        for (_, end) in &mut ranges {
            furthest = furthest.max(*end);
            *end = furthest;
        }
        Self(ranges)
    }

    fn meet(&self, range: &Range<usize>) -> bool {
        let before = self.0.partition_point(|(start, _)| *start < range.end);
        let last = before.checked_sub(1).and_then(|last| self.0.get(last));
        last.is_some_and(|(_, end)| *end > range.start)
    }
}

fn find_all(page: &Page, model: &NameModel, out: &mut Vec<Found>) {
    let all = stretches(page);
    let page_lead: i32 = all.iter().map(|stretch| stretch.lead).sum();
    for stretch in &all {
        let lead = if stretch.lead == 0 {
            page_lead
        } else {
            stretch.lead
        };
        if lead > 0 {
            find_in(page, model, &stretch.words, out);
        }
    }
}

fn find_in(page: &Page, model: &NameModel, words: &[ProseWord], out: &mut Vec<Found>) {
    let text = |word: &ProseWord| match page.text.get(word.range.clone()) {
        None | Some("") => "\n",
        Some(text) => text,
    };
    let handed: Vec<Word<'_>> = words
        .iter()
        .map(|word| Word {
            text: text(word),
            hints: word.hints,
            start: word.start,
        })
        .collect();
    let mut names = Vec::new();
    model.find(&handed, &mut names);
    out.extend(names.iter().filter_map(|name| placed(page, words, name)));
}

fn placed(page: &Page, words: &[ProseWord], name: &Name) -> Option<Found> {
    let own = words.get(name.words.clone())?;
    let range = own.first()?.range.start..own.last()?.range.end;
    let kind = match name.kind {
        ModelKind::Person => NameKind::Person,
        ModelKind::Location => NameKind::Location,
        ModelKind::Organization => NameKind::Organization,
    };
    let text = page.text.get(range.clone())?;
    let first = page
        .tokens
        .partition_point(|token| token.start < range.start);
    let after = page.tokens.partition_point(|token| token.start < range.end);
    let other = role::COMMON | role::STOP | role::BRAND | role::PLACE | role::MAJOR;
    let doubtful = kind == NameKind::Person && after == first + 1 && page.at(first).is(other);
    let fits = text.contains(char::is_alphabetic)
        && name.score >= if doubtful { DOUBTFUL_MIN } else { SCORE_MIN }
        && !(kind == NameKind::Person && text.contains(char::is_numeric))
        && !page.wired(first, after);
    fits.then(|| Found {
        range,
        kind,
        score: name.score.min(SCORE_MAX),
        reason: REASON,
    })
}

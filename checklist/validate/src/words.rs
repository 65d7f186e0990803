//! Words of texts as relevance and grounding compare them: small letters without accents, their endings left out of account, in
//! several languages, and pairs of characters where a script has no spaces.
//!
//! The method is lexical: it knows a few hundred function words, endings and synonyms, and no grammar.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Words that say nothing of what is told. English, German, French, Spanish, Italian.
static STOPS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let all = [
        "a an the and or but if so as of in on at to from by for with about into over under than then that this these those it its \
         is are was were be been being am do does did done has have had having can could will would shall should may might must i \
         you he she we they me him her us them my your his our their mine yours who whom whose which what when where why how there \
         here all any some each every both also too very just only such own same more most other up down out off again once yes \
         while because since until though although however therefore thus per via get got please tell know according let",
        "der die das den dem des ein eine einen einem einer eines und oder aber wenn als wie von im in an auf zu zum zur mit bei \
         fur aus nach uber unter ist sind war waren wird werden wurde wurden sein hat haben hatte ich du er sie es wir ihr sich \
         man was wer wo wann warum welche welcher welches dass auch nur noch schon sehr kann konnen muss mussen darf soll dort \
         hier am um vom beim durch so dann ihre ihren ihrer ihrem seine seinen mein meine mich dich uns euch",
        "le la les un une des du de d l et ou mais si que qui dont au aux ce cet cette ces il elle ils elles on nous vous je tu se \
         en dans sur sous par pour avec est sont etait etre ete a ont avait y sa son ses leur leurs mon ma mes plus tres aussi \
         quel quelle quels quelles quand comment pourquoi ou",
        "el los las una uno unos unas del al y o pero que quien cual cuales como cuando donde por para con se su sus es son era \
         fue ser esta estan ha han lo le les mi tu muy mas tambien en de sobre entre desde hasta cuanto cuanta cuantos cuantas",
        "il lo gli i uno dello della dei delle degli al alla allo nel nella nei di da dal dalla e ed ma che chi cui quando dove \
         perche come con su sul sulla tra fra sono era essere ha hanno si suo sua loro piu molto anche quale quali quanto quanti",
    ];
    all.iter()
        .flat_map(|text| text.split_whitespace())
        .collect()
});

/// Words of one meaning, as far as facts are told with them; the first one stands for all. In small letters without endings.
static ALIKE: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let groups = "begin start commence launch open|end finish conclude close expire|cost price charge fee|buy purchase acquire bought acquired|\
        last run take continue|build construct built create make made produce manufacture|found establish|big large huge|\
        quick fast rapid|increase rise grow rose grew climb|decrease fall drop decline fell reduce shrink|staff employee worker personnel|\
        firm company business|allow permit may let|forbid prohibit ban|need require must|show display|get receive obtain|send ship \
        deliver dispatch sent|return refund|customer client buyer|locate situate base headquarter|include contain comprise cover|locat found|\
        lead head direct run manage led|live reside dwell|die death dead died|born birth|write wrote written author|win won|lead \
        led|pay paid|say said state told report|hold held keep kept store|give gave given provide offer supply|car vehicle automobile|\
        house home|movie film|help assist support|choose select pick chose|approx about around roughly nearly|annual yearly|child \
        kid children|person people|man men|woman women|city town|job work position|begin began begun|leave left depart|arrive reach come came|\
        meet met|sell sold|weigh weight|high height tall|long length|wide width|deep depth|discover discovered find|betragt lauft dauert|award prize|fee charge|paid pay|wage salary|beginnt startet|endet schliesst";
    let mut all = HashMap::new();
    for group in groups.split('|') {
        let mut words = group.split_whitespace();
        let Some(head) = words.next() else { continue };
        for word in std::iter::once(head).chain(words) {
            all.entry(word).or_insert(head);
        }
    }
    all
});

/// Endings by which forms of one word differ.
const ENDINGS: &[&str] = &[
    "", "s", "es", "e", "en", "er", "ern", "em", "n", "ed", "d", "ing", "y", "ies", "ied", "ly",
    "ily", "a", "o", "os", "as", "i", "ie", "ion", "ions", "t", "te", "ten", "r", "rs", "ers",
    "ment", "ments", "ent", "ee", "ees", "al", "ation", "ations", "ant", "nen", "in", "innen",
    "ement", "ar", "ir", "ido", "ida", "ado", "ada", "an", "on", "ons", "ait", "aient", "ato",
    "ata", "ano", "ono", "re", "isch", "ische", "ischen", "lich", "ity", "ive", "able", "or",
    "ors", "ure",
];

/// Shortest beginning that forms of one word share.
const FRONT: usize = 4;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it was written.
    pub raw: String,
    /// In small letters without accents.
    pub text: String,
    /// Whether it begins with a capital.
    pub capital: bool,
    /// Whether it says something of what is told.
    pub content: bool,
}

/// A letter without its accent.
fn bare(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ä' | 'ā' => "a",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' => "e",
        'ì' | 'í' | 'î' | 'ï' => "i",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' => "o",
        'ù' | 'ú' | 'û' | 'ü' => "u",
        'ç' | 'č' | 'ć' => "c",
        'ñ' | 'ń' => "n",
        'š' | 'ś' => "s",
        'ž' | 'ź' | 'ż' => "z",
        'ß' => "ss",
        'œ' => "oe",
        'æ' => "ae",
        'ł' => "l",
        'ý' | 'ÿ' => "y",
        _ => return None,
    })
}

/// A word in small letters without accents.
pub fn fold(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars().flat_map(char::to_lowercase) {
        match bare(c) {
            Some(letters) => out.push_str(letters),
            None => out.push(c),
        }
    }
    out
}

/// Scripts that put no spaces between words.
fn is_dense(c: char) -> bool {
    matches!(u32::from(c), 0x0e00..=0x0eff | 0x3040..=0x30ff | 0x3400..=0x9fff | 0xac00..=0xd7af | 0xf900..=0xfaff)
}

/// Whether it is a function word.
pub fn is_stop(folded: &str) -> bool {
    STOPS.contains(folded)
}

/// The words of a text, in order. A number keeps the marks and signs inside and around it.
pub fn words(text: &str) -> Vec<Word> {
    let mut all = Vec::new();
    for piece in text.split_whitespace() {
        for part in piece.split([
            '/', '(', ')', '[', ']', '"', '“', '”', '«', '»', '—', '–', '…', '*', '`', '|', '，',
            '、',
        ]) {
            for run in runs(part) {
                if run.contains(|c: char| c.is_ascii_digit()) {
                    number(run, &mut all);
                } else {
                    plain(run, &mut all);
                }
            }
        }
    }
    all
}

/// The parts of a text that are of dense scripts, and those between.
fn runs(part: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = part;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c: char| is_dense(c) != is_dense(first));
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        all.push(run);
        rest = after;
    }
    all
}

fn number(part: &str, all: &mut Vec<Word>) {
    let sign = |c: char| "$€£¥₹%°".contains(c);
    let part = part.trim_matches(|c: char| !c.is_alphanumeric() && !sign(c) && c != '-');
    push(part.trim_end_matches('-'), all);
}

fn plain(part: &str, all: &mut Vec<Word>) {
    if part.chars().any(is_dense) {
        let letters: Vec<char> = part.chars().filter(|c| c.is_alphanumeric()).collect();
        for pair in letters.windows(2) {
            push(&pair.iter().collect::<String>(), all);
        }
        if let [one] = letters.as_slice() {
            push(&one.to_string(), all);
        }
        return;
    }
    let part = part.replace('’', "'");
    let denied = part
        .strip_suffix("n't")
        .or_else(|| part.strip_suffix("N'T"));
    for one in denied.unwrap_or(&part).split(['\'', '-', ',', ';', ':']) {
        push(
            one.trim_matches(|c: char| !c.is_alphanumeric() && c != '%' && c != '€' && c != '$'),
            all,
        );
    }
    if denied.is_some() {
        push("not", all);
    }
}

fn push(text: &str, all: &mut Vec<Word>) {
    if text.is_empty() {
        return;
    }
    let folded = fold(text);
    let one = folded.chars().nth(1).is_none()
        && !folded.contains(|c: char| c.is_ascii_digit() || is_dense(c));
    // A single capital is a name: plan B.
    let capital = text.starts_with(char::is_uppercase);
    let named = one && capital && folded != "i" && folded != "a";
    all.push(Word {
        raw: text.to_owned(),
        capital,
        content: named || !is_stop(&folded) && !one,
        text: folded,
    });
}

/// A word without the commonest endings of English, for the table of synonyms.
fn root(folded: &str) -> &str {
    let cut = ["ing", "ed", "es", "s", "e"].iter().find_map(|end| {
        let front = folded.strip_suffix(end)?;
        (front.len() >= 3).then_some(front)
    });
    cut.unwrap_or(folded)
}

/// What stands for a word and those of its meaning.
fn meaning(folded: &str) -> Option<&'static str> {
    let front = root(folded);
    let known = ALIKE.get(folded).or_else(|| ALIKE.get(front));
    known
        .or_else(|| ALIKE.get(format!("{front}e").as_str()))
        .copied()
}

/// Whether two words are forms of one.
pub fn same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let mut letters = one.char_indices().zip(other.chars());
    let parts = letters.find(|((_, a), b)| a != b).map(|((at, _), _)| at);
    let shared = parts.unwrap_or(one.len().min(other.len()));
    let (Some(front), Some(rest), Some(last)) =
        (one.get(..shared), one.get(shared..), other.get(shared..))
    else {
        return false;
    };
    let long =
        front.chars().count() >= FRONT || front.len() == 3 && (rest.is_empty() || last.is_empty());
    long && ENDINGS.contains(&rest)
        && ENDINGS.contains(&last)
        && !front.contains(|c: char| c.is_ascii_digit())
}

/// Words of a text, ready to be looked up in.
#[derive(Debug, Default)]
pub struct Index {
    fronts: HashMap<String, Vec<String>>,
    meanings: HashSet<&'static str>,
}

fn front(folded: &str) -> String {
    folded.chars().take(3).collect()
}

impl Index {
    /// Of these words.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a Word>) -> Self {
        let mut index = Index::default();
        for word in words {
            let known = index.fronts.entry(front(&word.text)).or_default();
            if !known.contains(&word.text) {
                known.push(word.text.clone());
                index.meanings.extend(meaning(&word.text));
            }
        }
        index
    }

    /// Whether a form of a word is there.
    pub fn has(&self, folded: &str) -> bool {
        let near = self.fronts.get(&front(folded));
        near.is_some_and(|near| near.iter().any(|known| same(folded, known)))
    }

    /// Likewise, or a word of its meaning.
    pub fn means(&self, folded: &str) -> bool {
        self.has(folded) || meaning(folded).is_some_and(|meaning| self.meanings.contains(meaning))
    }
}

/// A part of a whole, 0 to 1; 0 of nothing.
pub fn share(part: usize, whole: usize) -> f32 {
    let narrow = |count: usize| f32::from(u16::try_from(count).unwrap_or(u16::MAX));
    if whole == 0 {
        0.0
    } else {
        narrow(part) / narrow(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_are_one() {
        for (one, other) in [
            ("policy", "policies"),
            ("employee", "employees"),
            ("verlangert", "verlangern"),
            ("ask", "asks"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("contract", "contrast"),
            ("water", "wave"),
            ("2024", "2023"),
            ("cat", "car"),
        ] {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn scripts_without_spaces_are_cut_in_pairs() {
        let texts: Vec<String> = words("東京は 100円")
            .into_iter()
            .map(|word| word.text)
            .collect();
        assert_eq!(texts, ["東京", "京は", "100", "円"]);
    }
}

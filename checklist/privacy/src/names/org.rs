//! Organisations: a legal form, a head such as `University`, or a phrase such as `works at`.

use super::chain::{first_rank, last_rank};
use super::lexicon::cue;
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// Words before a legal form that may belong to the name.
const WORDS_MAX: usize = 5;

/// Characters of a company written without blanks.
const COMPANY_CHARS_MAX: usize = 40;

/// Legal forms written without blanks around them.
const EAST_ASIAN: &[&str] = &[
    "株式会社",
    "有限会社",
    "合同会社",
    "(株)",
    "（株）",
    "有限责任公司",
    "股份有限公司",
    "有限公司",
    "股份公司",
    "集团",
    "주식회사",
    "㈜",
    "(주)",
    "유한회사",
];

/// Finds organisations.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    for (index, token) in page.tokens.iter().enumerate() {
        if page.muted(index) {
            continue;
        }
        if token.is(role::LEGAL) && token.kind != Kind::Lower {
            out.extend(legal(page, index));
        }
        if token.is(role::HEAD) && token.kind == Kind::Title {
            out.extend(headed(page, index));
        }
        if token.is(role::CUE_END) {
            out.extend(announced(page, index));
        }
        if token.kind == Kind::Mark(',') {
            out.extend(firm(page, index));
        }
        let bracket = matches!(token.kind, Kind::Mark('㈜' | '(' | '（'));
        let east = |token: Token| matches!(token.kind, Kind::Han | Kind::Hangul);
        if east(*token) || bracket && east(page.at(index + 1)) {
            east_asian(page, index, out);
        }
    }
}

fn part(token: Token) -> bool {
    matches!(
        token.kind,
        Kind::Title | Kind::Upper | Kind::Mixed | Kind::Ident | Kind::Initial
    ) && !token.is(role::STOP)
}

/// `Acme Widgets Ltd.`, `Müller & Söhne GmbH`.
fn legal(page: &Page, index: usize) -> Option<Found> {
    let form = page.at(index);
    let mut from = index;
    let mut words = 0;
    while words < WORDS_MAX {
        let Some(before) = from.checked_sub(1) else {
            break;
        };
        let token = page.at(before);
        if page.at(from).gap > Gap::Space {
            break;
        }
        let joins = token.is_mark("&+")
            || token.is_mark("-'.,") && page.at(before).glued() && words < 1
            || matches!(
                page.word(token),
                "and" | "und" | "et" | "y" | "e" | "of" | "de"
            );
        if part(token) {
            words += 1;
        } else if !(joins
            && before > 0
            && part(page.before(before))
            && page.at(before).gap <= Gap::Space)
        {
            break;
        }
        from = before;
    }
    // Words such as `Group` are legal forms only after a name of their own.
    let generic = form.kind == Kind::Title && (form.len() > 4 || form.is(role::COMMON));
    let plain = (from..index)
        .all(|place| page.at(place).is(role::COMMON | role::BRAND) || !page.at(place).is_word());
    if words == 0
        || generic && (plain || page.starts(from) && words == 1 && page.at(from).is(role::COMMON))
        || form.kind == Kind::Upper && form.len() == 2 && plain
    {
        return None;
    }
    let dot = page.at(index + 1);
    let to = index
        + 1
        + usize::from(
            dot.kind == Kind::Mark('.')
                && dot.glued()
                && form.len() < 6
                && page.at(index + 2).gap < Gap::Line
                && page.at(index + 2).kind == Kind::Lower,
        );
    Some(page.found(from..to, NameKind::Organization, 0.8, "legal form"))
}

/// `Stanford University`, `University of Leeds`, `Universität Bonn`.
fn headed(page: &Page, index: usize) -> Option<Found> {
    let next = page.at(index + 1);
    let of = next.spaced()
        && matches!(
            page.word(next),
            "of" | "de" | "di" | "do" | "da" | "del" | "für" | "van" | "voor" | "der"
        );
    let mut to = index + 1;
    let mut start = index + 1 + usize::from(of);
    while start < index + 5
        && page.at(start).spaced()
        && part(page.at(start))
        && (of || !page.at(start).is(role::COMMON | role::SAYS))
    {
        start += 1;
        to = start;
    }
    let mut from = index;
    while from > index.saturating_sub(3)
        && page.at(from).spaced()
        && part(page.before(from))
        && page.before(from).kind != Kind::Ident
    {
        from -= 1;
    }
    let own = |place: usize| {
        !page
            .at(place)
            .is(role::COMMON | role::HEAD | role::LEGAL | role::TITLE)
            || page.at(place).is(role::FIRST | role::LAST | role::PLACE)
    };
    let named = (from..to).any(|place| {
        place != index && page.at(place).is_capital() && (own(place) || of && place > index)
    });
    named.then(|| page.found(from..to, NameKind::Organization, 0.78, "head"))
}

/// `works at Persint`.
fn announced(page: &Page, index: usize) -> Option<Found> {
    let cue = page.cue(index)?;
    if cue.roles & cue::ORG == 0 || page.at(cue.next).gap != Gap::Space {
        return None;
    }
    let from = cue.next
        + usize::from(matches!(
            page.word(page.at(cue.next)),
            "the" | "der" | "la" | "el"
        ));
    let mut to = from;
    while to < from + 4
        && part(page.at(to))
        && page.at(to).kind != Kind::Ident
        && (to == from || page.at(to).gap == Gap::Space)
    {
        to += 1;
    }
    let head = page.at(from);
    let person = first_rank(head) == 2 && (to == from + 1 || last_rank(page.before(to)) > 0)
        || head.is(role::TITLE | role::OFFICE);
    let place = head.is(role::MAJOR) && to == from + 1;
    let word = head.is(role::COMMON | role::GROUP) && to == from + 1;
    (to > from && !person && !place && !word)
        .then(|| page.found(from..to, NameKind::Organization, 0.66, "cue"))
}

/// `Henderson, Hicks and Brown`: three surnames make a firm.
fn firm(page: &Page, index: usize) -> Option<Found> {
    let surname = |token: Token| {
        token.kind == Kind::Title
            && token.is(role::LAST | role::TOP_SURNAME)
            && !token.is(role::STOP | role::BRAND)
    };
    let (one, two, and, three) = (
        page.before(index),
        page.at(index + 1),
        page.at(index + 2),
        page.at(index + 3),
    );
    let joined = matches!(page.word(and), "and" | "&" | "und")
        && and.spaced()
        && two.spaced()
        && three.spaced();
    let from = index.checked_sub(1)?;
    let before = page.before(from);
    let line = page.at(from).gap >= Gap::Line && page.at(index + 4).gap >= Gap::Line
        || before.is_mark(">") && page.at(index + 4).gap >= Gap::Line;
    let placed = page.at(from).spaced()
        && matches!(
            page.word(before),
            "at" | "from" | "for" | "by" | "The" | "the" | "joined" | "of"
        );
    (joined && (line || placed) && surname(one) && surname(two) && surname(three))
        .then(|| page.found(from..index + 4, NameKind::Organization, 0.7, "firm"))
}

/// `株式会社東芝`, `北京百度科技有限公司`, `주식회사 카카오`.
fn east_asian(page: &Page, index: usize, out: &mut Vec<Found>) {
    let token = page.at(index);
    if token.kind == Kind::Han && token.len() < 6 {
        return;
    }
    let run = if matches!(token.kind, Kind::Mark(_)) {
        near(page, token.start)
    } else {
        page.word(token)
    };
    // Every form has one of these; most runs have none.
    if !run.contains(['社', '司', '团', '株', '㈜', '주', '유']) {
        return;
    }
    let Some((place, form)) = EAST_ASIAN
        .iter()
        .filter_map(|form| Some((run.find(form)?, *form)))
        .min_by_key(|(place, form)| (*place, usize::MAX - form.len()))
    else {
        return;
    };
    if matches!(token.kind, Kind::Mark(_)) && place > 0 {
        return;
    }
    let from = token.start + lead(run.get(..place).unwrap_or_default());
    let mut end = token.start + place + form.len();
    // The name follows the form in Japanese and Korean, and precedes it in Chinese.
    if place == 0 {
        let mut next = page.tokens.partition_point(|other| other.start < end);
        let tail = run.get(place + form.len()..).unwrap_or_default();
        if matches!(token.kind, Kind::Mark(_)) || tail.is_empty() {
            let first = next;
            while next < first + 4
                && page.at(next).gap <= Gap::Space
                && matches!(
                    page.at(next).kind,
                    Kind::Han | Kind::Katakana | Kind::Hangul | Kind::Title | Kind::Upper
                )
                && (next == first || page.at(next).glued())
            {
                end = page.at(next).end;
                next += 1;
            }
        } else {
            end = token.end;
        }
    }
    if end > from + form.len() {
        out.push(Found {
            range: from..end,
            kind: NameKind::Organization,
            score: 0.85,
            reason: "legal form",
        });
    }
}

/// The rest of the clause. Nothing longer is a company; looking further at every bracket would take quadratic time.
fn near<'a>(page: &Page<'a>, start: usize) -> &'a str {
    let rest = page.text.get(start..).unwrap_or_default();
    let near = rest
        .char_indices()
        .nth(COMPANY_CHARS_MAX)
        .map_or(rest, |(end, _)| rest.get(..end).unwrap_or_default());
    near.split(['\n', ' ', '，', '。', '、', '；', '：'])
        .next()
        .unwrap_or_default()
}

/// Bytes of verbs and pronouns before a Chinese company in the same run.
fn lead(before: &str) -> usize {
    [
        "我在",
        "他在",
        "她在",
        "就职于",
        "任职于",
        "工作于",
        "来自",
        "是",
        "在",
        "于",
        "和",
        "与",
        "的",
        "给",
        "向",
    ]
    .iter()
    .filter_map(|word| Some(before.rfind(word)? + word.len()))
    .filter(|end| *end < before.len())
    .max()
    .unwrap_or(0)
}

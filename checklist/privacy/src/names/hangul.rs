//! People in Korean: one syllable of surname, two of given name, then particles without a blank.

use super::fold::Key;
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind};
use super::{Found, NameKind};

/// Surnames of 97 % of the people.
const SURNAMES: &str = "김이박최정강조윤장임한오서신권황안송류전홍고문양손배백허유남심노하곽성차주우구민진지엄채원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모";

/// After a name, with or without a blank.
const TITLES: &[&str] = &[
    "씨",
    "님",
    "선생님",
    "선생",
    "교수",
    "박사",
    "과장",
    "대리",
    "부장",
    "팀장",
    "사장",
    "대표",
    "차장",
    "이사",
    "의사",
    "환자",
    "고객",
    "군",
    "양",
    "선수",
    "기자",
    "변호사",
    "간호사",
];

/// Particles and verb endings that follow a name.
const PARTICLES: &[&str] = &[
    "은",
    "는",
    "이",
    "가",
    "을",
    "를",
    "의",
    "에게",
    "께서",
    "께",
    "과",
    "와",
    "도",
    "입니다",
    "이라고",
    "라고",
    "이고",
    "이에요",
    "예요",
    "한테",
    "에게서",
    "으로",
    "로",
    "만",
    "이며",
    "이야",
    "이란",
    "이랑",
    "랑",
    "하고",
];

/// Words before a name.
const CUES: &[&str] = &[
    "이름은",
    "이름",
    "성함은",
    "성명",
    "저는",
    "나는",
    "제",
    "고객",
    "환자",
    "담당자",
    "담당자는",
    "직원",
    "동료",
    "친구",
    "남편",
    "아내",
    "아들",
    "딸",
    "수신",
    "발신",
    "안녕하세요",
    "의사",
    "교수",
    "신청인",
    "예약자",
];

/// Words of three syllables that look like names.
const WORDS: &[&str] = &[
    "강아지",
    "고양이",
    "이유로",
    "정도로",
    "이상한",
    "중요한",
    "위대한",
    "유명한",
    "조용한",
    "안전한",
    "신선한",
    "주인공",
    "정성으로",
    "구슬이",
    "역경은",
];

/// Finds people in Korean words.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    for (index, token) in page.tokens.iter().enumerate() {
        if token.kind == Kind::Hangul && !page.muted(index) {
            out.extend(person(page, index).or_else(|| place(page, index)));
        }
    }
}

fn person(page: &Page, index: usize) -> Option<Found> {
    let token = page.at(index);
    let letters: Vec<(usize, char)> = page.word(token).char_indices().collect();
    let first = letters.first()?.1;
    let frequent = SURNAMES.contains(first);
    if !frequent && page.lexicon.word(Key::of(first.encode_utf8(&mut [0; 4]))) & role::LAST == 0 {
        return None;
    }
    let end = |count: usize| {
        letters
            .get(count)
            .map_or(token.end, |(place, _)| token.start + place)
    };
    // The usual length first; `남궁민수` has two syllables of surname.
    [3, 2, 4]
        .into_iter()
        .filter(|count| *count <= letters.len())
        .find_map(|count| {
            let stem = page.text.get(token.start..end(count))?;
            let rest = page.text.get(end(count)..token.end)?;
            let score = judge(page, index, stem, rest, count)?;
            // A rare surname is a syllable like any other until more than a list speaks for it.
            if !frequent && score < 0.7 {
                return None;
            }
            Some(Found {
                range: token.start..end(count),
                kind: NameKind::Person,
                score,
                reason: "list",
            })
        })
}

/// What speaks for a stem being a name.
struct Signs {
    /// The given name is listed.
    listed: bool,
    /// It could be one, going by its syllables.
    likely: bool,
    /// A title follows.
    titled: bool,
    /// A word that announces a person precedes.
    cued: bool,
    /// Nothing follows, or a particle.
    ended: bool,
    /// `…입니다`, as people introduce themselves.
    introduces: bool,
}

fn judge(page: &Page, index: usize, stem: &str, rest: &str, count: usize) -> Option<f32> {
    let surname = if count == 4 { 2 } else { 1 };
    let signs = signs(page, index, (stem, rest), surname);
    match count {
        3 if signs.listed && (signs.titled || signs.cued) => Some(0.75),
        3 if signs.listed && signs.ended && signs.likely => Some(0.6),
        3 if signs.titled && (signs.cued || signs.likely) => Some(0.7),
        3 if signs.cued && (signs.introduces || signs.ended && signs.likely) => Some(0.7),
        3 if signs.introduces && signs.likely => Some(0.5),
        4 if signs.listed && (signs.ended || signs.titled) && double_surname(page, stem) => {
            Some(0.7)
        }
        2 if signs.listed && signs.titled => Some(0.6),
        _ => None,
    }
}

fn signs(page: &Page, index: usize, (stem, rest): (&str, &str), surname: usize) -> Signs {
    let given: String = stem.chars().skip(surname).collect();
    let (before, next) = (page.before(index), page.at(index + 1));
    let title = |word: &str| TITLES.iter().any(|title| word.starts_with(title));
    let colon =
        before.is_mark(":,：") && CUES.contains(&page.word(page.before(index.saturating_sub(1))));
    Signs {
        listed: page.lexicon.word(Key::of(&given)) & role::FIRST != 0,
        // `성명은` ends with a particle and is no name.
        likely: !WORDS.contains(&stem)
            && given_like(page, &given)
            && !(rest.is_empty() && given.ends_with(['은', '는', '이', '가', '을', '를', '의'])),
        titled: title(rest) || rest.is_empty() && next.gap == Gap::Space && title(page.word(next)),
        cued: page.at(index).gap <= Gap::Space && (CUES.contains(&page.word(before)) || colon),
        ended: rest.is_empty() || PARTICLES.contains(&rest),
        introduces: matches!(rest, "입니다" | "이라고" | "라고" | "이에요" | "예요"),
    }
}

fn double_surname(page: &Page, stem: &str) -> bool {
    let surname: String = stem.chars().take(2).collect();
    page.lexicon.word(Key::of(&surname)) & role::LAST != 0
}

/// Both syllables are frequent in given names.
fn given_like(page: &Page, given: &str) -> bool {
    const SYLLABLES: &str = "민서준지우현도윤하은수예진영호성재훈경미정희숙자순옥철상동태승원석규형광종기용혁빈아연나라가인유주선혜소보람슬다솔건시환찬결율온이채린솔태필혜균력겸림웅범권룡운열휘택홍령봉춘복덕길임례남녀철오원신청규별늘";
    page.lexicon.word(Key::of(given)) & (role::MAJOR | role::COMMON) == 0
        && given.chars().all(|syllable| SYLLABLES.contains(syllable))
}

/// Listed places, with a particle or without.
fn place(page: &Page, index: usize) -> Option<Found> {
    let token = page.at(index);
    let word = page.word(token);
    let suffixes = [
        "에서",
        "에",
        "으로",
        "로",
        "의",
        "은",
        "는",
        "시",
        "까지",
        "부터",
        "이",
        "가",
        "을",
        "를",
        "에서는",
        "",
    ];
    suffixes
        .iter()
        .filter_map(|suffix| word.strip_suffix(suffix))
        .find_map(|stem| {
            let roles = page.lexicon.word(Key::of(stem));
            let fits = roles & role::MAJOR != 0
                || roles & role::PLACE != 0 && stem.len() >= 6 && stem.len() < word.len();
            (fits && stem.len() >= 6).then(|| Found {
                range: token.start..token.start + stem.len(),
                kind: NameKind::Location,
                score: 0.6,
                reason: "place",
            })
        })
}

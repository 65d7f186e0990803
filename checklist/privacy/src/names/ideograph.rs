//! People and places in Chinese and Japanese, which write no blanks.
//!
//! Nearly every surname is also a word there, so a surname alone is never enough: it takes a listed given name, a
//! title after it (`先生`, `さん`), or words before it that announce a person (`我叫`, `私は`).

use super::han_run::{CUES, GIVEN, Run, TITLES, neighbour};
use super::page::Page;
use super::table::role;
use super::token::{Gap, Kind, Token};
use super::{Found, NameKind};

/// Finds people and places in runs of Chinese characters and of katakana.
pub fn find(page: &Page, out: &mut Vec<Found>) {
    for (index, token) in page.tokens.iter().enumerate() {
        match token.kind {
            _ if page.muted(index) => {}
            Kind::Han => han(page, index, out),
            Kind::Katakana => out.extend(katakana(page, index)),
            _ => {}
        }
    }
}

fn han(page: &Page, index: usize, out: &mut Vec<Found>) {
    let run = Run::new(page, index);
    if let Some(found) = dotted(page, index) {
        out.push(found);
        return;
    }
    if let Some(found) = honoured(&run).or_else(|| introduced(&run)) {
        out.push(found);
        return;
    }
    let mut at = 0;
    while at < run.len() {
        let found = person(&run, at).or_else(|| place(&run, at));
        match found {
            Some((name, to)) => {
                out.push(name);
                at = to.max(at + 1);
            }
            None => at += 1,
        }
    }
}

/// The strongest reading of a surname at `at`.
fn person(run: &Run, at: usize) -> Option<(Found, usize)> {
    let surname = (1..=3)
        .rev()
        .find(|length| run.roles(at, at + length) & role::LAST != 0)?;
    let given = at + surname;
    if let Some(to) = listed_given(run, given) {
        // Two characters are a word more often than a name.
        let common = frequent(run.cut(at, given));
        let solid = common && (to - given > 1 || surname > 1);
        let bounded = common && boundary(run, at, to) && !run.ends_thing(to) && !run.before_kana();
        let edges = run.cued(at) || run.titled(to) || bounded;
        if solid || edges {
            return Some((
                run.person(at, to, if edges { 0.85 } else { 0.55 }, "list"),
                to,
            ));
        }
    }
    if run.cued(at)
        && let Some(to) = cued_end(run, at, given)
    {
        return Some((run.person(at, to, 0.8, "cue"), to));
    }
    (given..=given + 3)
        .filter(|to| *to <= run.len() && free_left(run, at))
        .find(|to| run.titled(*to))
        .map(|to| (run.person(at, to, 0.8, "title"), to))
        .or_else(|| japanese(run, at, surname))
        .or_else(|| by_characters(run, at, given))
}

/// Words before `さん` and `様` that are no names.
const GROUPS: &[&str] = &[
    "客",
    "皆",
    "神",
    "王",
    "奥",
    "患者",
    "利用者",
    "会員",
    "取引先",
    "担当者",
    "各位",
    "何",
    "両親",
    "子",
    "嫁",
    "医者",
    "看護師",
    "店員",
    "社員",
    "業者",
    "警察",
];

/// A whole run before `さん` or `様`, without what announces it: also unlisted names.
fn honoured(run: &Run) -> Option<Found> {
    let kana = run.page.word(run.page.at(run.index + 1));
    let written = run.before_kana()
        && ["さん", "さま", "くん", "ちゃん"]
            .iter()
            .any(|title| kana.starts_with(title));
    let mut to = run.len();
    if !written && run.cut(to.checked_sub(1)?, to) == "様" {
        to -= 1;
    } else if !written {
        return None;
    }
    let name = run.cut(0, to);
    let fits = (1..=5).contains(&to)
        && !GROUPS.contains(&name)
        && !name.ends_with(['長', '員', '者', '屋', '店', '社'])
        && (to > 1 || run.roles(0, 1) & role::LAST != 0);
    let japanese = written || run.page.at(run.index + 1).kind != Kind::Han;
    (fits && japanese).then(|| run.person(0, to, 0.75, "title"))
}

/// `私は山寺伸幸です`, `宮部沙也加は`: four or five characters that are no occupation, or a listed given name at the end.
fn introduced(run: &Run) -> Option<Found> {
    let length = run.len();
    if !run.before_kana() || !(3..=6).contains(&length) || run.ends_thing(length) {
        return None;
    }
    let kana = run.page.word(run.page.at(run.index + 1));
    let before = run.text.get(..run.place(0)).unwrap_or_default();
    let says = ["です", "と申", "といい"]
        .iter()
        .any(|start| kana.starts_with(start));
    let occupation = run
        .cut(length - 1, length)
        .chars()
        .all(|last| "員生者家師人身長職中性系業".contains(last));
    if before.ends_with("私は") && says && length > 3 && !occupation {
        return Some(run.person(0, length, 0.6, "cue"));
    }
    let follows = says
        || ["は", "が", "の", "を", "に", "と", "も", "さ"]
            .iter()
            .any(|start| kana.starts_with(start));
    let given = (2..=3).any(|tail| {
        length > tail && length - tail <= 3 && run.roles(length - tail, length) & role::FIRST != 0
    });
    (follows && given && run.roles(0, 2) & role::MAJOR == 0)
        .then(|| run.person(0, length, 0.6, "list"))
}

/// Whether this is one of the surnames that four of five Chinese have, or one of several characters.
fn frequent(surname: &str) -> bool {
    const FREQUENT: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严張劉陳楊黃趙吳許鄭謝蘇盧鍾陸賴";
    FREQUENT.contains(surname) || surname.chars().nth(1).is_some()
}

/// End of the longest listed given name.
fn listed_given(run: &Run, given: usize) -> Option<usize> {
    (1..=3)
        .rev()
        .map(|length| given + length)
        .find(|to| run.roles(given, *to) & role::FIRST != 0)
}

fn free_left(run: &Run, at: usize) -> bool {
    at == 0 || run.cued(at) || run.cut(at - 1, at).chars().all(neighbour)
}

fn boundary(run: &Run, from: usize, to: usize) -> bool {
    free_left(run, from) && (run.ends_at(to) || run.after(to).chars().next().is_some_and(neighbour))
}

/// After a cue: up to two characters of given name, as far as the sentence allows.
fn cued_end(run: &Run, at: usize, given: usize) -> Option<usize> {
    let longest = (given + 2).min(run.len());
    let stop = (given..longest)
        .find(|place| run.cut(*place, place + 1).chars().all(neighbour))
        .unwrap_or(longest);
    // Four and more characters after the cue are a sentence, not a name.
    let crowded = run.len() > stop
        && !run.after(stop).chars().next().is_some_and(neighbour)
        && !run.titled(stop);
    let fits = stop > at + 1 && !crowded && !run.ends_thing(stop) && stop > given;
    fits.then_some(stop)
}

/// `田中太郎は`, `佐藤です`, `山田 花子`.
fn japanese(run: &Run, at: usize, surname: usize) -> Option<(Found, usize)> {
    let (length, next) = (run.len(), run.page.at(run.index + 1));
    if at > 0 || surname < 2 || run.ends_thing(length) {
        return None;
    }
    if length == surname && next.kind == Kind::Han && next.gap == Gap::Space && next.len() <= 9 {
        let found = Found {
            range: run.place(0)..next.end,
            kind: NameKind::Person,
            score: 0.7,
            reason: "list",
        };
        return Some((found, length));
    }
    let kana = run.page.word(next);
    let announces = run.before_kana()
        && ["です", "と申", "といい", "だ。", "でご"]
            .iter()
            .any(|start| kana.starts_with(start));
    if length == surname {
        return (announces && run.roles(0, length) & (role::MAJOR | role::PLACE) == 0)
            .then(|| (run.person(0, length, 0.6, "list"), length));
    }
    let follows = announces
        || run.before_kana()
            && ["は", "が", "さ", "の", "を", "に", "と", "も", "へ"]
                .iter()
                .any(|start| kana.starts_with(start));
    let given = length - surname;
    ((1..=3).contains(&given) && follows && run.roles(0, surname) & role::MAJOR == 0)
        .then(|| (run.person(0, length, 0.55, "list"), length))
}

/// A Chinese surname and two characters that given names are made of, alone between boundaries.
fn by_characters(run: &Run, at: usize, given: usize) -> Option<(Found, usize)> {
    let to = given + 2;
    let typical = to <= run.len()
        && run
            .cut(given, to)
            .chars()
            .all(|letter| GIVEN.contains(letter));
    let known = run.roles(at, to) & (role::MAJOR | role::PLACE | role::COMMON) != 0;
    (typical && !known && !run.before_kana() && boundary(run, at, to) && !run.ends_thing(to))
        .then(|| (run.person(at, to, 0.5, "characters"), to))
}

/// Listed cities, provinces and countries.
fn place(run: &Run, at: usize) -> Option<(Found, usize)> {
    let (to, roles) = (2..=5)
        .rev()
        .map(|length| (at + length, run.roles(at, at + length)))
        .find(|(_, roles)| roles & (role::MAJOR | role::PLACE) != 0)?;
    let after = run.cut(to, (to + 1).min(run.len()));
    let unit = [
        "市", "省", "县", "区", "県", "都", "府", "町", "州", "村", "道",
    ]
    .contains(&after);
    let before = run.text.get(..run.place(at)).unwrap_or_default();
    let cued = [
        "住在",
        "在",
        "来自",
        "位于",
        "去",
        "到",
        "住所は",
        "住所：",
        "出身は",
    ]
    .iter()
    .any(|cue| before.ends_with(cue));
    let fits = roles & role::MAJOR != 0 || unit || cued;
    let end = to + usize::from(unit);
    fits.then(|| {
        (
            Found {
                range: run.place(at)..run.place(end),
                kind: NameKind::Location,
                score: 0.65,
                reason: "place",
            },
            end,
        )
    })
}

/// `约翰·史密斯`: a foreign name in Chinese characters.
fn dotted(page: &Page, index: usize) -> Option<Found> {
    let (dot, next) = (page.at(index + 1), page.at(index + 2));
    let joined = dot.is_mark("·•") && dot.glued() && next.kind == Kind::Han && next.glued();
    let short = |token: Token| (3..=15).contains(&token.len());
    (joined && short(page.at(index)) && short(next))
        .then(|| page.found(index..index + 3, NameKind::Person, 0.6, "dot"))
}

/// `ジョン・スミスさん`, `アンナ様`.
fn katakana(page: &Page, index: usize) -> Option<Found> {
    if page.before(index).is_mark("・＝") && page.at(index).glued() {
        return None;
    }
    let mut to = index + 1;
    while page.at(to).is_mark("・＝")
        && page.at(to).glued()
        && page.at(to + 1).kind == Kind::Katakana
    {
        to += 2;
    }
    let end = page.before(to).end;
    let rest = page.text.get(end..).unwrap_or_default();
    let before = page.text.get(..page.at(index).start).unwrap_or_default();
    let titled = TITLES.iter().any(|title| rest.starts_with(title)) && !rest.starts_with("君");
    let cued = CUES.iter().any(|cue| before.ends_with(cue));
    let group = [
        "ユーザー",
        "メンバー",
        "スタッフ",
        "オーナー",
        "ゲスト",
        "ドライバー",
        "マネージャー",
        "サポート",
        "パートナー",
    ]
    .contains(&page.word(page.at(index)));
    (!group && (titled || cued && to > index + 1))
        .then(|| page.found(index..to, NameKind::Person, 0.65, "title"))
}

//! A run of Chinese characters, its characters by number, and the words that precede and follow names in it.

use super::fold::Key;
use super::page::Page;
use super::token::Kind;
use super::{Found, NameKind};

/// Stand right after a name.
pub const TITLES: &[&str] = &[
    "先生",
    "女士",
    "小姐",
    "太太",
    "老师",
    "教授",
    "医生",
    "经理",
    "主任",
    "同学",
    "律师",
    "博士",
    "护士",
    "阿姨",
    "叔叔",
    "总监",
    "工程师",
    "さん",
    "さま",
    "様",
    "氏",
    "くん",
    "ちゃん",
    "殿",
    "君",
    "部長",
    "課長",
    "社長",
    "係長",
    "医師",
    "選手",
    "主任",
    "教諭",
];

/// Stand right before a name. Chinese, then Japanese.
pub const CUES: &[&str] = &[
    "我叫",
    "我是",
    "名叫",
    "名字是",
    "名字叫",
    "姓名是",
    "姓名",
    "名为",
    "叫做",
    "客户",
    "患者",
    "病人",
    "联系人",
    "收件人",
    "寄件人",
    "员工",
    "同事",
    "经理",
    "医生",
    "朋友",
    "老师",
    "学生",
    "丈夫",
    "妻子",
    "儿子",
    "女儿",
    "老公",
    "老婆",
    "请联系",
    "联系",
    "通知",
    "告诉",
    "负责人",
    "申请人",
    "本人",
    "亲爱的",
    "尊敬的",
    "私は",
    "名前は",
    "氏名は",
    "担当の",
    "担当者は",
    "担当者の",
    "患者の",
    "お客様の",
    "社員の",
    "友人の",
    "同僚の",
    "部長の",
    "妻の",
    "夫の",
    "息子の",
    "娘の",
    "医師の",
    "こんにちは、",
];

/// Last characters of [`CUES`]: most places are turned away by these alone.
const fn may_end_cue(letter: char) -> bool {
    matches!(
        letter,
        '、' | 'の'
            | 'は'
            | '为'
            | '事'
            | '人'
            | '做'
            | '儿'
            | '公'
            | '友'
            | '叫'
            | '名'
            | '夫'
            | '婆'
            | '子'
            | '工'
            | '师'
            | '户'
            | '是'
            | '理'
            | '生'
            | '的'
            | '知'
            | '系'
            | '者'
            | '诉'
    )
}

/// First characters of [`TITLES`].
const fn may_start_title(letter: char) -> bool {
    matches!(
        letter,
        'く' | 'さ'
            | 'ち'
            | '主'
            | '係'
            | '先'
            | '医'
            | '博'
            | '叔'
            | '同'
            | '君'
            | '太'
            | '女'
            | '小'
            | '工'
            | '律'
            | '总'
            | '护'
            | '教'
            | '様'
            | '殿'
            | '氏'
            | '社'
            | '经'
            | '老'
            | '課'
            | '選'
            | '部'
            | '阿'
    )
}

/// What a name can be followed or preceded by in a Chinese sentence.
pub const fn neighbour(letter: char) -> bool {
    matches!(
        letter,
        '、' | '。'
            | '与'
            | '为'
            | '也'
            | '了'
            | '于'
            | '从'
            | '会'
            | '住'
            | '到'
            | '去'
            | '及'
            | '叫'
            | '向'
            | '和'
            | '在'
            | '天'
            | '对'
            | '将'
            | '就'
            | '已'
            | '找'
            | '把'
            | '是'
            | '有'
            | '来'
            | '由'
            | '的'
            | '给'
            | '被'
            | '要'
            | '让'
            | '说'
            | '请'
            | '跟'
            | '都'
            | '问'
            | '！'
            | '，'
            | '：'
            | '；'
            | '？'
    )
}

/// Characters frequent in Chinese given names.
pub const GIVEN: &str = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉萍红玲建国文辉力鹏飞宇浩轩子涵梓欣怡雨佳琪嘉雪梅兰竹菊燕云婷婉倩颖慧晓晨阳光志永俊峰海龙虎德福财旺斌彬宁安康健泽瑞博睿思远航天翔凯乐鑫淼森林坤乾凤莲荣珍珠琴瑶琳璐洁莹晶雯露蕾薇雅诗韵彤丹青春夏秋冬东西南北新立成家生根祥庆喜兴隆昌盛义仁礼智信忠孝清正大小一二三少伯仲宏振学友民权世界元亮";

/// Ends of words that are places or institutions, not people.
const THINGS: &str =
    "市県都府区町村駅線社店校省县路街道州国局部院会館馆城山川河湖島岛港寺宮語语人年月日";

/// Longest piece of a run that is looked up, in characters.
const PIECE_MAX: usize = 5;

/// A run of Chinese characters with the place of each in the text.
pub struct Run<'a> {
    pub text: &'a str,
    places: Vec<usize>,
    /// Roles of the one to five characters from each place on.
    known: Vec<[u32; PIECE_MAX]>,
    pub page: &'a Page<'a>,
    pub index: usize,
}

impl<'a> Run<'a> {
    pub fn new(page: &'a Page<'a>, index: usize) -> Self {
        let token = page.at(index);
        let letters: Vec<char> = page.word(token).chars().collect();
        let places = page
            .word(token)
            .char_indices()
            .map(|(place, _)| token.start + place)
            .chain([token.end])
            .collect();
        let known = (0..letters.len())
            .map(|at| pieces(page, letters.get(at..).unwrap_or_default()))
            .collect();
        Self {
            text: page.text,
            places,
            known,
            page,
            index,
        }
    }

    pub fn len(&self) -> usize {
        self.places.len().saturating_sub(1)
    }

    pub fn place(&self, at: usize) -> usize {
        self.places
            .get(at)
            .or(self.places.last())
            .copied()
            .unwrap_or(0)
    }

    /// Characters `from..to` of the run.
    pub fn cut(&self, from: usize, to: usize) -> &'a str {
        self.text
            .get(self.place(from)..self.place(to))
            .unwrap_or_default()
    }

    /// Roles of characters `from..to`; 0 beyond the run.
    pub fn roles(&self, from: usize, to: usize) -> u32 {
        let length = to.saturating_sub(from).checked_sub(1);
        self.known
            .get(from)
            .zip(length)
            .and_then(|(pieces, length)| pieces.get(length))
            .copied()
            .unwrap_or(0)
    }

    /// Text after character `at`, beyond the run too.
    pub fn after(&self, at: usize) -> &'a str {
        self.text.get(self.place(at)..).unwrap_or_default()
    }

    pub fn cued(&self, at: usize) -> bool {
        let before = self.text.get(..self.place(at)).unwrap_or_default();
        before.chars().next_back().is_some_and(may_end_cue)
            && CUES.iter().any(|cue| before.ends_with(cue))
    }

    pub fn titled(&self, at: usize) -> bool {
        let after = self.after(at);
        after.chars().next().is_some_and(may_start_title)
            && TITLES.iter().any(|title| after.starts_with(title))
    }

    pub fn person(&self, from: usize, to: usize, score: f32, reason: &'static str) -> Found {
        Found {
            range: self.place(from)..self.place(to),
            kind: NameKind::Person,
            score,
            reason,
        }
    }

    /// Kana right after the run: the text is Japanese.
    pub fn before_kana(&self) -> bool {
        let next = self.page.at(self.index + 1);
        next.kind == Kind::Hiragana && next.glued()
    }

    /// Nothing but this run between blanks, marks or other scripts.
    pub fn ends_at(&self, at: usize) -> bool {
        at == self.len()
    }
}

/// Roles of the first one to five of these characters.
fn pieces(page: &Page, letters: &[char]) -> [u32; PIECE_MAX] {
    let (mut roles, mut key) = ([0; PIECE_MAX], Key::new());
    for (place, (slot, letter)) in roles.iter_mut().zip(letters).enumerate() {
        key.push(*letter);
        if place == 1 && !page.lexicon.starts_word(key.finish()) {
            break;
        }
        *slot = page.lexicon.word(key.finish());
    }
    roles
}

impl Run<'_> {
    pub fn ends_thing(&self, to: usize) -> bool {
        self.cut(to.saturating_sub(1), to)
            .chars()
            .any(|last| THINGS.contains(last))
    }
}

use super::*;
use crate::share::tape::Next;
use proptest::prelude::*;

type Calls = Register<u32, &'static str>;

const KEEP: Duration = Duration::from_secs(2);

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

fn ask(key: u8, now_ms: u64) -> Ask {
    Ask {
        key: digest(key),
        question: digest(0),
        owner: Owner {
            tenant: "t".into(),
            user: format!("u{key}").as_str().into(),
            route: "chat".into(),
        },
        source: [key; 16],
        mode: Mode::Join,
        replay: true,
        age_max: None,
        keep: KEEP,
        now_ms,
    }
}

fn size() -> Size {
    Size {
        payload: 10,
        memory: 100,
    }
}

fn calls() -> Arc<Calls> {
    Register::new(1 << 20, 1 << 20)
}

fn lead(
    calls: &Arc<Calls>,
    ask: Ask,
) -> (Box<Source<u32, &'static str>>, Reader<u32, &'static str>) {
    match calls.enter(ask, "replaced", "lost") {
        Entered::Lead(source, reader) => (source, reader),
        other => panic!("{}", name(&other)),
    }
}

fn name(entered: &Entered<u32, &'static str>) -> &'static str {
    match entered {
        Entered::Lead(..) => "lead",
        Entered::Joined(..) => "joined",
        Entered::Again(..) => "again",
        Entered::Refused => "refused",
        Entered::Closed => "closed",
        Entered::Mismatch => "mismatch",
    }
}

fn entered(calls: &Arc<Calls>, ask: Ask) -> &'static str {
    name(&calls.enter(ask, "replaced", "lost"))
}

#[test]
fn the_same_request_joins_and_finds_the_answer_for_a_while() {
    let calls = calls();
    let (source, _reader) = lead(&calls, ask(1, 0));
    assert!(
        matches!(calls.enter(ask(1, 5), "", ""), Entered::Joined(_, source) if source == [1; 16])
    );
    assert_eq!(entered(&calls, ask(2, 5)), "lead");
    source.push(7, size());
    assert_eq!(source.end(Ok(()), 1_000), Ended::Kept { evicted: 0 });
    let Entered::Again(mut reader, source, age) = calls.enter(ask(1, 2_500), "", "") else {
        panic!("it is kept");
    };
    assert_eq!((source, age), ([1; 16], Duration::from_millis(1_500)));
    assert_eq!(reader.try_next(), Some(Next::Piece(7)));
    assert_eq!(reader.try_next(), Some(Next::Done));
    let fresh = Ask {
        replay: false,
        ..ask(1, 1_000)
    };
    assert!(
        calls.known(&fresh).is_none(),
        "a finished one is not wanted"
    );
    let young = Ask {
        age_max: Some(Duration::ZERO),
        ..ask(1, 2_500)
    };
    assert!(calls.known(&young).is_none(), "it is older than wanted");
    assert!(calls.known(&ask(1, 3_001)).is_none(), "its time is over");
}

#[test]
fn modes_refuse_and_replace() {
    let calls = calls();
    let (old, mut reader) = lead(&calls, ask(1, 0));
    let with = |mode| Ask { mode, ..ask(1, 0) };
    assert_eq!(entered(&calls, with(Mode::Reject)), "refused");
    let (new, _) = lead(&calls, with(Mode::Replace));
    assert_eq!(reader.try_next(), Some(Next::Failed("replaced")));
    assert_eq!(old.end(Ok(()), 0), Ended::Unwanted);
    assert_eq!(
        entered(&calls, ask(1, 0)),
        "joined",
        "the newer call is still there"
    );
    drop(new);
    assert_eq!(calls.flying(), (0, 0));
}

#[test]
fn a_key_serves_one_question() {
    let calls = calls();
    let other = Ask {
        question: digest(9),
        ..ask(1, 0)
    };
    let (source, _reader) = lead(&calls, ask(1, 0));
    assert_eq!(entered(&calls, other.clone()), "mismatch");
    source.end(Ok(()), 0);
    assert_eq!(entered(&calls, other), "mismatch");
}

#[test]
fn failures_are_told_and_not_kept() {
    let calls = calls();
    let (source, mut reader) = lead(&calls, ask(1, 0));
    assert_eq!(source.end(Err("no"), 0), Ended::Failed);
    assert_eq!(reader.try_next(), Some(Next::Failed("no")));
    let (source, mut reader) = lead(&calls, ask(1, 0));
    drop(source);
    assert_eq!(reader.try_next(), Some(Next::Failed("lost")));
    let (_again, _reader) = lead(&calls, ask(1, 0));
}

#[test]
fn a_long_answer_is_neither_joined_nor_kept() {
    let calls = calls();
    let (source, reader) = lead(&calls, ask(1, 0));
    let long = Size {
        payload: 2 << 20,
        memory: 2 << 20,
    };
    source.push(1, long);
    assert_eq!(entered(&calls, ask(1, 0)), "closed");
    assert_eq!(source.end(Ok(()), 0), Ended::TooLarge);
    assert_eq!(calls.fill(0).entries, 0);
    drop(reader);
    // One that nobody listens to any more is in nobody's way.
    let (source, reader) = lead(&calls, ask(1, 0));
    source.push(1, long);
    drop(reader);
    assert_eq!(entered(&calls, ask(1, 0)), "lead");
}

#[test]
fn a_purge_reaches_what_is_kept_and_what_is_in_flight() {
    let calls = calls();
    for key in [1, 2] {
        let (source, _reader) = lead(&calls, ask(key, 0));
        source.end(Ok(()), 0);
    }
    let (flying, _reader) = lead(&calls, ask(3, 0));
    let of = |user: &str| Purge {
        user: Some(user.to_owned()),
        ..Purge::default()
    };
    assert_eq!(calls.purge(&of("u1")), 1);
    assert!(calls.known(&ask(1, 0)).is_none() && calls.known(&ask(2, 0)).is_some());
    assert_eq!(calls.purge(&of("u3")), 0);
    assert_eq!(flying.end(Ok(()), 0), Ended::Unwanted);
    assert_eq!(calls.list(&of("u2")).len(), 1);
}

#[test]
fn ten_thousand_who_join_and_leave() {
    let calls = calls();
    let (source, first) = lead(&calls, ask(1, 0));
    let joined: Vec<_> = (0..10_000)
        .map(|_| calls.enter(ask(1, 0), "", ""))
        .collect();
    source.push(1, size());
    assert_eq!(source.tape().listeners(), 10_001);
    drop((joined, first));
    assert_eq!(source.tape().listeners(), 0);
    drop(source);
    assert_eq!(calls.flying(), (0, 0));
}

#[derive(Debug, Clone)]
enum Step {
    Enter(u8, Mode),
    Leave(usize),
    Push(usize),
    End(usize, bool),
    Lose(usize),
    Purge(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop_oneof![Just(Mode::Join), Just(Mode::Reject), Just(Mode::Replace)];
    prop_oneof![
        6 => (0_u8..4, mode).prop_map(|(key, mode)| Step::Enter(key, mode)),
        4 => any::<usize>().prop_map(Step::Leave),
        4 => any::<usize>().prop_map(Step::Push),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(n, well)| Step::End(n, well)),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => (0_u8..4).prop_map(Step::Purge),
    ]
}

proptest! {
    /// After any history, when every call has ended and everyone has left, nothing is in flight and nothing is held but what
    /// is kept; and never are there two calls in flight for one key.
    #[test]
    fn nothing_is_held_after_any_history(steps in prop::collection::vec(step(), 1..150)) {
        let calls = calls();
        let (mut sources, mut readers) = (Vec::new(), Vec::new());
        let take = |sources: &mut Vec<Box<Source<u32, &'static str>>>, n: usize| {
            let at = n % sources.len().max(1);
            (at < sources.len()).then(|| sources.swap_remove(at))
        };
        for (now_ms, step) in (0..).step_by(100).zip(steps) {
            match step {
                Step::Enter(key, mode) => {
                    let ask = Ask { mode, ..ask(key, now_ms) };
                    match calls.enter(ask, "replaced", "lost") {
                        Entered::Lead(source, reader) => {
                            sources.push(source);
                            readers.push(reader);
                        }
                        Entered::Joined(reader, _) | Entered::Again(reader, ..) => readers.push(reader),
                        Entered::Refused => prop_assert_eq!(mode, Mode::Reject),
                        Entered::Closed | Entered::Mismatch => prop_assert!(false),
                    }
                }
                Step::Leave(n) if !readers.is_empty() => {
                    let at = n % readers.len();
                    readers.swap_remove(at);
                }
                Step::Push(n) if !sources.is_empty() => {
                    let at = n % sources.len();
                    sources[at].push(1, size());
                }
                Step::End(n, well) => {
                    if let Some(source) = take(&mut sources, n) {
                        source.end(if well { Ok(()) } else { Err("no") }, now_ms);
                    }
                }
                Step::Lose(n) => drop(take(&mut sources, n)),
                Step::Purge(key) => {
                    calls.purge(&Purge { user: Some(format!("u{key}")), ..Purge::default() });
                }
                Step::Leave(_) | Step::Push(_) => {}
            }
            prop_assert!(calls.flying().0 <= 4 && calls.flying().0 <= sources.len());
        }
        drop((sources, readers));
        prop_assert_eq!(calls.flying(), (0, 0));
        let entries = u64::try_from(calls.fill(0).entries).unwrap();
        prop_assert_eq!(calls.purge(&Purge::default()), entries);
        prop_assert_eq!(calls.fill(0).bytes, 0);
    }
}

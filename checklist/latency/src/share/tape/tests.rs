use super::*;
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;
use std::task::Wake;

type Said = Tape<u32, &'static str>;

/// Tells whether it was woken.
#[derive(Default)]
struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Bell {
    fn rang(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

fn bell() -> (Arc<Bell>, Waker) {
    let bell = Arc::new(Bell::default());
    (bell.clone(), bell.into())
}

fn tape() -> (Arc<Said>, Arc<Meter>) {
    let meter = Arc::new(Meter::new(16 << 20));
    (Tape::new(meter.clone()), meter)
}

fn size(payload: usize) -> Size {
    let memory = payload + 100;
    Size { payload, memory }
}

fn read(reader: &mut Reader<u32, &'static str>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(Next::Piece(piece)) = reader.try_next() {
        all.push(piece);
    }
    all
}

fn room(tape: &Said) -> Poll<usize> {
    tape.poll_room(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn whoever_joins_reads_everything_from_the_beginning() {
    let (tape, _) = tape();
    let mut first = tape.join().unwrap();
    tape.push(1, size(10));
    assert_eq!(read(&mut first), [1]);
    let mut second = tape.join().unwrap();
    tape.push(2, size(10));
    tape.end(Ok(()));
    tape.push(3, size(10));
    let mut third = tape.join().unwrap();
    assert_eq!(read(&mut first), [2]);
    assert_eq!(tape.heard(), 2);
    assert_eq!(read(&mut second), [1, 2]);
    assert_eq!(read(&mut tape.follow(1)), [2]);
    assert_eq!(read(&mut third), [1, 2]);
    assert_eq!(third.try_next(), Some(Next::Done));
    assert!(tape.is_complete());
}

#[test]
fn a_failure_reaches_everyone_after_what_was_said() {
    let (tape, _) = tape();
    let mut reader = tape.join().unwrap();
    tape.push(1, size(10));
    tape.end(Err("lost"));
    tape.end(Ok(()));
    assert_eq!(read(&mut reader), [1]);
    assert_eq!(reader.try_next(), Some(Next::Failed("lost")));
    assert!(!tape.is_complete());
}

#[test]
fn readers_are_woken_by_what_is_written_and_the_writer_by_who_leaves_and_comes() {
    let (tape, _) = tape();
    let mut reader = tape.join().unwrap();
    let (rang, waker) = bell();
    let mut cx = Context::from_waker(&waker);
    assert!(reader.poll_next(&mut cx).is_pending());
    tape.push(1, size(1));
    assert!(rang.rang());
    assert!(tape.poll_alone(&mut cx).is_pending());
    drop(reader);
    assert!(rang.rang());
    assert_eq!(tape.poll_alone(&mut cx), Poll::Ready(Heard::Alone));
    assert!(tape.poll_heard(&mut cx).is_pending());
    let reader = tape.join().unwrap();
    assert!(rang.rang());
    assert!(tape.poll_heard(&mut cx).is_ready());
    assert!(tape.poll_alone(&mut cx).is_pending());
    tape.end(Err("over"));
    assert!(rang.rang());
    assert_eq!(tape.poll_alone(&mut cx), Poll::Ready(Heard::Ended));
    drop(reader);
}

#[test]
fn nobody_is_waited_for_who_could_not_join() {
    let (tape, _) = tape();
    let (rang, waker) = bell();
    let mut cx = Context::from_waker(&waker);
    assert!(tape.poll_heard(&mut cx).is_pending());
    tape.push(1, size(PAYLOAD_MAX + 1));
    assert!(rang.rang());
    assert!(tape.poll_heard(&mut cx).is_ready() && !tape.is_open());
}

#[test]
fn a_lone_slow_reader_is_waited_for_and_never_cut_off() {
    let (tape, meter) = tape();
    let mut reader = tape.join().unwrap();
    let mut written = 0;
    while room(&tape).is_ready() {
        tape.push(written, size(1000));
        written += 1;
    }
    assert!(meter.held() < PAYLOAD_MAX + PAYLOAD_MAX / 8);
    assert!(tape.join().is_none(), "nobody joins beyond the bound");
    let (rang, waker) = bell();
    assert!(
        tape.poll_room(&mut Context::from_waker(&waker))
            .is_pending()
    );
    assert_eq!(reader.try_next(), Some(Next::Piece(0)));
    assert!(rang.rang());
    assert!(room(&tape).is_ready());
    tape.push(written, size(1000));
    tape.end(Ok(()));
    let rest = read(&mut reader);
    assert_eq!(rest, (1..=written).collect::<Vec<_>>());
    assert!(!tape.is_complete(), "its beginning is gone");
    drop((reader, tape));
    assert_eq!(meter.held(), 0);
}

#[test]
fn who_falls_behind_is_cut_off_when_another_one_waits_for_more() {
    let (tape, _) = tape();
    let (mut fast, mut slow) = (tape.join().unwrap(), tape.join().unwrap());
    let (rang, waker) = bell();
    let mut cut = 0;
    for piece in 0..5000 {
        match room(&tape) {
            Poll::Ready(n) => cut += n,
            Poll::Pending => panic!("the fast one reads"),
        }
        tape.push(piece, size(1000));
        assert_eq!(fast.try_next(), Some(Next::Piece(piece)));
    }
    assert_eq!(cut, 1);
    assert_eq!(slow.try_next(), Some(Next::Cut));
    assert_eq!(
        slow.poll_next(&mut Context::from_waker(&waker)),
        Poll::Ready(Next::Cut)
    );
    assert!(!rang.rang());
    tape.end(Ok(()));
    assert_eq!(fast.try_next(), Some(Next::Done));
}

#[test]
fn all_tapes_together_hold_no_more_than_they_may() {
    let meter = Arc::new(Meter::new(1 << 20));
    let tapes: Vec<Arc<Said>> = (0..100).map(|_| Tape::new(meter.clone())).collect();
    let readers: Vec<_> = tapes.iter().map(|tape| tape.join().unwrap()).collect();
    for tape in &tapes {
        while room(tape).is_ready() && tape.lock().payload < 500_000 {
            tape.push(0, size(1000));
        }
    }
    let bound = (1 << 20) + 500_000 + 100 * (AHEAD_MAX + AHEAD_MAX / 8);
    assert!(meter.held() < bound, "{}", meter.held());
    let closed = tapes.iter().filter(|tape| tape.join().is_none()).count();
    assert!(closed >= 97, "{closed}");
    drop((readers, tapes));
    assert_eq!(meter.held(), 0);
}

#[test]
fn a_storm_of_ten_thousand_readers_that_leave_holds_nothing_back() {
    let (tape, meter) = tape();
    for round in 0..3 {
        let readers: Vec<_> = (0..10_000).map(|_| tape.join().unwrap()).collect();
        tape.push(round, size(10));
        assert_eq!(tape.listeners(), 10_000);
        drop(readers);
        assert_eq!(tape.listeners(), 0);
    }
    assert!(tape.lock().places.is_empty());
    drop(tape);
    assert_eq!(meter.held(), 0);
}

#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave(usize),
    Read(usize),
    Push(usize),
    End(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Join),
        3 => any::<usize>().prop_map(Step::Leave),
        6 => any::<usize>().prop_map(Step::Read),
        6 => (0_usize..300_000).prop_map(Step::Push),
        1 => any::<bool>().prop_map(Step::End),
    ]
}

proptest! {
    /// Each reader gets a prefix of what was written, without gaps; when all have left, nothing is held.
    #[test]
    fn readers_get_what_was_written_in_order(steps in prop::collection::vec(step(), 1..200)) {
        let (tape, meter) = tape();
        let mut readers: Vec<(Reader<u32, &'static str>, u32)> = Vec::new();
        let (mut written, mut ended) = (0, false);
        for step in steps {
            match step {
                Step::Join => readers.extend(tape.join().map(|reader| (reader, 0))),
                Step::Leave(n) if !readers.is_empty() => {
                    let at = n % readers.len();
                    readers.swap_remove(at);
                }
                Step::Read(n) if !readers.is_empty() => {
                    let at = n % readers.len();
                    let (reader, next) = &mut readers[at];
                    match reader.try_next() {
                        Some(Next::Piece(piece)) => {
                            prop_assert_eq!(piece, *next);
                            *next += 1;
                        }
                        Some(Next::Done | Next::Failed(_)) => prop_assert!(ended && *next == written),
                        Some(Next::Cut) => prop_assert!(!tape.lock().whole),
                        None => prop_assert!(!ended && *next == written),
                    }
                }
                Step::Push(n) if !ended && room(&tape).is_ready() => {
                    tape.push(written, size(n));
                    written += 1;
                    let inner = tape.lock();
                    prop_assert!(inner.payload <= PAYLOAD_MAX + 300_000);
                }
                Step::End(well) => {
                    tape.end(if well { Ok(()) } else { Err("lost") });
                    ended = true;
                }
                Step::Leave(_) | Step::Read(_) | Step::Push(_) => {}
            }
            prop_assert_eq!(tape.listeners(), readers.len());
            prop_assert_eq!(meter.held(), tape.memory());
        }
        drop(readers);
        prop_assert_eq!(tape.listeners(), 0);
        prop_assert!(tape.lock().places.is_empty());
        drop(tape);
        prop_assert_eq!(meter.held(), 0);
    }
}

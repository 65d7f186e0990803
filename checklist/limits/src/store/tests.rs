use super::sqlite::SqliteLedger;
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

fn used(key: u128, at: u64, amount: i64, until: u64) -> Used {
    Used {
        key: Key(key),
        at,
        amount,
        until,
    }
}

#[test]
fn additions_are_summed_and_what_is_over_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("limits.db");
    let mut store = SqliteLedger::open(&file).unwrap();
    store
        .add(&[
            used(1, 100, 5, 1000),
            used(1, 200, 7, 1100),
            used(2, 0, 9, u64::MAX),
        ])
        .unwrap();
    store
        .add(&[used(1, 100, -3, 1000), used(2, 0, 1, u64::MAX)])
        .unwrap();
    drop(store);
    let mut store = SqliteLedger::open(&file).unwrap();
    let all = store.load(500).unwrap();
    let expected = [
        used(1, 100, 2, 1000),
        used(1, 200, 7, 1100),
        used(2, 0, 10, u64::MAX),
    ];
    assert_eq!(all, expected);
    assert_eq!(store.load(1000).unwrap(), expected[1..]);
}

#[test]
fn a_damaged_file_is_not_begun_anew_in_silence() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("limits.db");
    std::fs::write(&file, vec![b'x'; 8192]).unwrap();
    let error = SqliteLedger::open(&file).err().unwrap().to_string();
    assert!(error.contains("move it away"), "{error}");
}

/// A disk that can be away.
struct Shaky {
    away: Arc<AtomicBool>,
    kept: Arc<Mutex<Vec<Used>>>,
}

impl LedgerStore for Shaky {
    fn load(&mut self, _: u64) -> Result<Vec<Used>, StoreError> {
        Ok(Vec::new())
    }

    fn add(&mut self, additions: &[Used]) -> Result<(), StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError {
                file: "disk".to_owned(),
                message: "away".to_owned(),
            });
        }
        self.kept.lock().unwrap().extend_from_slice(additions);
        Ok(())
    }
}

#[tokio::test]
async fn who_waits_for_the_disk_is_told_when_it_is_away_and_nothing_is_lost() {
    let (away, kept) = (Arc::new(AtomicBool::new(true)), Arc::default());
    let shaky = Shaky {
        away: away.clone(),
        kept: Arc::clone(&kept),
    };
    let ledger = Ledger::start(Box::new(shaky)).unwrap();
    ledger.journal.note(used(1, 0, 5, 10));
    assert!(ledger.journal.written().await.is_err());
    away.store(false, Ordering::SeqCst);
    ledger.journal.note(used(1, 0, 6, 10));
    assert!(ledger.journal.written().await.is_ok());
    ledger.close();
    let sum: i64 = kept.lock().unwrap().iter().map(|used| used.amount).sum();
    assert_eq!(sum, 11);
    assert!(ledger.journal.report().failed >= 1);
    assert!(ledger.journal.written().await.is_err(), "it is closed");
}

#[test]
fn what_waits_is_bounded() {
    let journal = Journal::default();
    for n in 0..PENDING_MAX + 10 {
        journal.note(used(u128::try_from(n).unwrap(), 0, 1, 10));
    }
    // What is there already can still grow.
    journal.note(used(0, 0, 1, 10));
    assert_eq!(journal.report().lost, 10);
    let mut told = journal.written();
    assert!(told.try_recv().is_err());
}

//! The model inside this process, on threads of its own.

use aplomb_core::embed::{Embed, EmbedFault, Then, Vector};
use aplomb_models::embed::{DIMENSIONS, Model, SPACE, Scratch};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Texts that wait at most; beyond it a text gets no vector. Chosen: what two threads do in about half a second.
const QUEUE: usize = 128;
/// Processors for each thread that embeds, and most threads. Chosen: vectors are to take no more than a share of the machine.
const PROCESSORS_EACH: usize = 4;
const THREADS_MAX: usize = 4;

struct Job {
    text: String,
    then: Then,
}

/// Threads that embed. They end when the last handle is gone.
#[derive(Clone)]
pub(crate) struct Local(Option<SyncSender<Job>>);

impl Local {
    /// Starts the threads. Where the system gives none, or the weights are damaged, every text fails.
    pub(crate) fn start() -> Self {
        let (sender, jobs) = sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / PROCESSORS_EACH).clamp(1, THREADS_MAX);
        let started = (0..threads).filter(|n| {
            let jobs = jobs.clone();
            let thread = std::thread::Builder::new().name(format!("embedder {n}"));
            thread.spawn(move || work(&jobs)).is_ok()
        });
        Local((started.count() > 0).then_some(sender))
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    let model = Model::shared();
    let mut scratch = Scratch::default();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { text, then }) = next else { return };
        then(match &model {
            Ok(model) => {
                let embedding = model.embed(&text, &mut scratch);
                Ok(Vector {
                    values: embedding.vector,
                    cut: embedding.cut,
                })
            }
            Err(_) => Err(EmbedFault::Failed),
        });
    }
}

impl Embed for Local {
    fn space(&self) -> &str {
        SPACE
    }

    fn dims(&self) -> usize {
        DIMENSIONS
    }

    fn embed(&self, text: String, then: Then) {
        let job = Job { text, then };
        let refused = match &self.0 {
            None => Some((job, EmbedFault::Failed)),
            Some(sender) => sender.try_send(job).err().map(|error| match error {
                std::sync::mpsc::TrySendError::Full(job) => (job, EmbedFault::Busy),
                std::sync::mpsc::TrySendError::Disconnected(job) => (job, EmbedFault::Failed),
            }),
        };
        if let Some((job, fault)) = refused {
            (job.then)(Err(fault));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn vector(local: &Local, text: &str) -> Result<Vector, EmbedFault> {
        let (sender, told) = mpsc::sync_channel(1);
        local.embed(
            text.to_owned(),
            Box::new(move |result| sender.send(result).unwrap()),
        );
        told.recv().unwrap()
    }

    #[test]
    fn texts_are_embedded_elsewhere_and_long_ones_say_that_they_were_cut() {
        let local = Local::start();
        let short = vector(&local, "How do I cancel?").unwrap();
        assert_eq!((short.values.len(), short.cut), (local.dims(), false));
        assert!(vector(&local, &"word ".repeat(500)).unwrap().cut);
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let local = Local::start();
        let (hold, held) = mpsc::sync_channel::<()>(0);
        let held = Arc::new(Mutex::new(held));
        // Every thread is kept until `hold` is gone.
        for _ in 0..THREADS_MAX {
            let held = held.clone();
            let then = move |_| assert!(held.lock().unwrap().recv().is_err());
            local.embed("x".into(), Box::new(then));
        }
        let (sender, told) = mpsc::sync_channel(QUEUE + 1);
        for _ in 0..=QUEUE {
            let sender = sender.clone();
            let then = move |result: Result<Vector, EmbedFault>| sender.send(result.err()).unwrap();
            local.embed("x".into(), Box::new(then));
        }
        drop((hold, sender));
        let faults: Vec<_> = told.iter().collect();
        let busy = faults
            .iter()
            .filter(|fault| **fault == Some(EmbedFault::Busy));
        assert_eq!(faults.len(), QUEUE + 1);
        assert!(busy.count() > 0, "none was refused");
    }
}

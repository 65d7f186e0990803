//! What the response caches and the queues before targets count.

use super::*;

/// One number of each cache.
const PLAIN: [(Kind, Plain<CacheMetrics>); 11] = [
    (
        Kind::Gauge,
        (
            "aplomb_cache_shared_up",
            "Whether the Redis that a response cache is shared over answered last; 0 where it is not shared.",
            |cache| number(cache.shared_up.get()),
        ),
    ),
    (
        Kind::Counter,
        (
            "aplomb_cache_embedding_usd_total",
            "What vectors from a provider cost in US dollars, where the price is known.",
            |cache| usd(&cache.embedding_nano),
        ),
    ),
    (
        Kind::Counter,
        (
            "aplomb_cache_shadow_total",
            "Real answers that were compared with the one that a response cache would have served.",
            |cache| number(cache.shadow.get()),
        ),
    ),
    (
        Kind::Counter,
        (
            "aplomb_cache_shadow_agreement_total",
            "Sum of the agreement (0 to 1) of those answers; divided by their number it is the mean.",
            |cache| cache.shadow_agreement(),
        ),
    ),
    (
        Kind::Gauge,
        (
            "aplomb_cache_vectors",
            "Questions by which others are compared now, by response cache.",
            |cache| number(cache.vectors.get()),
        ),
    ),
    (
        Kind::Counter,
        (
            "aplomb_cache_kept_total",
            "Answers that were kept, by response cache.",
            |cache| number(cache.kept.get()),
        ),
    ),
    (
        Kind::Counter,
        (
            "aplomb_cache_evicted_total",
            "Kept answers that were pushed out by others, by response cache.",
            |cache| number(cache.evicted.get()),
        ),
    ),
    (
        Kind::Counter,
        (
            "aplomb_cache_saved_usd_total",
            "What answers from the response cache would have cost in US dollars, where the price is known.",
            |cache| usd(&cache.saved_nano),
        ),
    ),
    (
        Kind::Gauge,
        (
            "aplomb_cache_entries",
            "Answers that are kept now, by response cache.",
            |cache| number(cache.entries.get()),
        ),
    ),
    (
        Kind::Gauge,
        (
            "aplomb_cache_bytes",
            "Memory of kept answers, by response cache.",
            |cache| number(cache.bytes.get()),
        ),
    ),
    (
        Kind::Gauge,
        ("aplomb_cache_max_bytes", "Bound of that memory.", |cache| {
            number(cache.bytes_max.get())
        }),
    ),
];

pub(super) fn cache_families(all: &Named<CacheMetrics>) -> Vec<Family> {
    let label = "cache";
    let mut asked = Family::counter(
        "aplomb_cache_requests_total",
        "Requests of routes with a response cache, by cache, result (`hit_exact`, `hit_semantic`, `miss`, `bypass`) and reason.",
    );
    let mut unkept = Family::counter(
        "aplomb_cache_unkept_total",
        "Answers that were not kept, by response cache and reason.",
    );
    for (name, cache) in all {
        let mut push = |result: &'static str, reason: &'static str, count: u64| {
            let mut labels = two((label, name), ("result", result));
            labels.push(("reason", reason.into()));
            asked.push(labels, number(count));
        };
        push("hit_exact", "", cache.hits_exact.get());
        push("hit_semantic", "", cache.hits_semantic.get());
        for (result, reasons) in [("miss", cache.misses()), ("bypass", cache.bypasses())] {
            for (reason, count) in reasons {
                push(result, reason, count);
            }
        }
        for (reason, count) in cache.left_out() {
            unkept.push(two((label, name), ("reason", reason)), number(count));
        }
    }
    let mut embedding = Family::histogram(
        "aplomb_cache_embedding_seconds",
        "How long requests waited for the vector of their question, by response cache.",
    );
    for (name, cache) in all {
        embedding.buckets(one(label, name.clone()), cache.embedding.snapshot());
    }
    let mut shared = Family::counter(
        "aplomb_cache_shared_entries_total",
        "Entries of shared response caches, by cache and what became of them: `put`, `unput` (it was away, or too many waited), \
         `fetched` from other nodes, `dropped` (damaged or foreign).",
    );
    for (name, cache) in all {
        for (what, count) in [
            ("put", &cache.shared_put),
            ("unput", &cache.shared_unput),
            ("fetched", &cache.shared_fetched),
            ("dropped", &cache.shared_dropped),
        ] {
            shared.push(two((label, name), ("what", what)), number(count.get()));
        }
    }
    let mut families = vec![asked, unkept, embedding, shared];
    for (kind, (name, help, value)) in PLAIN {
        let mut family = Family::new(name, kind, help);
        each(&mut family, label, all, value);
        families.push(family);
    }
    families
}

pub(super) fn queue_families(all: &Named<TargetMetrics>) -> [Family; 3] {
    let label = "target";
    let mut waiting = Family::new(
        "aplomb_queue_waiting",
        Kind::Gauge,
        "Requests that wait for their turn, by target.",
    );
    each(&mut waiting, label, all, |target| {
        number(target.queue_waiting.get())
    });
    let mut wait = Family::histogram(
        "aplomb_queue_wait_seconds",
        "How long requests waited for their turn, by target.",
    );
    let mut refused = Family::counter(
        "aplomb_queue_refused_total",
        "Requests without a turn, by target and reason: `full` or `late`.",
    );
    for (name, target) in all {
        wait.buckets(one(label, name.clone()), target.queue_wait.snapshot());
        let reasons = [
            ("full", &target.queue_refused_full),
            ("late", &target.queue_refused_late),
        ];
        for (reason, count) in reasons {
            refused.push(two((label, name), ("reason", reason)), number(count.get()));
        }
    }
    [waiting, wait, refused]
}

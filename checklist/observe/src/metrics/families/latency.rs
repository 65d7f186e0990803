//! What the response caches and the queues before targets count, and how fast answers are, by route and target.

use super::*;
use crate::metrics::Histogram;
use crate::metrics::genai::{ByOperation, ClientSeries, ServerSeries};

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

pub(super) fn queue_families(all: &Named<TargetMetrics>) -> [Family; 4] {
    let label = "target";
    let mut slots = Family::new(
        "aplomb_concurrency_limit",
        Kind::Gauge,
        "Calls that a target takes at a time, all keys together; 0 where there is no bound.",
    );
    each(&mut slots, label, all, |target| number(target.slots.get()));
    let mut waiting = Family::new(
        "aplomb_queue_waiting",
        Kind::Gauge,
        "Requests that wait for their turn, by target and class.",
    );
    let mut wait = Family::histogram(
        "aplomb_queue_wait_seconds",
        "How long requests waited for their turn, by target and class.",
    );
    let mut refused = Family::counter(
        "aplomb_queue_refused_total",
        "Requests without a turn, by target, class and reason: `full`, `late` or `shed`.",
    );
    for (name, target) in all {
        for (class, queue) in [
            ("interactive", &target.interactive),
            ("batch", &target.batch),
        ] {
            let labels = || two((label, name), ("class", class));
            waiting.push(labels(), number(queue.waiting.get()));
            wait.buckets(labels(), queue.wait.snapshot());
            for (reason, count) in [
                ("full", &queue.full),
                ("late", &queue.late),
                ("shed", &queue.shed),
            ] {
                let mut labels = labels();
                labels.push(("reason", reason.into()));
                refused.push(labels, number(count.get()));
            }
        }
    }
    [slots, waiting, wait, refused]
}

/// Where series by operation are, and which of their histograms is meant.
type Pick<T, S> = (fn(&T) -> &ByOperation<S>, fn(&S) -> &Histogram);

/// One histogram of each named thing: all its operations together.
fn times<T, S: Default>(
    (name, help): (&'static str, &'static str),
    (label, all, bounds): (&'static str, &Named<T>, &'static [f64]),
    (series, pick): Pick<T, S>,
) -> Family {
    let mut family = Family::histogram(name, help);
    for (name, one_of) in all {
        let used = series(one_of).used();
        let parts = used.map(|(_, series)| pick(series).snapshot());
        family.buckets(one(label, name.clone()), sum(bounds, parts));
    }
    family
}

/// The conventions' server histograms by route alone, what dashboards look at most, and what providers had of them.
pub(super) fn route_times(all: &Named<RouteMetrics>) -> Vec<Family> {
    let mut duration = Family::histogram(
        "aplomb_route_duration_seconds",
        "Whole time of exchanges by route.",
    );
    for (name, route) in all {
        let used = route.server.used().map(|(_, series)| series);
        let times = used
            .flat_map(|series| series.duration.all())
            .map(|(_, times)| times);
        duration.buckets(one("route", name.clone()), sum(names::DURATION, times));
    }
    let of = |named, bounds, pick: fn(&ServerSeries) -> &Histogram| {
        let series: fn(&RouteMetrics) -> &ByOperation<ServerSeries> = |route| &route.server;
        times(named, ("route", all, bounds), (series, pick))
    };
    vec![
        duration,
        of(
            (
                "aplomb_ttft_seconds",
                "Time from a streamed request's arrival to the first content that went out, by route.",
            ),
            names::TTFT,
            |series| &series.ttft,
        ),
        of(
            (
                "aplomb_time_per_output_token_seconds",
                "Time between output tokens of a stream after the first, as they went out, by route.",
            ),
            names::PER_TOKEN,
            |series| &series.per_token,
        ),
        of(
            (
                "aplomb_route_upstream_ttft_seconds",
                "Time from the answering call's start to its first content, of streams, by route.",
            ),
            names::TTFT,
            |series| &series.upstream_ttft,
        ),
        of(
            (
                "aplomb_route_upstream_time_per_output_token_seconds",
                "Time between output tokens of the provider's stream after the first, by route.",
            ),
            names::PER_TOKEN,
            |series| &series.upstream_per_token,
        ),
    ]
}

/// How fast targets answer, and how fast that went out.
pub(super) fn target_times(all: &Named<TargetMetrics>) -> Vec<Family> {
    let of = |named, bounds, pick: fn(&ClientSeries) -> &Histogram| {
        let series: fn(&TargetMetrics) -> &ByOperation<ClientSeries> = |target| &target.client;
        times(named, ("target", all, bounds), (series, pick))
    };
    vec![
        of(
            (
                "aplomb_upstream_ttft_seconds",
                "Time from a streamed call's start to its first content, by target.",
            ),
            names::CHUNK,
            |series| &series.first_chunk,
        ),
        of(
            (
                "aplomb_upstream_time_per_output_token_seconds",
                "Time between output tokens of a target's stream after the first; without streams that their clients held back.",
            ),
            names::PER_TOKEN,
            |series| &series.per_token,
        ),
        of(
            (
                "aplomb_target_ttft_seconds",
                "Time from a streamed request's arrival to the first content that went out, by target that answered.",
            ),
            names::TTFT,
            |series| &series.delivered_ttft,
        ),
        of(
            (
                "aplomb_target_time_per_output_token_seconds",
                "Time between output tokens of a stream after the first, as they went out, by target that answered.",
            ),
            names::PER_TOKEN,
            |series| &series.delivered_per_token,
        ),
    ]
}

pub(super) fn share_families(all: [(SharedBy, &ShareMetrics); 2]) -> [Family; 8] {
    let mut requests = Family::counter(
        "aplomb_shared_requests_total",
        "Requests that may be the same as others, by what makes them so (`content`, `idempotency_key`) and result: `led` a call, `joined` one, `replayed`, `rejected`, `replaced`, `mismatched`.",
    );
    let mut unkept = Family::counter(
        "aplomb_shared_unkept_total",
        "Finished answers that are not given again, by reason: `size`.",
    );
    let mut cut = Family::counter(
        "aplomb_shared_cut_total",
        "Readers of shared answers that were cut off since they were too slow.",
    );
    let mut evicted = Family::counter(
        "aplomb_shared_evicted_total",
        "Finished answers that were pushed out by others.",
    );
    let gauge = |name, help| Family::new(name, Kind::Gauge, help);
    let mut entries = gauge(
        "aplomb_shared_entries",
        "Finished answers that are kept now, to be given again.",
    );
    let mut bytes = gauge("aplomb_shared_bytes", "Memory of them.");
    let mut calls = gauge(
        "aplomb_shared_calls",
        "Calls in flight that others may join.",
    );
    let mut said = gauge(
        "aplomb_shared_calls_bytes",
        "Memory of what those calls have said so far.",
    );
    for (by, share) in all {
        let by = ("by", by.name());
        let results = [
            ("led", &share.led),
            ("joined", &share.joined),
            ("replayed", &share.replayed),
            ("rejected", &share.rejected),
            ("replaced", &share.replaced),
            ("mismatched", &share.mismatched),
        ];
        for (result, count) in results {
            requests.push(two(by, ("result", result)), number(count.get()));
        }
        for (reason, count) in share.left_out() {
            unkept.push(two(by, ("reason", reason)), number(count));
        }
        let own = || one(by.0, by.1);
        cut.push(own(), number(share.cut.get()));
        evicted.push(own(), number(share.evicted.get()));
        entries.push(own(), number(share.entries.get()));
        bytes.push(own(), number(share.bytes.get()));
        calls.push(own(), number(share.calls.get()));
        said.push(own(), number(share.calls_bytes.get()));
    }
    [requests, unkept, cut, evicted, entries, bytes, calls, said]
}

/// What nodes tell one another of targets.
pub(super) fn hint_family(metrics: &Metrics) -> Family {
    let mut hints = Family::counter(
        "aplomb_target_hints_total",
        "What nodes have learned of targets (a breaker opened, a limit, a key set aside), `told` to others or `heard` of them.",
    );
    for (way, count) in ["told", "heard"].into_iter().zip(&metrics.hints) {
        hints.push(one("way", way), number(count.get()));
    }
    hints
}

#!/usr/bin/env python3
"""Writes the Grafana dashboards of this folder: `python3 deploy/grafana/make.py`.

Each dashboard exists twice: on Prometheus (`prometheus-*.json`, operations) and on ClickHouse (`clickhouse-*.json`, single
tenants, users and exchanges). `tests/dashboards` runs the query of every panel against the real engines.
"""

import json
import os

FOLDER = os.path.dirname(os.path.abspath(__file__))
ROUTE = 'route=~"$route"'
FAILED = 'outcome=~"error|cut|panic|crashed"'
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "${datasource}"}
TIME = "$__timeFilter(at)"
BUCKET = "$__timeInterval(at) AS time"


def panel(title, kind, unit, targets, about="", width=12):
    return {"title": title, "type": kind, "unit": unit, "targets": targets, "about": about, "width": width}


def text(about):
    return {"title": "", "type": "text", "about": about, "width": 24}


def prom(title, unit, *queries, kind="timeseries", about="", width=12):
    """A panel on Prometheus; queries are pairs of an expression and a legend."""
    targets = [
        {"refId": chr(65 + n), "datasource": PROMETHEUS, "expr": expr, "legendFormat": legend,
         "instant": kind != "timeseries", "range": kind == "timeseries"}
        for n, (expr, legend) in enumerate(queries)
    ]  # fmt: skip
    return panel(title, kind, unit, targets, about, width)


def sql(title, unit, query, kind="timeseries", about="", width=12):
    """A panel on ClickHouse."""
    series = kind == "timeseries"
    target = {
        "refId": "A", "datasource": CLICKHOUSE, "editorType": "sql", "rawSql": " ".join(query.split()),
        "queryType": "timeseries" if series else "table", "format": 0 if series else 1,
    }  # fmt: skip
    return panel(title, kind, unit, [target], about, width)


def quantiles(metric, by, where=""):
    def one(share):
        return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket{where}[$__rate_interval])))"

    return [(one(share), f"p{round(share * 100)} {{{{{by}}}}}") for share in (0.5, 0.95, 0.99)]


def rate(metric, by, where="", times=""):
    return f"sum by ({by}) (rate({metric}{where}[$__rate_interval])){times}"


def share(metric, by, part, whole=""):
    return f"{rate(metric, by, part)} / {rate(metric, by, whole)}"


ON_PROMETHEUS = {
    "overview": ("Overview", [
        prom("Requests a second", "reqps", ("sum(rate(aplomb_requests_total[$__rate_interval]))", ""), kind="stat", width=6),
        prom("Share of failures", "percentunit",
             (f"sum(rate(aplomb_requests_total{{{FAILED}}}[$__rate_interval])) / sum(rate(aplomb_requests_total[$__rate_interval]))", ""),
             kind="stat", width=6, about="Errors, answers that were cut, and panics; not clients that left."),
        prom("In flight", "short", ("sum(aplomb_requests_in_flight)", ""), kind="stat", width=6),
        prom("US dollars an hour", "currencyUSD", ("sum(rate(aplomb_cost_usd_total[$__rate_interval])) * 3600", ""), kind="stat", width=6),
        prom("Requests by outcome", "reqps", (rate("aplomb_requests_total", "outcome"), "{{outcome}}")),
        prom("Requests by route", "reqps", (rate("aplomb_route_requests_total", "route", f"{{{ROUTE}}}"), "{{route}}")),
        prom("Errors by code", "reqps", (rate("aplomb_errors_total", "code"), "{{code}}"),
             about="What clients got: `upstream` is a provider's own error."),
        prom("Upstream calls by target", "reqps", (rate("aplomb_upstream_calls_total", "target, outcome"), "{{target}} {{outcome}}")),
        prom("Upstream failures by class", "reqps", (rate("aplomb_upstream_faults_total", "target, fault"), "{{target}} {{fault}}")),
        prom("Retries and fallbacks", "reqps",
             (rate("aplomb_retries_total", "route", f"{{{ROUTE}}}"), "retry {{route}}"),
             (rate("aplomb_fallbacks_total", "route", f"{{{ROUTE}}}"), "fallback {{route}}")),
        prom("Records", "short",
             ("sum(rate(aplomb_records_written_total[$__rate_interval]))", "written a second"),
             ("sum(rate(aplomb_records_lost_total[$__rate_interval]))", "lost a second"),
             ("max(aplomb_records_lag_seconds)", "lag in seconds")),
        prom("Memory of records that wait", "bytes", ("sum by (instance) (aplomb_records_queue_bytes)", "{{instance}}")),
        prom("OTLP export", "short",
             (rate("aplomb_otlp_sent_total", "signal"), "{{signal}} sent"),
             (rate("aplomb_otlp_dropped_total", "signal"), "{{signal}} dropped")),
        prom("Versions", "short", ("count by (version) (aplomb_build_info)", "{{version}}")),
    ]),
    "latency": ("Latency", [
        prom("Time to first token, as delivered", "s", *quantiles("aplomb_ttft_seconds", "route", f"{{{ROUTE}}}"),
             about="From a streamed request's arrival to the first content that went out."),
        prom("Time to first token, upstream", "s", *quantiles("aplomb_upstream_ttft_seconds", "target")),
        prom("Time per output token", "s", *quantiles("aplomb_time_per_output_token_seconds", "route", f"{{{ROUTE}}}")),
        prom("Whole time", "s", *quantiles("aplomb_route_duration_seconds", "route", f"{{{ROUTE}}}")),
        prom("The gateway's own part", "s", *[
            (f"histogram_quantile({share}, sum by (le) (rate(aplomb_gateway_overhead_seconds_bucket[$__rate_interval])))", f"p{round(share * 100)}")
            for share in (0.5, 0.95, 0.99)
        ], about="Of the time to the first content: all but waiting for upstreams."),
        prom("Output tokens a second", "short", (rate("aplomb_tokens_total", "target", '{direction="output"}'), "{{target}}")),
        prom("Time to first token, distribution", "short",
             (f"sum by (le) (increase(aplomb_ttft_seconds_bucket{{{ROUTE}}}[$__rate_interval]))", "{{le}}"), kind="heatmap"),
        prom("Commit of records", "s",
             ("histogram_quantile(0.99, sum by (le) (rate(aplomb_records_commit_seconds_bucket[$__rate_interval])))", "p99")),
    ]),
    "cost": ("Cost", [
        prom("US dollars in this range", "currencyUSD", ("sum(increase(aplomb_cost_usd_total[$__range]))", ""), kind="stat", width=8),
        prom("US dollars a minute", "currencyUSD", ("sum(rate(aplomb_cost_usd_total[$__rate_interval])) * 60", ""), kind="stat", width=8),
        prom("Answers without a price", "short", ("sum(increase(aplomb_cost_unknown_total[$__range]))", ""), kind="stat", width=8),
        prom("US dollars a minute by route", "currencyUSD", (rate("aplomb_route_cost_usd_total", "route", f"{{{ROUTE}}}", " * 60"), "{{route}}")),
        prom("US dollars a minute by target", "currencyUSD", (rate("aplomb_cost_usd_total", "target", "", " * 60"), "{{target}}")),
        prom("US dollars a minute by tenant", "currencyUSD", (rate("aplomb_tenant_cost_usd_total", "tenant", "", " * 60"), "{{tenant}}")),
        prom("Tokens a minute by route", "short", (rate("aplomb_route_tokens_total", "route, direction", f"{{{ROUTE}}}", " * 60"), "{{route}} {{direction}}")),
        prom("Tokens a minute by target", "short", (rate("aplomb_tokens_total", "target, direction", "", " * 60"), "{{target}} {{direction}}")),
        prom("Answers without a price by target", "short", ("sum by (target) (increase(aplomb_cost_unknown_total[$__range]))", "{{target}}"), kind="table"),
    ]),
    "quality": ("Quality and privacy", [
        prom("Feedback", "short", ("sum by (thumb) (increase(aplomb_feedback_total[$__range]))", "{{thumb}}"), kind="bargauge"),
        prom("Share of thumbs up", "percentunit",
             ('sum(increase(aplomb_feedback_total{thumb="up"}[$__range])) / sum(increase(aplomb_feedback_total{thumb=~"up|down"}[$__range]))', ""),
             kind="stat"),
        prom("Whole answers", "percentunit",
             (share("aplomb_route_requests_total", "route", '{outcome="done",' + ROUTE + "}", f"{{{ROUTE}}}"), "{{route}}"),
             about="Share of exchanges whose client got a whole answer."),
        prom("Answers cut, and clients that left", "reqps",
             (rate("aplomb_route_requests_total", "route, outcome", '{outcome=~"cut|client_gone",' + ROUTE + "}"), "{{route}} {{outcome}}")),
        prom("Personal data found", "short", ("sum by (kind, action) (rate(aplomb_privacy_entities_total[$__rate_interval]))", "{{kind}} {{action}}")),
        prom("Values put back", "short", ("sum(rate(aplomb_privacy_restored_total[$__rate_interval]))", "restored a second")),
        prom("Placeholders that were not put back", "short",
             ("sum(increase(aplomb_privacy_placeholders_unrestored_total[$__range]))", "unrestored"),
             ("sum(increase(aplomb_privacy_placeholders_foreign_total[$__range]))", "foreign"), kind="stat",
             about="Anything above 0 unrestored is a leak: an alert rule watches it."),
        prom("Refused by privacy", "reqps",
             ("sum(rate(aplomb_privacy_refused_total[$__rate_interval]))", "by a policy"),
             ("sum(rate(aplomb_privacy_no_agreement_total[$__rate_interval]))", "no provider with the agreement")),
    ]),
    "users": ("Tenants", [
        text("Users are no labels of metrics: single users are on the ClickHouse dashboard *Users*. The first 100 tenants have series of their own, the rest is `other`."),
        prom("Requests by tenant", "reqps", (rate("aplomb_tenant_requests_total", "tenant"), "{{tenant}}")),
        prom("Share of failures by tenant", "percentunit",
             (share("aplomb_tenant_requests_total", "tenant", '{outcome="failed"}'), "{{tenant}}")),
        prom("Tokens a minute by tenant", "short", (rate("aplomb_tenant_tokens_total", "tenant, direction", "", " * 60"), "{{tenant}} {{direction}}")),
        prom("US dollars by tenant in this range", "currencyUSD", ("topk(20, sum by (tenant) (increase(aplomb_tenant_cost_usd_total[$__range])))", "{{tenant}}"), kind="table"),
    ]),
    "limits": ("Limits", [
        text("What there is a metric for today: providers' limits, load and bounds of the gateway. Quotas and rate limits of the gateway's own have no metrics yet, so they have no panels."),
        prom("Rate limited by providers", "reqps", (rate("aplomb_upstream_faults_total", "target", '{fault="rate_limited"}'), "{{target}}")),
        prom("Quota or credentials refused by providers", "reqps", (rate("aplomb_upstream_faults_total", "target, fault", '{fault=~"quota|credentials"}'), "{{target}} {{fault}}")),
        prom("Requests shed", "reqps", ('sum(rate(aplomb_errors_total{code="overloaded"}[$__rate_interval]))', "overloaded")),
        prom("Refused before the pipeline", "reqps",
             ("sum(rate(aplomb_requests_refused_total[$__rate_interval]))", "all"),
             ('sum by (code) (rate(aplomb_errors_total{code=~"invalid_api_key|not_allowed|request_too_large|request_timeout"}[$__rate_interval]))', "{{code}}")),
        prom("Exchanges in flight", "short", ("sum by (instance) (aplomb_requests_in_flight)", "{{instance}}")),
        prom("Open connections", "short", ("sum by (instance) (aplomb_connections_open)", "{{instance}}")),
        prom("Timeouts", "reqps", (rate("aplomb_upstream_faults_total", "target, fault", '{fault=~".*_timeout"}'), "{{target}} {{fault}}")),
        prom("Texts of records that were cut", "short", (rate("aplomb_records_text_shed_total", "kept"), "kept {{kept}}")),
    ]),
}  # fmt: skip

WHERE = f"WHERE {TIME}"
FAILURES = "countIf(outcome IN ('error', 'cut', 'panic', 'crashed'))"
USD = "sum(cost_nano) / 1e9 AS usd"

ON_CLICKHOUSE = {
    "overview": ("Overview", [
        sql("Requests", "short", f"SELECT count() AS requests FROM requests {WHERE}", kind="stat", width=6),
        sql("Share of failures", "percentunit", f"SELECT {FAILURES} / count() AS failures FROM requests {WHERE}", kind="stat", width=6),
        sql("US dollars", "currencyUSD", f"SELECT {USD} FROM requests {WHERE}", kind="stat", width=6),
        sql("Users", "short", f"SELECT uniq(tenant, user) AS users FROM requests {WHERE}", kind="stat", width=6),
        sql("Requests by outcome", "short", f"SELECT {BUCKET}, toString(outcome) AS outcome, count() AS requests FROM requests {WHERE} GROUP BY time, outcome ORDER BY time"),
        sql("Requests by route", "short", f"SELECT {BUCKET}, ifNull(toString(route), '(direct)') AS route, count() AS requests FROM requests {WHERE} GROUP BY time, route ORDER BY time"),
        sql("Errors", "short", f"SELECT ifNull(toString(error_code), toString(outcome)) AS error, ifNull(toString(route), '(direct)') AS route, count() AS requests, max(at) AS last FROM requests {WHERE} AND outcome != 'done' GROUP BY error, route ORDER BY requests DESC LIMIT 50", kind="table"),
        sql("Failed upstream calls", "short", "SELECT toString(target) AS target, toString(fault) AS fault, status, count() AS calls, avg(us) / 1000 AS ms FROM attempts WHERE $__timeFilter(request_at) AND fault IS NOT NULL GROUP BY target, fault, status ORDER BY calls DESC LIMIT 50", kind="table"),
        sql("Latest exchanges", "short", f"SELECT at, id, tenant, user, route, target, outcome, status, total_us / 1000 AS ms, output_tokens, cost_nano / 1e9 AS usd FROM requests {WHERE} ORDER BY at DESC LIMIT 100", kind="table", width=24),
    ]),
    "latency": ("Latency", [
        sql("Time to first token", "µs", f"SELECT {BUCKET}, quantile(0.5)(ttft_us) AS p50, quantile(0.95)(ttft_us) AS p95, quantile(0.99)(ttft_us) AS p99 FROM requests {WHERE} AND stream = 1 AND ttft_us IS NOT NULL GROUP BY time ORDER BY time"),
        sql("Time to first token by target, p95", "µs", f"SELECT {BUCKET}, toString(target) AS target, quantile(0.95)(upstream_ttft_us) AS p95 FROM requests {WHERE} AND target IS NOT NULL GROUP BY time, target ORDER BY time"),
        sql("Whole time by route, p95", "µs", f"SELECT {BUCKET}, ifNull(toString(route), '(direct)') AS route, quantile(0.95)(total_us) AS p95 FROM requests {WHERE} GROUP BY time, route ORDER BY time"),
        sql("Time per output token", "µs", f"SELECT {BUCKET}, quantile(0.5)(per_token_us) AS p50, quantile(0.95)(per_token_us) AS p95 FROM requests {WHERE} AND per_token_us IS NOT NULL GROUP BY time ORDER BY time"),
        sql("The gateway's own part", "µs", f"SELECT {BUCKET}, quantile(0.5)(overhead_us) AS p50, quantile(0.99)(overhead_us) AS p99 FROM requests {WHERE} AND overhead_us IS NOT NULL GROUP BY time ORDER BY time"),
        sql("Targets", "µs", f"SELECT toString(target) AS target, count() AS requests, quantile(0.5)(upstream_ttft_us) AS ttft_p50, quantile(0.95)(upstream_ttft_us) AS ttft_p95, quantile(0.5)(per_token_us) AS per_token_p50 FROM requests {WHERE} AND target IS NOT NULL GROUP BY target ORDER BY requests DESC", kind="table"),
        sql("Slowest exchanges", "short", f"SELECT at, id, route, target, model, total_us / 1000 AS ms, ttft_us / 1000 AS ttft_ms, attempt_count, output_tokens FROM requests {WHERE} ORDER BY total_us DESC LIMIT 50", kind="table", width=24),
    ]),
    "cost": ("Cost", [
        sql("US dollars", "currencyUSD", f"SELECT {USD} FROM requests {WHERE}", kind="stat", width=8),
        sql("Answers without a price", "short", f"SELECT countIf(cost_nano IS NULL) AS answers FROM requests {WHERE}", kind="stat", width=8),
        sql("Share of input from caches", "percentunit", f"SELECT sum(cache_read_tokens) / greatest(sum(input_tokens), 1) AS cached FROM requests {WHERE}", kind="stat", width=8),
        sql("US dollars by model", "currencyUSD", f"SELECT {BUCKET}, ifNull(toString(target), '(none)') AS target, {USD} FROM requests {WHERE} GROUP BY time, target ORDER BY time"),
        sql("US dollars by tenant", "currencyUSD", f"SELECT {BUCKET}, toString(tenant) AS tenant, {USD} FROM requests {WHERE} GROUP BY time, tenant ORDER BY time"),
        sql("US dollars by key", "currencyUSD", f"SELECT toString(tenant) AS tenant, ifNull(toString(key), '(none)') AS key, count() AS requests, {USD} FROM requests {WHERE} GROUP BY tenant, key ORDER BY usd DESC LIMIT 50", kind="table"),
        sql("Tokens by target", "short", f"SELECT ifNull(toString(target), '(none)') AS target, sum(input_tokens) AS input, sum(cache_read_tokens) AS cached, sum(output_tokens) AS output, sum(reasoning_tokens) AS reasoning, {USD} FROM requests {WHERE} GROUP BY target ORDER BY usd DESC", kind="table"),
        sql("Tokens a day", "short", f"SELECT toDate(at) AS day, sum(input_tokens) AS input, sum(output_tokens) AS output, {USD} FROM requests {WHERE} GROUP BY day ORDER BY day", kind="table"),
    ]),
    "quality": ("Quality", [
        sql("Feedback", "short", "SELECT $__timeInterval(at) AS time, countIf(thumb = 1) AS up, countIf(thumb = -1) AS down FROM feedback WHERE $__timeFilter(at) GROUP BY time ORDER BY time"),
        sql("Thumbs up by target", "percentunit", "SELECT toString(r.target) AS target, countIf(f.thumb = 1) / count() AS up, count() AS votes FROM feedback AS f INNER JOIN requests AS r ON r.id = f.id WHERE $__timeFilter(f.at) AND f.thumb IS NOT NULL GROUP BY target ORDER BY votes DESC", kind="table"),
        sql("Scores", "short", "SELECT $__timeInterval(at) AS time, concat(toString(eval), ' ', toString(rubric)) AS rubric, avg(score) AS score FROM scores WHERE $__timeFilter(at) GROUP BY time, rubric ORDER BY time"),
        sql("Scores by judge", "short", "SELECT toString(eval) AS eval, toString(rubric) AS rubric, toString(judge) AS judge, count() AS answers, avg(score) AS score, sum(cost_nano) / 1e9 AS usd FROM scores WHERE $__timeFilter(at) GROUP BY eval, rubric, judge ORDER BY answers DESC", kind="table"),
        sql("Reasons to end", "short", f"SELECT {BUCKET}, ifNull(toString(finish_reason), toString(outcome)) AS reason, count() AS answers FROM requests {WHERE} GROUP BY time, reason ORDER BY time"),
        sql("Latest thumbs down", "short", "SELECT f.at AS at, f.id AS id, f.source AS source, f.label AS label, f.comment AS comment, r.target AS target FROM feedback AS f INNER JOIN requests AS r ON r.id = f.id WHERE $__timeFilter(f.at) AND f.thumb = -1 ORDER BY at DESC LIMIT 50", kind="table"),
        sql("Values found by privacy policies", "short", f"SELECT arrayJoin(JSONExtractKeysAndValues(assumeNotNull(privacy), 'counts', 'UInt32')) AS found, found.1 AS kind, sum(found.2) AS values FROM requests {WHERE} AND privacy IS NOT NULL GROUP BY found ORDER BY values DESC LIMIT 50", kind="table"),
    ]),
    "users": ("Users", [
        sql("Active users", "short", f"SELECT {BUCKET}, uniq(tenant, user) AS users FROM requests {WHERE} GROUP BY time ORDER BY time"),
        sql("Users by cost", "currencyUSD", f"SELECT toString(tenant) AS tenant, ifNull(user, '(none)') AS user, count() AS requests, sum(input_tokens) AS input, sum(output_tokens) AS output, {USD} FROM requests {WHERE} GROUP BY tenant, user ORDER BY usd DESC, requests DESC LIMIT 50", kind="table"),
        sql("Users by requests", "short", f"SELECT toString(tenant) AS tenant, ifNull(user, '(none)') AS user, count() AS requests, {FAILURES} AS failures, max(at) AS last FROM requests {WHERE} GROUP BY tenant, user ORDER BY requests DESC LIMIT 50", kind="table"),
        sql("Conversations by length", "short", f"SELECT toString(tenant) AS tenant, session, count() AS requests, {USD} FROM requests {WHERE} AND session IS NOT NULL GROUP BY tenant, session ORDER BY requests DESC LIMIT 50", kind="table"),
        sql("Languages", "short", f"SELECT ifNull(toString(language), '(unknown)') AS language, count() AS requests FROM requests {WHERE} GROUP BY language ORDER BY requests DESC", kind="table"),
        sql("Tenants", "short", f"SELECT toString(tenant) AS tenant, count() AS requests, uniq(user) AS users, {FAILURES} AS failures, {USD} FROM requests {WHERE} GROUP BY tenant ORDER BY usd DESC", kind="table"),
    ]),
    "limits": ("Limits", [
        text("What records hold today of limits: those of providers, and requests that the gateway shed. Quotas and rate limits of the gateway's own have no columns yet, so they have no panels."),
        sql("Rate limited by providers", "short", "SELECT $__timeInterval(request_at) AS time, toString(target) AS target, count() AS calls FROM attempts WHERE $__timeFilter(request_at) AND fault IN ('rate_limited', 'quota') GROUP BY time, target ORDER BY time"),
        sql("Requests shed", "short", f"SELECT {BUCKET}, count() AS requests FROM requests {WHERE} AND error_code = 'overloaded' GROUP BY time ORDER BY time"),
        sql("Answers that ended at a token limit", "short", f"SELECT {BUCKET}, count() AS answers FROM requests {WHERE} AND finish_reason = 'length' GROUP BY time ORDER BY time"),
        sql("Time in queues of the gateway, p99", "µs", f"SELECT {BUCKET}, quantile(0.99)(queue_us) AS p99 FROM requests {WHERE} GROUP BY time ORDER BY time"),
    ]),
}  # fmt: skip

# Panels that show nothing while nothing of their kind happens, as it is in a quiet test.
MAY_BE_EMPTY = {
    "Rate limited by providers", "Quota or credentials refused by providers", "Timeouts", "Requests shed",
    "Answers that ended at a token limit",
}  # fmt: skip


def variables(source):
    found = [{"name": "datasource", "label": "Data source", "type": "datasource", "query": source["type"]}]
    if source is PROMETHEUS:
        query = "label_values(aplomb_route_requests_total, route)"
        found.append({
            "name": "route", "label": "Route", "type": "query", "datasource": source, "definition": query,
            "query": {"query": query, "refId": "route"}, "refresh": 2, "multi": True, "includeAll": True,
            "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        })  # fmt: skip
    return {"list": found}


def placed(panels, source):
    x = y = 0
    for number, one in enumerate(panels, 1):
        height = 3 if one["type"] == "text" else 5 if one["type"] == "stat" else 8
        if x + one["width"] > 24:
            x, y = 0, y + height
        at = {"x": x, "y": y, "w": one["width"], "h": height}
        x += one["width"]
        if x >= 24:
            x, y = 0, y + height
        if one["type"] == "text":
            yield {"id": number, "type": "text", "title": one["title"], "gridPos": at, "options": {"mode": "markdown", "content": one["about"]}}
            continue
        yield {
            "id": number, "type": one["type"], "title": one["title"], "description": one["about"], "gridPos": at,
            "datasource": source, "targets": one["targets"],
            "fieldConfig": {"defaults": {"unit": one["unit"]}, "overrides": []},
        }  # fmt: skip


def dashboards():
    """File names and dashboards."""
    for engine, source, all_of_it in [("prometheus", PROMETHEUS, ON_PROMETHEUS), ("clickhouse", CLICKHOUSE, ON_CLICKHOUSE)]:
        for name, (title, panels) in all_of_it.items():
            yield f"{engine}-{name}.json", {
                "uid": f"aplomb-{engine}-{name}", "title": f"Aplomb / {title} ({'Prometheus' if source is PROMETHEUS else 'ClickHouse'})",
                "tags": ["aplomb", engine], "schemaVersion": 39, "editable": True, "refresh": "30s",
                "time": {"from": "now-6h", "to": "now"}, "templating": variables(source),
                "panels": list(placed(panels, source)),
            }  # fmt: skip


def text_of(dashboard):
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for file, dashboard in dashboards():
        with open(os.path.join(FOLDER, file), "w") as out:
            out.write(text_of(dashboard))

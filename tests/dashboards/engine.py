"""Tables with the columns of the records in a real ClickHouse engine, a few rows, and the queries of the panels."""

import json
import os
import re
import tempfile
import uuid

from chdb import session

COLUMNS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "record-columns.md")
TYPES = {
    "id": "UUID", "time": "DateTime64(6, 'UTC')", "name": "LowCardinality(String)", "text": "String", "JSON": "String",
    "count": "Int64", "microseconds": "Int64", "nano-dollars": "Int64", "number": "Float64", "0 or 1": "UInt8",
}  # fmt: skip
# Tables beside `requests`; `?` may be null.
TIES = {"id": "id", "request_at": "time", "tenant": "name", "user": "text?"}
OTHERS = {
    "attempts": {**TIES, "n": "count", "target": "name?", "fault": "name?", "status": "count?", "us": "microseconds?"},
    "feedback": {
        **TIES, "seq": "count", "at": "time", "by": "text", "source": "name", "thumb": "count?", "score": "number?",
        "label": "name?", "comment": "text?", "correction": "text?", "event": "name?",
    },
    "scores": {
        **TIES, "seq": "count", "at": "time", "eval": "name", "rubric": "name", "score": "number?", "reason": "text?",
        "judge": "name", "cost_nano": "nano-dollars?",
    },
}  # fmt: skip


def sql_type(kind):
    kind, null = kind.rstrip("?"), kind.endswith("?")
    plain = TYPES[kind]
    if not null:
        return plain
    return "LowCardinality(Nullable(String))" if kind == "name" else f"Nullable({plain})"


def requests_columns():
    """Of the generated page, which is made from the same list as the tables of both stores."""
    with open(COLUMNS) as page:
        rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| \d+ \|", page.read(), re.M)
    return {name: kind.replace(", may be null", "?") for name, kind in rows}


def request(number):
    ids = str(uuid.UUID(int=number + 1))
    failed = number % 7 == 6
    return {
        "id": ids, "route": None if number % 5 == 4 else "chat", "target": None if failed else "openai/gpt-5",
        "outcome": "error" if failed else "done", "tenant": f"t{number % 2}", "user": f"u{number % 3}" if number % 4 else None,
        "status": 503 if failed else 200, "cost_nano": None if number % 3 == 0 else 1_000_000, "input_tokens": 100,
        "output_tokens": 20, "total_us": 900_000, "ttft_us": 200_000, "overhead_us": 300, "upstream_ttft_us": 190_000,
        "per_token_us": 12_000, "queue_us": 0, "attempt_count": 1, "stream": number % 2, "simulated": 0,
        "operation": "chat_completions", "model": "chat", "error_code": "overloaded" if failed else None,
        "finish_reason": None if failed else ["stop", "length"][number % 2], "usage_source": "provider",
        "session": "s1", "language": "eng", "privacy": json.dumps({"policy": "p", "counts": {"EMAIL:mask": 2}}),
        "key": "k1", "trace_id": "0" * 32, "text_kept": "none",
    }  # fmt: skip


def ties(number):
    return {"id": str(uuid.UUID(int=number + 1)), "tenant": f"t{number % 2}", "user": f"u{number % 3}"}


def rows():
    """Some of each table."""
    yield "requests", [request(number) for number in range(40)]
    yield "attempts", [
        {**ties(n), "n": 0, "target": "openai/gpt-5", "fault": "rate_limited" if n % 2 else None, "status": 429, "us": 5000} for n in range(20)
    ]
    yield "feedback", [{**ties(n), "seq": n, "by": "b", "source": "api", "thumb": 1 if n % 3 else -1} for n in range(20)]
    yield "scores", [
        {**ties(n), "seq": n, "eval": "e", "rubric": "helpful", "score": 0.8, "judge": "house/judge", "cost_nano": 1000} for n in range(20)
    ]


def fill(engine):
    tables = {"requests": requests_columns(), **OTHERS}
    for table, columns in tables.items():
        body = ", ".join(f"`{name}` {sql_type(kind)}" for name, kind in columns.items())
        engine.query(f"CREATE TABLE {table} ({body}) ENGINE = MergeTree ORDER BY tuple()")
    for table, some in rows():
        unknown = {name for row in some for name in row} - set(tables[table])
        assert not unknown, f"{table} has no {unknown}"
        times = [name for name, kind in tables[table].items() if kind == "time"]
        lines = "\n".join(json.dumps(row) for row in some)
        engine.query(f"INSERT INTO {table} FORMAT JSONEachRow {lines}")
        for name in times:
            engine.query(f"ALTER TABLE {table} UPDATE `{name}` = now64(6) - INTERVAL 5 MINUTE WHERE 1 SETTINGS mutations_sync = 1")


def expanded(sql):
    """The data source's macros, as its documentation describes them."""
    sql = re.sub(r"\$__timeFilter\(([\w.]+)\)", r"\1 >= now() - INTERVAL 1 HOUR AND \1 <= now()", sql)
    return re.sub(r"\$__timeInterval\(([\w.]+)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", sql)


def panels(make, check):
    with tempfile.TemporaryDirectory() as folder:
        engine = session.Session(folder)
        engine.query("CREATE DATABASE aplomb")
        engine.query("USE aplomb")
        fill(engine)
        for file, dashboard in make.dashboards():
            for panel in dashboard["panels"] if file.startswith("clickhouse") else []:
                for target in panel.get("targets", []):
                    try:
                        found, why = engine.query(expanded(target["rawSql"]), "JSONEachRow").bytes(), target["rawSql"]
                    except Exception as error:  # the engine's own class is not public
                        found, why = None, f"{target['rawSql']}\n{error}"
                    check(f"{file}: {panel['title']}", found, why)
        engine.close()

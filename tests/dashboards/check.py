"""Every panel of deploy/grafana and every rule of deploy/prometheus against real engines.

* Prometheus scrapes a running gateway with simulated traffic; each panel's query must give numbers, each rule must load.
* A ClickHouse engine holds tables with the columns of the records and a few rows; each panel's query must give rows.
* The JSON files are what make.py makes, and no panel names a metric that the gateway does not have.
"""

import concurrent.futures
import contextlib
import json
import math
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request

import engine
import make
from gateway import gateway

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
PROMETHEUS = os.path.join(ROOT, "deploy", "prometheus")
PATIENCE = 60
CONFIG = """
server: {{ listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: {data} }}
limits: []
providers:
  practice: {{ kind: practice, practice: {{ first_token: 5ms, tokens_per_second: 2000 }} }}
  shaky: {{ kind: practice, practice: {{ first_token: 5ms, tokens_per_second: 2000, error_rate: 0.7 }} }}
routes:
  chat: {{ targets: [practice/practice] }}
  fallback: {{ targets: [shaky/practice, practice/practice] }}
privacy:
  default: {{ email: mask, "*": flag }}
observe: {{ metrics: {{ listen: "127.0.0.1:0" }} }}
"""

results = []


def check(name, ok, why=""):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'FAILED'} - {name}", flush=True)
    if not ok:
        print(why, flush=True)


def fetch(url, body=None, headers=()):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **dict(headers)})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers, answer.read()


def wait_for(what, look):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if found := look():
                return found
        time.sleep(0.2)
    raise TimeoutError(f"waited in vain for {what}")


def ask(url, number):
    """One simulated request, and feedback on every third one."""
    body = {
        "model": ["chat", "fallback", "chat", "practice/practice"][number % 4],
        "stream": number % 3 > 0,
        "messages": [{"role": "user", "content": f"Mail user{number}@example.org about the weather, please."}],
    }  # fmt: skip
    with contextlib.suppress(OSError):
        headers, _ = fetch(url + "/v1/chat/completions", body, {"x-aplomb-user": f"u{number % 5}"})
        if number % 3 == 0:
            thumb = {"request_id": headers["x-aplomb-request-id"], "thumb": "up" if number % 2 else "down"}
            fetch(url + "/aplomb/v1/feedback", thumb)


@contextlib.contextmanager
def traffic(url):
    ended = threading.Event()

    def simulate():
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            number = 0
            while not ended.wait(0.05):
                pool.submit(ask, url, number)
                number += 1

    thread = threading.Thread(target=simulate)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def prometheus(target, folder):
    """The real one, with the example's configuration but for the address and the pace."""
    with open(os.path.join(PROMETHEUS, "prometheus.yaml")) as file:
        config = file.read().replace("127.0.0.1:4102", target).replace("15s", "1s")
    shutil.copy(os.path.join(PROMETHEUS, "alerts.yaml"), folder)
    with open(os.path.join(folder, "prometheus.yaml"), "w") as file:
        file.write(config)
    port = free_port()
    log = open(os.path.join(folder, "prometheus.log"), "w")  # noqa: SIM115
    process = subprocess.Popen(
        ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=log, stderr=log,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)
        log.close()


def query(url, path, **parameters):
    _, body = fetch(f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
    return json.loads(body)["data"]


def numbers(data):
    """All values of an answer that are numbers."""
    for series in data["result"]:
        for _, value in series.get("values") or [series["value"]]:
            if not math.isnan(float(value)):
                yield float(value)


def run_panel(url, target):
    expr = target["expr"]
    for variable, value in [("$__rate_interval", "15s"), ("$__range", "30s"), ("$route", ".*")]:
        expr = expr.replace(variable, value)
    now = time.time()
    if target["instant"]:
        return list(numbers(query(url, "query", query=expr, time=now)))
    return list(numbers(query(url, "query_range", query=expr, start=now - 20, end=now, step=2)))


def prometheus_panels(url, text):
    known = set(re.findall(r"^# TYPE (\w+)", text, re.M))
    for file, dashboard in make.dashboards():
        for panel in dashboard["panels"] if file.startswith("prometheus") else []:
            for target in panel.get("targets", []):
                name = f"{file}: {panel['title']} ({target['refId']})"
                used = {re.sub("_(bucket|sum|count)$", "", one) for one in re.findall(r"aplomb_\w+", target["expr"])}
                try:
                    found, why = run_panel(url, target), target["expr"]
                except OSError as error:
                    found, why = None, f"{target['expr']}: {getattr(error, 'read', lambda: error)()}"
                filled = found or panel["title"] in make.MAY_BE_EMPTY
                check(name, found is not None and filled and used <= known, f"{why}: unknown {used - known}")


def rules(url):
    groups = query(url, "rules")["groups"]
    loaded = [rule for group in groups for rule in group["rules"]]
    bad = [rule["name"] for rule in loaded if rule["health"] != "ok"]
    check(f"{len(loaded)} alert rules are evaluated", len(loaded) > 10 and not bad, bad)
    firing = [rule["name"] for rule in loaded if rule["state"] == "firing"]
    check("nothing that must not is firing", not set(firing) & {"AplombDown", "AplombRecordsLost", "AplombPlaceholdersUnrestored"}, firing)


def promtool():
    if not shutil.which("promtool"):
        return
    for what, *arguments in [
        ("rules are valid", "check", "rules", os.path.join(PROMETHEUS, "alerts.yaml")),
        ("configuration is valid", "check", "config", os.path.join(PROMETHEUS, "prometheus.yaml")),
        ("rules fire when they should", "test", "rules", os.path.join(HERE, "alerts.test.yaml")),
    ]:
        done = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
        check(f"promtool: {what}", done.returncode == 0, done.stdout + done.stderr)


def on_prometheus():
    with tempfile.TemporaryDirectory() as folder, gateway(CONFIG) as running, prometheus(running.metrics, folder) as url:
        with traffic(running.url):
            wait_for("Prometheus", lambda: query(url, "query", query="up")["result"])
            wait_for("enough scrapes", lambda: [n for n in numbers(query(url, "query", query='count_over_time(up{job="aplomb"}[1m])')) if n >= 20])
            _, text = fetch(f"http://{running.metrics}/metrics")
            prometheus_panels(url, text.decode())
            wait_for("an evaluation of the rules", lambda: all(rule["health"] != "unknown" for group in query(url, "rules")["groups"] for rule in group["rules"]))
            rules(url)


def files_are_current():
    for file, dashboard in make.dashboards():
        with open(os.path.join(make.FOLDER, file)) as kept:
            check(f"{file} is what make.py makes", kept.read() == make.text_of(dashboard), "run python3 deploy/grafana/make.py")


files_are_current()
promtool()
on_prometheus()
engine.panels(make, check)
print(f"suite-total {results.count(True)} {results.count(False)}")

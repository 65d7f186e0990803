#!/usr/bin/env python3
"""How fast the response cache answers, and what an entry costs: `bench/cache.py PATH/TO/aplomb`.

Asks the same question many times over one connection, whole and streamed, beside a route without a cache on the simulated
provider without pauses; then a question in other words, whose vector is made each time; then fills the cache with other
questions and looks at the process's memory.
"""
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import time

CONFIG = """
server: { listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: data }
limits: []
providers:
  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }
caches:
  faq: { exact: 1h, max: 1GiB }
  alike: { semantic: { scope: tenant, wait: 5s } }
routes:
  cached: { targets: [practice/small], cache: faq }
  alike: { targets: [practice/small], cache: alike }
  plain: { targets: [practice/small] }
"""
HITS = 5_000
ALIKE = 1_000
ENTRIES = 20_000


def start(binary, folder, config):
    """The gateway with a configuration, and where its two listeners are."""
    (folder / "aplomb.yaml").write_text(config)
    process = subprocess.Popen(
        [binary, "serve", "--config", "aplomb.yaml"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    found = {}
    for line in process.stderr:
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("message") == "listening":
            found[entry["plane"]] = entry["address"]
        if len(found) == 2:
            return process, found


def ask(connection, route, text, stream):
    body = {"model": route, "stream": stream, "messages": [{"role": "user", "content": text}]}
    begun = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return time.perf_counter() - begun, answer.getheader("x-aplomb-cache"), answer.getheader("x-aplomb-overhead-ms")


def row(name, times, own):
    """Prints times as the client saw them (s), and the gateway's own (ms)."""
    times, own = sorted(times), sorted(own)
    at = lambda list, part: list[int(len(list) * part)]
    print(f"{name:28} p50 {at(times, .5) * 1e3:.3f} ms  p99 {at(times, .99) * 1e3:.3f} ms  gateway's own p50 {at(own, .5):.3f} ms")


def memory(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024


def admin(found, folder, path):
    connection = http.client.HTTPConnection(found["admin"])
    token = (folder / "data/admin.token").read_text().strip()
    connection.request("GET", path, headers={"authorization": f"Bearer {token}"})
    return connection.getresponse().read().decode()


def alike(found, folder, connection):
    """A question in another spelling, and one in other words."""
    ask(connection, "alike", "How do I cancel the Pro plan?", False)
    while json.loads(admin(found, folder, "/admin/v1/cache"))["data"][0]["vectors"] == 0:
        time.sleep(0.01)
    for name, text in [
        ("alike, other spelling", "how do I cancel the PRO plan"),
        ("alike, greeting", "Please tell me, how do I cancel the Pro plan?"),
        ("alike, other words", "What is the way to cancel the Pro plan?"),
    ]:
        told = [ask(connection, "alike", text, False) for _ in range(ALIKE)]
        assert all(cache.startswith("hit; kind=semantic") for _, cache, _ in told), told[0]
        row(name, [time for time, _, _ in told], [float(own) for _, _, own in told])
    metrics = admin(found, folder, "/metrics").splitlines()
    number = lambda name: float(next(line for line in metrics if line.startswith(f'{name}{{cache="alike"')).split()[-1])
    wait = number("aplomb_cache_embedding_seconds_sum") / number("aplomb_cache_embedding_seconds_count")
    print(f"of the last row, mean wait for the vector {wait * 1e3:.3f} ms")


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        process, found = start(binary, pathlib.Path(folder), CONFIG)
        try:
            connection = http.client.HTTPConnection(found["data"])
            for name, route, stream in [
                ("no cache, whole", "plain", False),
                ("exact hit, whole", "cached", False),
                ("exact hit, streamed", "cached", True),
            ]:
                ask(connection, route, "what is a cat?", stream)
                told = [ask(connection, route, "what is a cat?", stream) for _ in range(HITS)]
                assert all(cache == (None if route == "plain" else "hit; kind=exact") for _, cache, _ in told)
                row(name, [time for time, _, _ in told], [float(own) for _, _, own in told])
            alike(found, pathlib.Path(folder), connection)
            before = memory(process)
            for n in range(ENTRIES):
                ask(connection, "cached", f"what is number {n}?", False)
            shown = json.loads(admin(found, pathlib.Path(folder), "/admin/v1/cache"))["data"]
            cache = next(one for one in shown if one["cache"] == "faq")
            print(
                f"{cache['entries']} entries: {cache['bytes'] / cache['entries']:.0f} bytes each accounted, "
                f"at most {(memory(process) - before) / ENTRIES:.0f} measured"
            )
        finally:
            process.kill()


if __name__ == "__main__":
    main()

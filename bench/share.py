#!/usr/bin/env python3
"""What shared calls cost: `bench/share.py PATH/TO/aplomb`.

Asks over one connection, on the simulated provider without pauses: without a key, with a new key each time, with the same key
again, with `dedupe: { mode: join }`; then has many clients join one slow stream; then looks at the memory of kept answers.
"""
import asyncio
import http.client
import json
import pathlib
import subprocess
import sys
import tempfile
import time

CONFIG = """
server: { listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: data }
providers:
  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }
  slow: { kind: practice, practice: { first_token: 2s, tokens_per_second: 200 } }
idempotency: { max: 1GiB }
routes:
  plain: { targets: [practice/small] }
  shared: { targets: [practice/small], dedupe: { mode: join, window: 0s } }
  slow: { targets: [slow/small], dedupe: { mode: join } }
"""
ASKED = 5_000
KEPT = 20_000
JOINING = 500


def start(binary, folder):
    (folder / "aplomb.yaml").write_text(CONFIG)
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


def body(route, stream):
    return json.dumps({"model": route, "stream": stream, "messages": [{"role": "user", "content": "what is a cat?"}]})


def ask(connection, route, stream, key=None):
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    begun = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body(route, stream), headers)
    answer = connection.getresponse()
    answer.read()
    return time.perf_counter() - begun, answer.getheader("x-aplomb-cache"), float(answer.getheader("x-aplomb-overhead-ms"))


def row(name, told):
    times, own = sorted(time for time, _, _ in told), sorted(own for _, _, own in told)
    at = lambda list, part: list[int(len(list) * part)]
    print(f"{name:28} p50 {at(times, .5) * 1e3:.3f} ms  p99 {at(times, .99) * 1e3:.3f} ms  gateway's own p50 {at(own, .5):.3f} ms")


def memory(process):
    for line in pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024


def report(found, folder):
    connection = http.client.HTTPConnection(found["admin"])
    token = (folder / "data/admin.token").read_text().strip()
    connection.request("GET", "/admin/v1/cache", headers={"authorization": f"Bearer {token}"})
    return json.loads(connection.getresponse().read())["shared"]


async def read(address):
    """One stream: its bytes but for the head, and whether it is another one's."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    text = body("slow", True)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
    writer.write((head + text).encode())
    told = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    rest = await reader.read()
    writer.close()
    return rest, "kind=shared" in told, time.perf_counter()


async def join(address):
    """Many clients at a time read one answer."""
    begun = time.perf_counter()
    told = await asyncio.gather(*(read(address) for _ in range(JOINING)))
    shared = sum(shared for _, shared, _ in told)
    ends = sorted(end - begun for _, _, end in told)
    size = len(told[0][0])
    print(f"{JOINING} clients at a time, {shared} joined, {size} bytes each: first done after {ends[0]:.2f} s, last after {ends[-1]:.2f} s")


def main():
    binary, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path
    with tempfile.TemporaryDirectory() as folder:
        process, found = start(binary, root(folder))
        try:
            connection = http.client.HTTPConnection(found["data"])
            for stream in (False, True):
                form = "streamed" if stream else "whole"
                row(f"no key, {form}", [ask(connection, "plain", stream) for _ in range(ASKED)])
                row(f"dedupe: join, {form}", [ask(connection, "shared", stream) for _ in range(ASKED)])
                row(f"a new key each, {form}", [ask(connection, "plain", stream, f"{form}-{n}") for n in range(ASKED)])
                again = [ask(connection, "plain", stream, f"{form}-1") for _ in range(ASKED)]
                assert all(told == "hit; kind=shared" for _, told, _ in again)
                row(f"the same key again, {form}", again)
            asyncio.run(join(found["data"]))
            before, kept = memory(process), report(found, root(folder))[1]["entries"]
            for n in range(KEPT):
                ask(connection, "plain", False, f"kept-{n}")
            shared = report(found, root(folder))[1]
            print(
                f"{shared['entries'] - kept} answers of new keys: {shared['bytes'] / shared['entries']:.0f} bytes each accounted, "
                f"{(memory(process) - before) / KEPT:.0f} measured"
            )
        finally:
            process.kill()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What shared calls cost: `bench/share.py PATH/TO/aplomb`.

Asks over one connection, on the simulated provider without pauses: without a key, with a new key each time, with the same key
again, with `dedupe: { mode: join }`; then has many clients join one slow stream; then looks at the memory of kept answers.
"""
import asyncio
import http.client
import json
import pathlib
import sys
import tempfile
import time

from cache import admin, memory, row, start

CONFIG = """
server: { listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: data }
providers:
  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }
  slow: { kind: practice, practice: { first_token: 2s, tokens_per_second: 200 } }
limits: []
idempotency: { max: 1GiB }
routes:
  plain: { targets: [practice/small] }
  shared: { targets: [practice/small], dedupe: { mode: join, window: 0s } }
  slow: { targets: [slow/small], dedupe: { mode: join } }
"""
ASKED = 5_000
KEPT = 20_000
JOINING = 500


def body(route, stream):
    return json.dumps({"model": route, "stream": stream, "messages": [{"role": "user", "content": "what is a cat?"}]})


def ask(connection, route, stream, key=None):
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    begun = time.perf_counter()
    connection.request("POST", "/v1/chat/completions", body(route, stream), headers)
    answer = connection.getresponse()
    answer.read()
    return time.perf_counter() - begun, answer.getheader("x-aplomb-cache"), float(answer.getheader("x-aplomb-overhead-ms"))


def told(name, asked):
    row(name, [time for time, _, _ in asked], [own for _, _, own in asked])


def report(found, folder):
    return json.loads(admin(found, folder, "/admin/v1/cache"))["shared"]


async def read(address):
    """One stream: its bytes but for the head, and whether it is another one's."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    text = body("slow", True)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(text)}\r\n\r\n"
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
    assert shared == JOINING - 1 and all(rest.endswith(told[0][0][-30:]) for rest, _, _ in told), told[0]
    ends = sorted(end - begun for _, _, end in told)
    size = len(told[0][0])
    print(f"{JOINING} clients at a time, {shared} joined, {size} bytes each: first done after {ends[0]:.2f} s, last after {ends[-1]:.2f} s")


def main():
    binary, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path
    with tempfile.TemporaryDirectory() as folder:
        process, found = start(binary, root(folder), CONFIG)
        try:
            connection = http.client.HTTPConnection(found["data"])
            for stream in (False, True):
                form = "streamed" if stream else "whole"
                told(f"no key, {form}", [ask(connection, "plain", stream) for _ in range(ASKED)])
                told(f"dedupe: join, {form}", [ask(connection, "shared", stream) for _ in range(ASKED)])
                told(f"a new key each, {form}", [ask(connection, "plain", stream, f"{form}-{n}") for n in range(ASKED)])
                again = [ask(connection, "plain", stream, f"{form}-1") for _ in range(ASKED)]
                assert all(cache == "hit; kind=shared" for _, cache, _ in again)
                told(f"the same key again, {form}", again)
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

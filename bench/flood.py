#!/usr/bin/env python3
"""What a flood does to others: `bench/flood.py PATH/TO/aplomb`.

Starts the gateway behind a trusted proxy on this machine. A caller with a key from one network asks at a steady pace, first by
itself, then while 50,000 requests with guessed keys come from the addresses of one subnet as fast as they are answered. Shows the
times of the caller in both cases, what the flood was told, and the memory of the process before and after.
"""
import asyncio
import collections
import http.client
import json
import multiprocessing
import pathlib
import subprocess
import sys
import tempfile
import time

from cache import admin, memory, start

CONFIG = """
server: { listen: 127.0.0.1:0, admin: 127.0.0.1:0, data_dir: data, trusted_proxies: [127.0.0.1] }
providers:
  practice: { practice: { first_token: 0s, tokens_per_second: 0 } }
limits: []
routes:
  chat: { targets: [practice/small] }
"""
FLOOD = 50_000
CONNECTIONS = 64
PACE = 100
QUIET = 2_000
BODY = json.dumps({"model": "chat", "messages": [{"role": "user", "content": "what is a cat?"}]})


async def attacker(address, numbers, told):
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for number in numbers:
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: 198.51.100.{number % 254 + 1}\r\n"
            f"authorization: Bearer sk-guess-{number}\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        )
        writer.write((head + BODY).encode())
        answer = (await reader.readuntil(b"\r\n\r\n")).decode()
        told[int(answer.split(" ", 2)[1])] += 1
        length = next(line for line in answer.lower().split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.split(":")[1]))
    writer.close()


def flood(address, results):
    async def run():
        told = collections.Counter()
        numbers = iter(range(FLOOD))
        await asyncio.gather(*(attacker(address, numbers, told) for _ in range(CONNECTIONS)))
        return told

    begun = time.perf_counter()
    told = asyncio.run(run())
    results.send((dict(told), time.perf_counter() - begun))


def caller(address, key, going):
    """Asks at a steady pace; times in seconds, from when a request was due."""
    connection = http.client.HTTPConnection(address)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "x-forwarded-for": "203.0.113.5"}
    times, begun = [], time.perf_counter()
    while going(len(times)):
        due = begun + len(times) / PACE
        time.sleep(max(0, due - time.perf_counter()))
        connection.request("POST", "/v1/chat/completions", BODY, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        times.append(time.perf_counter() - due)
    return sorted(times)


def show(name, times):
    at = lambda part: times[int(len(times) * part)] * 1e3
    print(f"{name:16} {len(times)} requests, p50 {at(.5):.2f} ms, p99 {at(.99):.2f} ms")
    return at(.99)


def main():
    binary = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        process, found = start(binary, folder, CONFIG)
        try:
            command = [binary, "keys", "create", "--tenant", "acme", "--json", "--config", "aplomb.yaml"]
            key = json.loads(subprocess.check_output(command, cwd=folder))["key"]
            time.sleep(1.5)
            quiet = show("quiet", caller(found["data"], key, lambda n: n < QUIET))
            before = memory(process)
            results, end = multiprocessing.Pipe(False)
            attack = multiprocessing.Process(target=flood, args=(found["data"], end))
            attack.start()
            busy = show("in the flood", caller(found["data"], key, lambda n: not results.poll() or n < 10))
            told, took = results.recv()
            attack.join()
            print(f"flood            {sum(told.values())} requests in {took:.1f} s, answered {told}")
            print(f"ratio of p99     {busy / quiet:.2f}")
            print(f"memory           {before / 2**20:.1f} MiB before, {memory(process) / 2**20:.1f} MiB after")
            for line in admin(found, folder, "/metrics").splitlines():
                if line.startswith("aplomb_protect_"):
                    print(line)
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    main()

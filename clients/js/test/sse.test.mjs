// The reader of event streams, in the source and in what is served.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as source from "../src/client.js";
import * as served from "../client.js";

const body = (chunks) =>
  new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });

async function read(module, chunks) {
  const found = [];
  for await (const event of module.readSse(body(chunks))) found.push(event);
  return found;
}

const bytes = (text) => new TextEncoder().encode(text);

const TEXT =
  "\ufeff: queued position=3 eta_ms=4200\r\n\r\n" +
  'event: delta\r\ndata: {"text":"grüße 👩‍👩‍👧 漢"}\r\n\r\n' +
  "data: one\ndata:two\ndata:  three\n\n" +
  "id: 7\nretry: 10\n\n" +
  "data\n\n" +
  "data: a\rdata: b\r\r" +
  "nonsense\n:\n:no space\n" +
  "data: [DONE]\n\n";
const EVENTS = [
  { comment: "queued position=3 eta_ms=4200" },
  { event: "delta", data: '{"text":"grüße 👩‍👩‍👧 漢"}' },
  { event: "message", data: "one\ntwo\n three" },
  { event: "message", data: "" },
  { event: "message", data: "a\nb" },
  { comment: "" },
  { comment: "no space" },
  { event: "message", data: "[DONE]" },
];

for (const [name, module] of Object.entries({ source, served })) {
  test(`${name}: the same events for every cut, and every pair of cuts`, async () => {
    const all = bytes(TEXT);
    assert.deepEqual(await read(module, [all]), EVENTS);
    assert.deepEqual(await read(module, [...all].map((byte) => Uint8Array.of(byte))), EVENTS);
    for (let a = 0; a <= all.length; a++) {
      for (let b = a; b <= all.length; b += b - a < 4 ? 1 : 13) {
        const chunks = [all.slice(0, a), all.slice(a, b), all.slice(b)];
        assert.deepEqual(await read(module, chunks), EVENTS, `cut at ${a} and ${b}`);
      }
    }
  });

  test(`${name}: an event without its empty line is no event`, async () => {
    for (const rest of ["data: half", "data: half\n", "data: half\r"]) {
      assert.deepEqual(await read(module, [bytes("data: whole\n\n" + rest)]), [{ event: "message", data: "whole" }]);
    }
    assert.deepEqual(await read(module, [bytes("data: x\r\r")]), [{ event: "message", data: "x" }]);
  });

  test(`${name}: what never ends is refused`, async () => {
    const piece = bytes("data: " + "x".repeat(1 << 20));
    await assert.rejects(read(module, Array(20).fill(piece)), { code: "too_large" });
    const lines = bytes("data: " + "x".repeat(1 << 20) + "\n");
    await assert.rejects(read(module, Array(20).fill(lines)), { code: "too_large" });
  });

  test(`${name}: who stops reading ends the body`, async () => {
    let cancelled = false;
    const endless = new ReadableStream({
      pull: (controller) => controller.enqueue(bytes("data: x\n\n")),
      cancel: () => void (cancelled = true),
    });
    for await (const event of module.readSse(endless)) {
      assert.equal(event.data, "x");
      break;
    }
    assert.ok(cancelled);
  });
}

// The client against a scripted `fetch`, in the source and in what is served. Waiting is real and short.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as source from "../src/client.js";
import * as served from "../client.js";

const ASK = { model: "chat", messages: [{ role: "user", content: "Hi" }] };
const chunk = (text, more) => "data: " + JSON.stringify({ choices: [{ index: 0, delta: { content: text }, ...more }] }) + "\n\n";
const HELLO = chunk("Hel") + chunk("lo", { finish_reason: "stop" }) + 'data: {"choices":[],"usage":{"total_tokens":5}}\n\ndata: [DONE]\n\n';

const stream = (text) => new Response(text, { headers: { "content-type": "text/event-stream", "x-aplomb-request-id": "r1" } });
const refused = (status, headers, code = "rate_limit_exceeded") =>
  new Response(JSON.stringify({ error: { code, message: "no", aplomb: { rule: "x" } } }), { status, headers });

/** Replaces `fetch`: each call takes the next answer. Returns the calls. */
function script(...answers) {
  const calls = [];
  globalThis.fetch = async (url, init) => {
    init.signal?.throwIfAborted();
    calls.push({ ...init, url, body: JSON.parse(init.body) });
    const answer = answers.length > 1 ? answers.shift() : answers[0];
    return typeof answer == "function" ? answer(init) : answer.clone();
  };
  return calls;
}

const settled = () => new Promise(setImmediate);

/** A response whose body never goes on, until it is aborted. */
const hanging = ({ signal }) =>
  new Response(
    new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode(chunk("Hel")));
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
    }),
    { headers: { "content-type": "text/event-stream", "x-aplomb-request-id": "r1" } },
  );

for (const [name, { createClient, countdown, AplombError }] of Object.entries({ source, served })) {
  test(`${name}: an answer of each dialect`, async () => {
    const calls = script(stream(": keep-alive\n\n: queued position=3 eta_ms=4200\n\n" + HELLO));
    const heard = [];
    const client = createClient({ base: "https://g", key: async () => "k", user: "ada", session: "s" });
    const answer = await client.send(ASK, {
      start: ({ id }) => heard.push(id),
      queued: (place) => heard.push(place),
      text: (added, whole) => heard.push([added, whole]),
    });
    assert.deepEqual(answer, { id: "r1", text: "Hello", finish: "stop", usage: { total_tokens: 5 } });
    assert.deepEqual(heard, ["r1", { position: 3, etaMs: 4200 }, ["Hel", "Hel"], ["lo", "Hello"]]);
    assert.equal(calls[0].url, "https://g/v1/chat/completions");
    assert.deepEqual(calls[0].body, { ...ASK, stream: true });
    const { headers } = calls[0];
    assert.equal(headers.authorization, "Bearer k");
    assert.equal(headers["x-aplomb-user"], "ada");
    assert.equal(headers["x-aplomb-session"], "s");
    assert.match(headers["idempotency-key"], /^[0-9a-f-]{36}$/);

    const events = [
      { type: "message_start", message: { usage: { input_tokens: 3 } } },
      { type: "content_block_delta", delta: { type: "text_delta", text: "Hello" } },
      { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } },
      { type: "message_stop" },
    ];
    const messages = script(stream(events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("")));
    const other = await createClient({ path: "/v1/messages" }).send(ASK);
    assert.deepEqual(other, { id: "r1", text: "Hello", finish: "end_turn", usage: { input_tokens: 3, output_tokens: 2 } });
    assert.equal(messages[0].headers["anthropic-version"], "2023-06-01");
  });

  test(`${name}: a stream that ends too early is an error, wherever it is cut`, async () => {
    for (let at = 0; at < HELLO.length; at++) {
      script(stream(HELLO.slice(0, at)));
      const error = await createClient().send(ASK).catch((error) => error);
      assert.ok(error instanceof AplombError, `cut at ${at} looks complete`);
      assert.equal(error.code, "cut");
      assert.equal(error.requestId, "r1");
      assert.ok("Hello".startsWith(error.text));
    }
  });

  test(`${name}: error events of both dialects`, async () => {
    script(stream(chunk("Hel") + 'data: {"error":{"code":"upstream_failed","message":"gone"}}\n\ndata: [DONE]\n\n'));
    await assert.rejects(createClient().send(ASK), { code: "upstream_failed", message: "gone", text: "Hel" });
    script(stream('event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"full"}}\n\n'));
    await assert.rejects(createClient({ path: "/v1/messages" }).send(ASK), { code: "overloaded_error", message: "full" });
  });

  test(`${name}: repeats what was refused before it began, with one idempotency key`, async () => {
    const calls = script(refused(429, { "retry-after-ms": "30" }), refused(503, {}), stream(HELLO));
    const seconds = [];
    const answer = await createClient().send(ASK, { wait: (left) => seconds.push(left) });
    assert.equal(answer.text, "Hello");
    assert.equal(new Set(calls.map((call) => call.headers["idempotency-key"])).size, 1);
    assert.equal(calls.length, 3);
    assert.equal(seconds.at(-1), 0);
  });

  test(`${name}: does not repeat what can't help`, async () => {
    for (const [answer, expected] of [
      [refused(429, { "x-should-retry": "false" }), { retryAfterMs: null }],
      [refused(500, {}), { status: 500 }],
      [refused(429, { "retry-after": "3600" }), { retryAfterMs: 3600000, requestId: null, aplomb: { rule: "x" } }],
      [refused(401, {}, "invalid_api_key"), { code: "invalid_api_key" }],
      [new Response("<html>", { status: 404 }), { code: "http_404" }],
      [stream(chunk("Hel")), { code: "cut" }],
    ]) {
      const calls = script(answer);
      await assert.rejects(createClient().send(ASK), expected);
      assert.equal(calls.length, 1);
    }
    const date = script(refused(429, { "retry-after": new Date(Date.now() + 3600e3).toUTCString() }));
    const error = await createClient().send(ASK).catch((error) => error);
    assert.ok(error.retryAfterMs > 3590e3 && error.retryAfterMs <= 3600e3);
    assert.equal(date.length, 1);
    const bounded = script(refused(429, { "retry-after-ms": "1" }));
    await assert.rejects(createClient({ retries: 1 }).send(ASK), { status: 429 });
    assert.equal(bounded.length, 2);
    script(() => Promise.reject(new TypeError("failed to fetch")));
    await assert.rejects(createClient().send(ASK), { code: "network", message: "failed to fetch" });
  });

  test(`${name}: join: the same call shares the answer, another one replaces it`, async () => {
    const calls = script(hanging, stream(HELLO));
    const client = createClient();
    const [first, second] = [client.send(ASK), client.send(ASK)];
    assert.ok(client.busy);
    await settled();
    const third = client.send({ ...ASK, model: "other" });
    await assert.rejects(first, { code: "replaced" });
    await assert.rejects(second, { code: "replaced" });
    assert.equal((await third).text, "Hello");
    // Within the time of a double click also what has ended is shared.
    assert.equal(await client.send({ ...ASK, model: "other" }), await third);
    assert.equal(calls.length, 2);
    assert.equal(client.busy, false);
  });

  test(`${name}: ignore, replace, cancel, signal`, async () => {
    let calls = script(hanging);
    let client = createClient({ mode: "ignore" });
    const running = client.send(ASK);
    assert.equal(await client.send({ model: "other" }), undefined);
    await settled();
    assert.equal(calls.length, 1);
    client.cancel();
    await assert.rejects(running, { code: "cancelled" });

    calls = script(stream(HELLO));
    client = createClient({ mode: "replace", debounce: 20 });
    const typed = ["a", "ab", "abc"].map((model) => client.send({ model }));
    await assert.rejects(typed[0], { code: "replaced" });
    await assert.rejects(typed[1], { code: "replaced" });
    assert.equal((await typed[2]).text, "Hello");
    assert.deepEqual(calls.map((call) => call.body.model), ["abc"]);

    calls = script(hanging);
    const page = new AbortController();
    const left = createClient().send(ASK, { signal: page.signal, text: () => page.abort() });
    await assert.rejects(left, { code: "cancelled", text: "Hel" });
    assert.ok(calls[0].signal.aborted);
    const never = createClient().send(ASK, { signal: AbortSignal.abort() });
    await assert.rejects(never, { code: "cancelled" });

    script(refused(429, { "retry-after": "30" }));
    client = createClient();
    const seconds = [];
    const waiting = client.send(ASK, { wait: (left) => (seconds.push(left), client.cancel()) });
    await assert.rejects(waiting, { code: "cancelled" });
    await countdown(1500);
    assert.equal(seconds.length, 1, "a countdown that was ended goes on");
  });

  test(`${name}: feedback, and what is told by itself`, async () => {
    const ok = new Response("{}");
    let calls = script(stream(HELLO), ok, stream(HELLO));
    const client = createClient({ debounce: 0 });
    await client.send(ASK);
    await client.send(ASK);
    const said = calls.find((call) => call.url == "/aplomb/v1/feedback");
    assert.deepEqual(said.body, { request_id: "r1", event: "regenerated" });
    assert.ok(said.keepalive);

    calls = script(ok);
    await client.feedback("r1", { thumb: "down", comment: "no" });
    const element = new EventTarget();
    client.watch(element, "r1");
    element.dispatchEvent(new Event("copy"));
    await settled();
    assert.deepEqual(calls.map((call) => call.body), [
      { request_id: "r1", thumb: "down", comment: "no" },
      { request_id: "r1", event: "copied" },
    ]);
    script(refused(404, {}, "not_found"));
    await assert.rejects(client.feedback("r2", { thumb: "up" }), { code: "not_found" });

    calls = script(stream(HELLO));
    const silent = createClient({ debounce: 0, implicit: false });
    await silent.send(ASK);
    await silent.send(ASK);
    assert.equal(calls.length, 2);
  });

  test(`${name}: the countdown follows the clock`, async () => {
    const seconds = [];
    const begun = performance.now();
    await countdown(1100, (left) => seconds.push(left));
    assert.deepEqual(seconds, [2, 1, 0]);
    assert.ok(performance.now() - begun >= 1100);
    await countdown(0);
    const stop = new AbortController();
    const stopped = countdown(60000, null, stop.signal);
    stop.abort(new Error("left"));
    await assert.rejects(stopped, /left/);
    await assert.rejects(countdown(60000, null, stop.signal), /left/);
  });
}

test("what is served is made from the source, and small", () => {
  const script = fileURLToPath(new URL("../minify.mjs", import.meta.url));
  const said = execFileSync(process.execPath, [script, "--check"], { encoding: "utf8" });
  const bytes = Number(said.split(" ")[0]);
  assert.ok(bytes <= 4096, said);
});

// The official Anthropic SDK for Node: only its base URL is changed.
import assert from "node:assert/strict";
import { test } from "node:test";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.APLOMB_URL, apiKey: "not-needed", maxRetries: 0 });
const ask = { model: "chat", max_tokens: 400, messages: [{ role: "user", content: "Say hello." }] };
const tools = [
  { name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
  { name: "get_time", input_schema: { type: "object", properties: {} } },
];

test("whole and streamed say the same", async () => {
  const whole = await client.messages.create(ask);
  assert.equal(whole.stop_reason, "end_turn");
  const final = await client.messages.stream(ask).finalMessage();
  assert.equal(final.content[0].text, whole.content[0].text);
  assert.deepEqual([final.usage.input_tokens, final.usage.output_tokens], [whole.usage.input_tokens, whole.usage.output_tokens]);
});

test("parallel tools, streamed", async () => {
  const messages = [{ role: "user", content: "Do both in parallel." }];
  const final = await client.messages.stream({ ...ask, messages, tools }).finalMessage();
  const calls = final.content.filter((block) => block.type === "tool_use");
  assert.deepEqual(calls.map((call) => call.name), ["get_weather", "get_time"]);
  assert.equal(typeof calls[0].input.city, "string");
  assert.equal(final.stop_reason, "tool_use");
});

test("thinking", async () => {
  const final = await client.messages.stream({ ...ask, max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024 } }).finalMessage();
  assert.equal(final.content[0].type, "thinking");
  assert.ok(final.content[0].signature);
});

test("count tokens and typed errors", async () => {
  const { max_tokens, ...count } = ask;
  assert.ok((await client.messages.countTokens(count)).input_tokens > 0);
  await assert.rejects(client.messages.create({ ...ask, model: "no-such-model" }), Anthropic.NotFoundError);
});

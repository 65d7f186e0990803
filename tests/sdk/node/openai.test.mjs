// The official OpenAI SDK for Node: only its base URL is changed.
import assert from "node:assert/strict";
import { test } from "node:test";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.APLOMB_URL + "/v1", apiKey: "not-needed", maxRetries: 0 });
const hello = [{ role: "user", content: "Say hello." }];
const tool = (name, properties) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties, required: Object.keys(properties), additionalProperties: false } },
});
const tools = [tool("get_weather", { city: { type: "string" }, days: { type: "integer" } }), tool("get_time", {})];

test("whole", async () => {
  const answer = await client.chat.completions.create({ model: "chat", messages: hello });
  assert.ok(answer.choices[0].message.content);
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.ok(answer.usage.total_tokens > 0);
});

test("stream says the same", async () => {
  const whole = await client.chat.completions.create({ model: "chat", messages: hello });
  let text = "";
  let finish = null;
  let usage = null;
  const stream = await client.chat.completions.create({ model: "chat", messages: hello, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? "";
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(finish, "stop");
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test("tools, whole and then their result", async () => {
  const messages = [{ role: "user", content: "What is the weather in Lisbon?" }];
  const answer = await client.chat.completions.create({ model: "chat", messages, tools });
  const call = answer.choices[0].message.tool_calls[0];
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
  messages.push(answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "sunny" });
  const final = await client.chat.completions.create({ model: "chat", messages, tools });
  assert.match(final.choices[0].message.content, /sunny/);
});

test("parallel tools, streamed", async () => {
  const messages = [{ role: "user", content: "Do both in parallel." }];
  const final = await client.chat.completions.stream({ model: "chat", messages, tools }).finalChatCompletion();
  const calls = final.choices[0].message.tool_calls;
  assert.deepEqual(calls.map((call) => call.function.name), ["get_weather", "get_time"]);
  for (const call of calls) JSON.parse(call.function.arguments);
});

test("tool runner", async () => {
  const run = client.chat.completions.runTools({
    model: "chat",
    messages: [{ role: "user", content: "What is the weather in Lisbon?" }],
    tools: [{ ...tools[0], function: { ...tools[0].function, parse: JSON.parse, function: async () => "cloudy" } }],
  });
  assert.match(await run.finalContent(), /cloudy/);
});

test("typed errors", async () => {
  await assert.rejects(client.chat.completions.create({ model: "no-such-model", messages: hello }), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ model: "chat", messages: "hello" }), OpenAI.BadRequestError);
});

test("a stream can be aborted", async () => {
  const stream = await client.chat.completions.create({ model: "chat", messages: hello, stream: true });
  for await (const _ of stream) break;
  const answer = await client.chat.completions.create({ model: "chat", messages: hello });
  assert.ok(answer.choices[0].message.content);
});

test("embeddings and models", async () => {
  const answer = await client.embeddings.create({ model: "chat", input: ["one", "two"] });
  assert.equal(answer.data.length, 2);
  assert.ok(answer.data[0].embedding.every((number) => typeof number === "number"));
  const names = [];
  for await (const model of client.models.list()) names.push(model.id);
  assert.ok(names.includes("chat"));
});

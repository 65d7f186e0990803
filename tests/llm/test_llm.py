"""A real LLM (SmolLM2-135M-Instruct) behind a real server (llama.cpp), asked through the gateway with the official SDKs."""

import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import anthropic
import openai
import pytest

QUESTION = "What is the capital of France? Answer in one sentence."
ASK = [{"role": "user", "content": QUESTION}]


@pytest.fixture(scope="module")
def openai_client(served):
    return openai.OpenAI(base_url=served.url + "/v1", api_key="not-needed", max_retries=0)


@pytest.fixture(scope="module")
def anthropic_client(served):
    return anthropic.Anthropic(base_url=served.url, api_key="not-needed", max_retries=0)


def test_openai_whole_and_streamed(openai_client, transcript):
    asked = dict(model="chat", messages=ASK, max_tokens=40, temperature=0)
    whole = openai_client.chat.completions.create(**asked)
    assert whole.choices[0].message.content.strip()
    assert whole.usage.completion_tokens > 0
    transcript("OpenAI SDK, whole", QUESTION, whole.choices[0].message.content, f"`{whole.usage.prompt_tokens}` tokens in, `{whole.usage.completion_tokens}` out, `{whole.choices[0].finish_reason}`")
    chunks = list(openai_client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    transcript("OpenAI SDK, streamed", QUESTION, text, f"{len(chunks)} chunks")


def test_anthropic_whole_and_streamed(anthropic_client, transcript):
    asked = dict(model="chat", messages=ASK, max_tokens=40, extra_body={"temperature": 0}, system="You are helpful.")
    whole = anthropic_client.messages.create(**asked)
    assert whole.content[0].text.strip() and whole.usage.input_tokens > 0
    transcript("Anthropic SDK, whole", QUESTION, whole.content[0].text, f"`{whole.usage.input_tokens}` tokens in, `{whole.usage.output_tokens}` out, `{whole.stop_reason}`")
    with anthropic_client.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text and final.usage.output_tokens == whole.usage.output_tokens
    assert final.stop_reason == whole.stop_reason
    transcript("Anthropic SDK, streamed", QUESTION, text)


def test_both_dialects_say_the_same(openai_client, anthropic_client):
    one = openai_client.chat.completions.create(model="chat", messages=ASK, max_tokens=30, temperature=0)
    other = anthropic_client.messages.create(model="chat", messages=ASK, max_tokens=30, extra_body={"temperature": 0})
    assert one.choices[0].message.content == other.content[0].text


def test_length(openai_client, anthropic_client):
    one = openai_client.chat.completions.create(model="chat", messages=ASK, max_tokens=3)
    assert one.choices[0].finish_reason == "length"
    assert anthropic_client.messages.create(model="chat", messages=ASK, max_tokens=3).stop_reason == "max_tokens"


def test_structured_output(openai_client, transcript):
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"]}
    answer = openai_client.chat.completions.create(
        model="chat", messages=[{"role": "user", "content": "Invent a person."}], max_tokens=200, temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}},
    )
    person = json.loads(answer.choices[0].message.content)
    assert isinstance(person["name"], str) and isinstance(person["age"], int)
    transcript("Structured output", "Invent a person. (JSON schema)", answer.choices[0].message.content)


def weather(shape):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    about = "Current weather of a city"
    if shape == "openai":
        return {"type": "function", "function": {"name": "get_weather", "description": about, "parameters": schema}}
    return {"name": "get_weather", "description": about, "input_schema": schema}


WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]


# This model's template knows no tools, so it never calls one; what the server must take is a history with calls.
def test_tool_history_openai(openai_client, transcript):
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    messages = [
        *WEATHER,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny, 31 degrees"},
    ]
    answer = openai_client.chat.completions.create(model="chat", messages=messages, tools=[weather("openai")], max_tokens=40, temperature=0)
    assert answer.choices[0].message.content
    transcript("A tool's result, OpenAI SDK", WEATHER[0]["content"] + " (with a call and its result)", answer.choices[0].message.content)


def test_tool_history_anthropic(anthropic_client, transcript):
    messages = [
        *WEATHER,
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny, 31 degrees"}]},
    ]
    asked = dict(model="chat", messages=messages, tools=[weather("anthropic")], max_tokens=40, extra_body={"temperature": 0})
    answer = anthropic_client.messages.create(**asked)
    assert answer.content[0].text
    with anthropic_client.messages.stream(**asked) as stream:
        assert stream.get_final_message().content[0].text == answer.content[0].text
    transcript("A tool's result, Anthropic SDK", WEATHER[0]["content"] + " (with a call and its result)", answer.content[0].text)


def test_logprobs(openai_client):
    answer = openai_client.chat.completions.create(model="chat", messages=ASK, max_tokens=5, logprobs=True, top_logprobs=2)
    assert len(answer.choices[0].logprobs.content) == answer.usage.completion_tokens


def test_errors_of_the_server_are_typed(openai_client):
    with pytest.raises(openai.BadRequestError):
        openai_client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "word " * 9000}], max_tokens=5)


def busy(served):
    with urllib.request.urlopen(served.upstream + "/slots") as reply:
        return sum(slot["is_processing"] for slot in json.load(reply))


def test_leaving_ends_the_generation(served, openai_client):
    asked = dict(model="chat", messages=[{"role": "user", "content": "Tell a very long story."}], max_tokens=2000, temperature=0)
    stream = openai_client.chat.completions.create(**asked, stream=True)
    next(iter(stream))
    assert busy(served) == 1
    stream.close()
    for _ in range(100):
        if busy(served) == 0:
            return
        time.sleep(0.05)
    raise AssertionError("the server still generates for a client that has left")


def test_several_at_once(openai_client):
    def one(number):
        messages = [{"role": "user", "content": f"Count to {number}."}]
        chunks = openai_client.chat.completions.create(model="chat", messages=messages, max_tokens=20, stream=True)
        return [c.choices[0].finish_reason for c in chunks if c.choices][-1]

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(one, range(2, 8))) <= {"stop", "length"}

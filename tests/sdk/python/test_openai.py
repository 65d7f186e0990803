"""The official OpenAI SDK for Python: only its base URL is changed."""

import asyncio
import json

import openai
import pytest
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def client(open_gateway):
    return openai.OpenAI(base_url=open_gateway.url + "/v1", api_key="not-needed", max_retries=0)


def test_whole(client):
    answer = client.chat.completions.create(model="chat", messages=HELLO)
    choice = answer.choices[0]
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_stream_says_the_same(client):
    whole = client.chat.completions.create(model="chat", messages=HELLO)
    chunks = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True))
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [c.choices[0].finish_reason for c in chunks if c.choices[0].finish_reason] == ["stop"]
    assert all(c.usage is None for c in chunks)


def test_stream_usage(client):
    options = {"include_usage": True}
    chunks = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True, stream_options=options))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(c.usage is None for c in chunks[:-1])


def test_max_tokens(client):
    answer = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=3)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens <= 3


def test_tool_call_and_its_result(client):
    messages = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    answer = client.chat.completions.create(model="chat", messages=messages, tools=[WEATHER])
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls" and len(choice.message.tool_calls) == 1
    call = choice.message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather" and set(arguments) == {"city", "days"}
    assert isinstance(arguments["city"], str) and isinstance(arguments["days"], int)
    messages += [choice.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 31 degrees"}]
    final = client.chat.completions.create(model="chat", messages=messages, tools=[WEATHER])
    assert final.choices[0].finish_reason == "stop" and "sunny" in final.choices[0].message.content


def test_parallel_tools_streamed(client):
    messages = [{"role": "user", "content": "Do both in parallel."}]
    with client.chat.completions.stream(model="chat", messages=messages, tools=[WEATHER, TIME]) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_time"]
    assert len({call.id for call in calls}) == 2
    for call in calls:
        json.loads(call.function.arguments)
    assert "tool_calls.function.arguments.done" in kinds


def test_tool_choice(client):
    named = {"type": "function", "function": {"name": "get_time"}}
    answer = client.chat.completions.create(model="chat", messages=HELLO, tools=[WEATHER, TIME], tool_choice=named)
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ["get_time"]
    answer = client.chat.completions.create(model="chat", messages=HELLO, tools=[WEATHER], tool_choice="none")
    assert answer.choices[0].message.content and not answer.choices[0].message.tool_calls


class Event(BaseModel):
    name: str
    year: int
    people: list[str]


def test_structured_output(client):
    answer = client.chat.completions.parse(model="chat", messages=HELLO, response_format=Event)
    assert isinstance(answer.choices[0].message.parsed, Event)
    answer = client.chat.completions.create(model="chat", messages=HELLO, response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


def test_choices(client):
    answer = client.chat.completions.create(model="chat", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def test_logprobs(client):
    answer = client.chat.completions.create(model="chat", messages=HELLO, logprobs=True, top_logprobs=2)
    content = answer.choices[0].logprobs.content
    assert "".join(part.token for part in content) == answer.choices[0].message.content
    assert all(part.logprob <= 0 and len(part.top_logprobs) == 2 for part in content)


def test_reasoning(client):
    answer = client.chat.completions.create(model="chat", messages=HELLO, reasoning_effort="low")
    assert answer.choices[0].message.reasoning_content and answer.choices[0].message.content


def test_images_are_parts(client):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    assert client.chat.completions.create(model="chat", messages=messages).choices[0].message.content


def test_legacy_completions(client):
    answer = client.completions.create(model="chat", prompt="Say hello.", max_tokens=8)
    assert answer.object == "text_completion" and answer.choices[0].text
    text = "".join(c.choices[0].text for c in client.completions.create(model="chat", prompt="Say hello.", max_tokens=8, stream=True))
    assert text == answer.choices[0].text


def test_embeddings(client):
    answer = client.embeddings.create(model="chat", input=["one", "two", "one"])
    vectors = [item.embedding for item in answer.data]
    assert len(vectors) == 3 and vectors[0] == vectors[2] != vectors[1]
    assert all(isinstance(number, float) for number in vectors[0])


def test_models(client):
    names = [model.id for model in client.models.list()]
    assert "chat" in names
    assert client.models.retrieve("chat").id == "chat"


def test_typed_errors(client):
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="no-such-model", messages=HELLO)
    assert error.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as error:
        client.chat.completions.create(model="chat", messages="hello")
    assert error.value.param == "messages"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="chat", messages=HELLO, temperature="hot")


def test_keys(keyed_gateway):
    good = openai.OpenAI(base_url=keyed_gateway.url + "/v1", api_key=keyed_gateway.key, max_retries=0)
    assert good.chat.completions.create(model="chat", messages=HELLO).choices
    bad = openai.OpenAI(base_url=keyed_gateway.url + "/v1", api_key="apl_wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as error:
        bad.chat.completions.create(model="chat", messages=HELLO)
    assert error.value.code == "invalid_api_key"


def test_headers(client):
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=HELLO)
    assert raw.headers["x-aplomb-target"] == "practice/practice"
    assert raw.headers["x-request-id"] == raw.headers["x-aplomb-request-id"] == raw.parse()._request_id


def test_a_stream_can_be_left(client):
    stream = client.chat.completions.create(model="chat", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(model="chat", messages=HELLO).choices


def test_many_at_once(open_gateway):
    async def run():
        client = openai.AsyncOpenAI(base_url=open_gateway.url + "/v1", api_key="x", max_retries=0)

        async def one(number):
            messages = [{"role": "user", "content": f"Number {number}, please."}]
            stream = await client.chat.completions.create(model="chat", messages=messages, stream=True)
            return "".join([c.choices[0].delta.content or "" async for c in stream])

        return await asyncio.gather(*(one(number) for number in range(20)))

    assert all(asyncio.run(run()))

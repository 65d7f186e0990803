"""The official Anthropic SDK for Python: only its base URL is changed."""

import anthropic
import pytest

WEATHER = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}
HELLO = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def client(open_gateway):
    return anthropic.Anthropic(base_url=open_gateway.url, api_key="not-needed", max_retries=0)


def test_whole(client):
    answer = client.messages.create(model="chat", max_tokens=200, messages=HELLO)
    assert answer.role == "assistant" and answer.content[0].type == "text" and answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def test_stream_says_the_same(client):
    whole = client.messages.create(model="chat", max_tokens=200, messages=HELLO)
    with client.messages.stream(model="chat", max_tokens=200, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens == whole.usage.input_tokens > 0


def test_events_in_their_order(client):
    events = [event.type for event in client.messages.create(model="chat", max_tokens=200, messages=HELLO, stream=True)]
    assert events[0] == "message_start" and events[-2:] == ["message_delta", "message_stop"]
    assert events[1] == "content_block_start" and events[-3] == "content_block_stop"


def test_max_tokens(client):
    answer = client.messages.create(model="chat", max_tokens=3, messages=HELLO)
    assert answer.stop_reason == "max_tokens" and answer.usage.output_tokens <= 3


def test_tool_use_and_its_result(client):
    messages = [{"role": "user", "content": "What is the weather in Lisbon?"}]
    answer = client.messages.create(model="chat", max_tokens=200, messages=messages, tools=[WEATHER])
    assert answer.stop_reason == "tool_use"
    call = answer.content[-1]
    assert call.type == "tool_use" and call.name == "get_weather" and isinstance(call.input["days"], int)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny, 31 degrees"}
    messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    final = client.messages.create(model="chat", max_tokens=200, messages=messages, tools=[WEATHER])
    assert final.stop_reason == "end_turn" and "sunny" in final.content[0].text


def test_parallel_tools_streamed(client):
    messages = [{"role": "user", "content": "Do both in parallel."}]
    with client.messages.stream(model="chat", max_tokens=400, messages=messages, tools=[WEATHER, TIME]) as stream:
        final = stream.get_final_message()
    calls = [block for block in final.content if block.type == "tool_use"]
    assert [call.name for call in calls] == ["get_weather", "get_time"] and calls[0].id != calls[1].id
    assert isinstance(calls[0].input["days"], int) and calls[1].input == {}
    assert final.stop_reason == "tool_use"


def test_tool_choice(client):
    def names(choice):
        answer = client.messages.create(model="chat", max_tokens=200, messages=HELLO, tools=[WEATHER, TIME], tool_choice=choice)
        return [block.name for block in answer.content if block.type == "tool_use"]

    assert names({"type": "tool", "name": "get_time"}) == ["get_time"]
    assert names({"type": "any"}) and not names({"type": "none"})


def test_thinking_is_signed_and_comes_back(client):
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model="chat", max_tokens=2000, messages=HELLO, thinking=thinking) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.content[0].thinking and final.content[0].signature
    messages = [*HELLO, {"role": "assistant", "content": final.content}, {"role": "user", "content": "Go on."}]
    again = client.messages.create(model="chat", max_tokens=2000, messages=messages, thinking=thinking)
    assert again.content[0].type == "thinking"


def test_system_and_cache_control(client):
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    answer = client.messages.create(model="chat", max_tokens=200, system=system, messages=HELLO)
    assert answer.content[0].text


def test_count_tokens(client):
    assert client.messages.count_tokens(model="chat", messages=HELLO).input_tokens > 0


def test_models(client):
    assert "chat" in [model.id for model in client.models.list()]


def test_typed_errors(client):
    with pytest.raises(anthropic.NotFoundError) as error:
        client.messages.create(model="no-such-model", max_tokens=5, messages=HELLO)
    assert error.value.body["error"]["type"] == "not_found_error"
    with pytest.raises(anthropic.BadRequestError) as error:
        client.messages.create(model="chat", max_tokens=5, messages=HELLO, extra_body={"temperature": "hot"})
    assert "temperature" in error.value.body["error"]["message"]


def test_keys(keyed_gateway):
    good = anthropic.Anthropic(base_url=keyed_gateway.url, api_key=keyed_gateway.key, max_retries=0)
    assert good.messages.create(model="chat", max_tokens=20, messages=HELLO).content
    token = anthropic.Anthropic(base_url=keyed_gateway.url, auth_token=keyed_gateway.key, max_retries=0)
    assert token.messages.create(model="chat", max_tokens=20, messages=HELLO).content
    bad = anthropic.Anthropic(base_url=keyed_gateway.url, api_key="apl_wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        bad.messages.create(model="chat", max_tokens=20, messages=HELLO)


def test_request_id(client):
    answer = client.messages.with_raw_response.create(model="chat", max_tokens=20, messages=HELLO)
    assert answer.headers["request-id"] == answer.headers["x-aplomb-request-id"] == answer.parse()._request_id

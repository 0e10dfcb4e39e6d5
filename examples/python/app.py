"""A Switchboard plugin in Python: describes numbers, as a message and as a tool; MCP clients can read what the figures
mean, and be given a prompt that asks a model to explain some.

Each class is one exported interface of wit/world.wit, each method one of its functions. An answer is returned; a
refusal is raised as `Err(Refusal(...))`. JSON crosses as text. What stands at the top of a module runs when the
component is built, not when it is called.
"""

import json

from componentize_py_types import Err
from numbers_described import describe
from wit_world import exports
from wit_world.imports import logging
from wit_world.imports.types import Context, Message, Refusal

INPUT = {
    "type": "object",
    "properties": {
        "numbers": {"type": "array", "items": {"type": "number"}, "maxItems": 10000, "description": "Any numbers"},
    },
    "required": ["numbers"],
    "additionalProperties": False,
}


FIGURES = {
    "mean": "The sum, divided by how many there are.",
    "median": "The one in the middle, or between the two in the middle.",
    "stdev": "The sample standard deviation; of two numbers or more.",
    "quartiles": "What a quarter, a half and three quarters are not above; of two numbers or more.",
}


def described(arguments: str) -> dict:
    numbers = json.loads(arguments)["numbers"]
    if not numbers:
        raise Err(Refusal("NO_NUMBERS", "There is nothing to describe", True, "Send at least one number.", None))
    return describe(numbers)


class Plugin(exports.Plugin):
    def manifest(self) -> str:
        handled = {"type": "describe_numbers", "schema": INPUT, "emits": ["numbers_described"]}
        return json.dumps(
            {
                "name": "describe",
                "version": "0.1.0",
                "description": "Describes numbers",
                "handles": [handled],
                "tools": True,
                "resources": True,
                "prompts": True,
            }
        )


class Handler(exports.Handler):
    def handle(self, ctx: Context, msg: Message) -> Message | None:
        found = described(msg.payload)
        logging.log(logging.Level.DEBUG, "described numbers", json.dumps({"count": found["count"]}))
        print(f"{ctx.principal.subject} sent {found['count']} numbers")
        return Message("numbers_described", json.dumps(found), None, None, 0)


class Tools(exports.Tools):
    def list_tools(self, ctx: Context) -> str:
        tool = {"name": "describe_numbers", "description": "Mean, median, spread and so on", "inputSchema": INPUT}
        return json.dumps([tool])

    def call_tool(self, ctx: Context, name: str, arguments: str) -> str:
        # There is one tool, and the host calls no other.
        text = json.dumps(described(arguments))
        return json.dumps({"content": [{"type": "text", "text": text}], "structuredContent": json.loads(text)})


class Resources(exports.Resources):
    def list_resources(self, ctx: Context) -> str:
        return json.dumps(
            [{"uri": f"figure://{name}", "name": name, "mimeType": "text/plain"} for name in FIGURES]
        )

    def list_resource_templates(self, ctx: Context) -> str:
        return "[]"

    def read_resource(self, ctx: Context, uri: str) -> str:
        text = FIGURES.get(uri.removeprefix("figure://"))
        if text is None:
            raise Err(Refusal("RESOURCE_NOT_FOUND", f"There is no resource {uri}", True, None, None))
        return json.dumps({"contents": [{"uri": uri, "mimeType": "text/plain", "text": text}]})


class Prompts(exports.Prompts):
    def list_prompts(self, ctx: Context) -> str:
        numbers = {"name": "numbers", "description": "With commas between them", "required": True}
        prompt = {"name": "explain_numbers", "description": "Asks what is notable about numbers", "arguments": [numbers]}
        return json.dumps([prompt])

    def get_prompt(self, ctx: Context, name: str, arguments: str) -> str:
        # There is one prompt, and its argument is required: the host has seen to both.
        numbers = json.loads(arguments)["numbers"]
        text = f"Describe these numbers with the tool describe_numbers, and say what is notable about them: {numbers}"
        return json.dumps({"messages": [{"role": "user", "content": {"type": "text", "text": text}}]})

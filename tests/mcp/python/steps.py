"""What both generations of the client say and answer: one line of JSON for each step, read by the tests."""

import json
import os

WATCHED = "test://watched-resource"

# How long any step may take. Only a server that does not answer uses it up.
PATIENCE = 60

FORM = {"username": "ada", "email": "ada@example.com"}


def say(step, **found):
    print(json.dumps({"step": step, **found}), flush=True)


def token():
    return os.environ["MCP_TOKEN"]


def texts(contents):
    """The texts among blocks of content, or among the parts of a resource."""
    return [block.text for block in contents if getattr(block, "text", None) is not None]

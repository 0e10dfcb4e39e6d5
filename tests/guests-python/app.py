"""Tries what a plugin cannot have, by the ordinary means of a language that believes that it has an operating
system, and reports what it found."""

import json
import os
import socket
import sys
import time

from wit_world import exports
from wit_world.imports.types import Context, Message


def attempt(what) -> str:
    """What came of it, or the error's name."""
    try:
        return f"got {what()!r}"
    except BaseException as fault:
        return f"{type(fault).__name__}: {fault}"


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


def write(path: str) -> int:
    with open(path, "w") as file:
        return file.write("was here")


def connect(port: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect(("127.0.0.1", port))
        return "connected"


def listen() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.bind(("127.0.0.1", 0))
        connection.listen()
        return "listening"


def send(port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        return connection.sendto(b"was here", ("127.0.0.1", port))


def look_around(payload: dict) -> dict:
    port = payload["port"]
    return {
        "read": attempt(lambda: read("/etc/passwd")),
        "write": attempt(lambda: write("/tmp/was-here")),
        "root": attempt(lambda: os.listdir("/")),
        "here": attempt(lambda: os.listdir(".")),
        "tcp": attempt(lambda: connect(port)),
        "listen": attempt(listen),
        "udp": attempt(lambda: send(port)),
        "dns": attempt(lambda: socket.getaddrinfo("localhost", 80)),
        "environment": dict(os.environ),
        "arguments": [argument for argument in sys.argv if argument],
        "stdin": attempt(lambda: sys.stdin.read(10)),
        "random": os.urandom(16).hex(),
        "random_too_much": attempt(lambda: len(os.urandom(1 << 20))),
        "time": time.time(),
    }


def speak(payload: dict) -> dict:
    print("one\ntwo")
    print("\x1b[31mforged\u202e", "x" * 5_000)
    print("to stderr", file=sys.stderr)
    for number in range(payload.get("lines", 0)):
        print("line", number)
    sys.stdout.write("no end")
    sys.stdout.flush()
    return {}


def sleep(payload: dict) -> dict:
    time.sleep(payload["seconds"])
    return {}


def leave(payload: dict) -> dict:
    os._exit(payload["status"])


def hoard(payload: dict) -> dict:
    """Streams that are opened and never closed."""
    return {"kept": [os.dup(1) for _ in range(payload["count"])][-1]}


TASKS = {
    "probe_look": look_around,
    "probe_speak": speak,
    "probe_sleep": sleep,
    "probe_leave": leave,
    "probe_hoard": hoard,
}


class Plugin(exports.Plugin):
    def manifest(self) -> str:
        handles = [{"type": name, "ordering": "concurrent"} for name in TASKS]
        return json.dumps({"name": "wasi-probe", "version": "0.1.0", "handles": handles})


class Handler(exports.Handler):
    def handle(self, ctx: Context, msg: Message) -> Message | None:
        found = TASKS[msg.type](json.loads(msg.payload))
        return Message("probe_result", json.dumps(found), None, None, 0)

"""The official Python client of the first generation, over HTTP or a WebSocket: `client_1.py URL`."""

import contextlib
import sys

import anyio
import httpx
import mcp.types as types
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.client.websocket import websocket_client
from pydantic import AnyUrl
from steps import FORM, PATIENCE, WATCHED, say, texts, token

OTHER_CALLS = 3


async def elicit(context, params):
    return types.ElicitResult(action="accept", content=FORM)


async def sample(context, params):
    content = types.TextContent(type="text", text="Paris")
    return types.CreateMessageResult(role="assistant", content=content, model="a test")


async def roots(context):
    return types.ListRootsResult(roots=[types.Root(uri="file:///tests", name="tests")])


class Heard:
    """Notifications that no call waits for."""

    def __init__(self):
        self.tools = anyio.Event()
        self.resource = anyio.Event()
        self.logs = []

    async def message(self, message):
        notification = getattr(message, "root", None)
        if isinstance(notification, types.ToolListChangedNotification):
            self.tools.set()
        if isinstance(notification, types.ResourceUpdatedNotification) and str(notification.params.uri) == WATCHED:
            self.resource.set()

    async def log(self, params):
        self.logs.append(params.data)


@contextlib.asynccontextmanager
async def streams(url):
    """A socket of this client has no headers: its URL holds a ticket."""
    if url.startswith("ws"):
        async with websocket_client(url) as both:
            yield both
        return
    headers = {"Authorization": f"Bearer {token()}"}
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        async with streamable_http_client(url, http_client=http) as (read, write, _):
            yield read, write


async def main(url):
    heard = Heard()
    async with streams(url) as (read, write):
        session = ClientSession(
            read,
            write,
            elicitation_callback=elicit,
            sampling_callback=sample,
            list_roots_callback=roots,
            logging_callback=heard.log,
            message_handler=heard.message,
        )
        async with session:
            began = await session.initialize()
            say("connected", version=began.protocolVersion, server=began.serverInfo.name)
            await session.send_ping()
            await ask(session, heard)
            await cancel(session)
            await watch(session, heard)
    say("done")


async def ask(session, heard):
    say("tools", names=[tool.name for tool in (await session.list_tools()).tools])
    called = await session.call_tool("test_simple_text")
    say("called", texts=texts(called.content), error=called.isError)
    failed = await session.call_tool("test_error_handling")
    say("failed", texts=texts(failed.content), error=failed.isError)
    structured = await session.call_tool("test_structured_content")
    say("structured", value=structured.structuredContent)

    reports = []

    async def on_progress(progress, total, message):
        reports.append([progress, total])

    await session.call_tool("test_tool_with_progress", progress_callback=on_progress)
    say("progress", reports=reports)
    await session.set_logging_level("info")
    await session.call_tool("test_tool_with_logging")
    say("logged", lines=heard.logs)

    say("elicited", texts=texts((await session.call_tool("test_elicitation", {"message": "Who?"})).content))
    say("sampled", texts=texts((await session.call_tool("test_sampling", {"prompt": "Capital?"})).content))
    listed = await session.call_tool("test_input_required_result_list_roots")
    say("rooted", texts=texts(listed.content))

    say("resources", uris=[str(each.uri) for each in (await session.list_resources()).resources])
    templates = (await session.list_resource_templates()).resourceTemplates
    say("templates", uris=[each.uriTemplate for each in templates])
    say("read", texts=texts((await session.read_resource(AnyUrl("test://static-text"))).contents))
    blob = (await session.read_resource(AnyUrl("test://static-binary"))).contents[0].blob
    say("bytes", blob=blob)
    say("prompts", names=[prompt.name for prompt in (await session.list_prompts()).prompts])
    prompt = await session.get_prompt("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"})
    say("prompt", texts=texts([message.content for message in prompt.messages]))
    reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
    completed = await session.complete(reference, {"name": "arg1", "value": "test"})
    say("completed", values=completed.completion.values)


async def cancel(session):
    """Gives a call up that never ends; others go on meanwhile."""
    begun = anyio.Event()

    async def on_progress(progress, total, message):
        begun.set()

    # This generation leaves it to the application to tell the server, and tells nobody the id.
    request = session._request_id
    async with anyio.create_task_group() as group:

        async def call():
            await session.call_tool("test_endless", progress_callback=on_progress)

        group.start_soon(call)
        with anyio.fail_after(PATIENCE):
            await begun.wait()
        for _ in range(OTHER_CALLS):
            await session.call_tool("test_simple_text")
        params = types.CancelledNotificationParams(requestId=request, reason="enough")
        await session.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
        group.cancel_scope.cancel()
    say("cancelled")
    say("afterwards", texts=texts((await session.call_tool("test_simple_text")).content))


async def watch(session, heard):
    """Sees the list of tools change, which the test does when it reads `watching`, and a resource."""
    await session.subscribe_resource(AnyUrl(WATCHED))
    say("watching")
    with anyio.fail_after(PATIENCE):
        await heard.tools.wait()
    say("relisted", names=[tool.name for tool in (await session.list_tools()).tools])
    await session.call_tool("test_trigger_resource_change")
    with anyio.fail_after(PATIENCE):
        await heard.resource.wait()
    say("updated", texts=texts((await session.read_resource(AnyUrl(WATCHED))).contents))


anyio.run(main, sys.argv[1])

"""The official Python client of the second generation, over HTTP: `client_2.py URL auto|legacy`."""

import sys

import anyio
import httpx2
import mcp_types as types
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
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
    """Notifications that came outside of any stream of changes."""

    def __init__(self):
        self.tools = anyio.Event()
        self.resource = anyio.Event()
        self.logs = []

    async def message(self, message):
        if isinstance(message, types.ToolListChangedNotification):
            self.tools.set()
        if isinstance(message, types.ResourceUpdatedNotification) and str(message.params.uri) == WATCHED:
            self.resource.set()

    async def log(self, params):
        self.logs.append(params.data)


async def main(url, mode):
    heard = Heard()
    headers = {"Authorization": f"Bearer {token()}"}
    async with httpx2.AsyncClient(headers=headers, timeout=PATIENCE) as http:
        transport = streamable_http_client(url, http_client=http)
        client = Client(
            transport,
            mode=mode,
            elicitation_callback=elicit,
            sampling_callback=sample,
            list_roots_callback=roots,
            logging_callback=heard.log,
            log_level="info",
            message_handler=heard.message,
        )
        async with client:
            info = client.server_info
            say("connected", version=client.protocol_version, server=info.name if info else None)
            await ask(client, mode, heard)
            await cancel(client)
            await watch(client, mode, heard)
    say("done")


async def ask(client, mode, heard):
    say("tools", names=[tool.name for tool in (await client.list_tools()).tools])
    called = await client.call_tool("test_simple_text")
    say("called", texts=texts(called.content), error=called.is_error)
    failed = await client.call_tool("test_error_handling")
    say("failed", texts=texts(failed.content), error=failed.is_error)
    structured = await client.call_tool("test_structured_content")
    say("structured", value=structured.structured_content)

    reports = []

    async def on_progress(progress, total, message):
        reports.append([progress, total])

    await client.call_tool("test_tool_with_progress", progress_callback=on_progress)
    say("progress", reports=reports)
    if mode == "legacy":
        await client.set_logging_level("info")
    await client.call_tool("test_tool_with_logging")
    say("logged", lines=heard.logs)

    say("elicited", texts=texts((await client.call_tool("test_elicitation", {"message": "Who?"})).content))
    say("sampled", texts=texts((await client.call_tool("test_sampling", {"prompt": "Capital?"})).content))
    listed = await client.call_tool("test_input_required_result_list_roots")
    say("rooted", texts=texts(listed.content))

    say("resources", uris=[str(each.uri) for each in (await client.list_resources()).resources])
    templates = (await client.list_resource_templates()).resource_templates
    say("templates", uris=[each.uri_template for each in templates])
    say("read", texts=texts((await client.read_resource("test://static-text")).contents))
    blob = (await client.read_resource("test://static-binary")).contents[0].blob
    say("bytes", blob=blob)
    say("prompts", names=[prompt.name for prompt in (await client.list_prompts()).prompts])
    prompt = await client.get_prompt("test_prompt_with_arguments", {"arg1": "one", "arg2": "two"})
    say("prompt", texts=texts([message.content for message in prompt.messages]))
    reference = types.PromptReference(type="ref/prompt", name="test_prompt_with_arguments")
    completed = await client.complete(reference, {"name": "arg1", "value": "test"})
    say("completed", values=completed.completion.values)


async def cancel(client):
    """Gives a call up that never ends; others go on meanwhile."""
    begun = anyio.Event()

    async def on_progress(progress, total, message):
        begun.set()

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: client.call_tool("test_endless", progress_callback=on_progress))
        with anyio.fail_after(PATIENCE):
            await begun.wait()
        for _ in range(OTHER_CALLS):
            await client.call_tool("test_simple_text")
        group.cancel_scope.cancel()
    say("cancelled")
    say("afterwards", texts=texts((await client.call_tool("test_simple_text")).content))


async def watch(client, mode, heard):
    """Sees the list of tools change, which the test does when it reads `watching`, and a resource."""
    if mode == "legacy":
        await client.subscribe_resource(WATCHED)
        say("watching")
        with anyio.fail_after(PATIENCE):
            await heard.tools.wait()
        await relist(client)
        await client.call_tool("test_trigger_resource_change")
        with anyio.fail_after(PATIENCE):
            await heard.resource.wait()
        say("updated", texts=texts((await client.read_resource(WATCHED)).contents))
        return
    changes = client.listen(tools_list_changed=True, resource_subscriptions=[WATCHED])
    async with changes as events:
        say("watching")
        with anyio.fail_after(PATIENCE):
            async for _ in events:
                break
        await relist(client)
        await client.call_tool("test_trigger_resource_change")
        with anyio.fail_after(PATIENCE):
            async for event in events:
                if type(event).__name__ == "ResourceUpdated":
                    break
        say("updated", texts=texts((await client.read_resource(WATCHED)).contents))


async def relist(client):
    say("relisted", names=[tool.name for tool in (await client.list_tools()).tools])


anyio.run(main, sys.argv[1], sys.argv[2])

// The official TypeScript client of the first generation, over HTTP or a WebSocket: the argument is the URL.
// It is read from the standard input, so that packages are found where they are installed.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { WebSocketClientTransport } from "@modelcontextprotocol/sdk/client/websocket.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";

const WATCHED = "test://watched-resource";
// How long any step may take. Only a server that does not answer uses it up.
const PATIENCE = 60_000;
const OTHER_CALLS = 3;

const [url] = process.argv.slice(2);

const say = (step, found = {}) => console.log(JSON.stringify({ step, ...found }));
const texts = (blocks) => blocks.map((block) => block.text).filter((text) => text !== undefined);

function within(what, promise) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`waited too long for ${what}`)), PATIENCE).unref());
  return Promise.race([promise, late]);
}

function signal() {
  let set;
  const heard = new Promise((resolve) => (set = resolve));
  return { heard, set };
}

const tools = signal();
const resource = signal();
const lines = [];

const client = new Client(
  { name: "tests", version: "1.0.0" },
  { capabilities: { elicitation: {}, sampling: {}, roots: {} } },
);
client.setRequestHandler(ElicitRequestSchema, async () => ({
  action: "accept",
  content: { username: "ada", email: "ada@example.com" },
}));
client.setRequestHandler(CreateMessageRequestSchema, async () => ({
  role: "assistant",
  content: { type: "text", text: "Paris" },
  model: "a test",
}));
client.setRequestHandler(ListRootsRequestSchema, async () => ({ roots: [{ uri: "file:///tests", name: "tests" }] }));
client.setNotificationHandler(ToolListChangedNotificationSchema, () => tools.set());
client.setNotificationHandler(LoggingMessageNotificationSchema, (message) => lines.push(message.params.data));
client.setNotificationHandler(ResourceUpdatedNotificationSchema, (message) => {
  if (message.params.uri === WATCHED) resource.set();
});

// A socket of this client has no headers: its URL holds a ticket.
const headers = { Authorization: `Bearer ${process.env.MCP_TOKEN}` };
const transport = url.startsWith("ws")
  ? new WebSocketClientTransport(new URL(url))
  : new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
const versions = [];
transport.setProtocolVersion = ((told) => (version) => {
  versions.push(version);
  told?.call(transport, version);
})(transport.setProtocolVersion);
await client.connect(transport);
say("connected", { version: versions[0], server: client.getServerVersion()?.name ?? null });
await client.ping();

const call = (name, args = {}, options) => client.callTool({ name, arguments: args }, undefined, options);
const listed = async () => (await client.listTools()).tools.map((tool) => tool.name);

say("tools", { names: await listed() });
const called = await call("test_simple_text");
say("called", { texts: texts(called.content), error: called.isError ?? false });
const failed = await call("test_error_handling");
say("failed", { texts: texts(failed.content), error: failed.isError ?? false });
say("structured", { value: (await call("test_structured_content")).structuredContent });

const reports = [];
await call("test_tool_with_progress", {}, { onprogress: ({ progress, total }) => reports.push([progress, total]) });
say("progress", { reports });
await client.setLoggingLevel("info");
await call("test_tool_with_logging");
say("logged", { lines });

say("elicited", { texts: texts((await call("test_elicitation", { message: "Who?" })).content) });
say("sampled", { texts: texts((await call("test_sampling", { prompt: "Capital?" })).content) });
say("rooted", { texts: texts((await call("test_input_required_result_list_roots")).content) });

say("resources", { uris: (await client.listResources()).resources.map((each) => each.uri) });
say("templates", { uris: (await client.listResourceTemplates()).resourceTemplates.map((each) => each.uriTemplate) });
say("read", { texts: texts((await client.readResource({ uri: "test://static-text" })).contents) });
say("bytes", { blob: (await client.readResource({ uri: "test://static-binary" })).contents[0].blob });
say("prompts", { names: (await client.listPrompts()).prompts.map((prompt) => prompt.name) });
const prompt = await client.getPrompt({ name: "test_prompt_with_arguments", arguments: { arg1: "one", arg2: "two" } });
say("prompt", { texts: texts(prompt.messages.map((message) => message.content)) });
const completed = await client.complete({
  ref: { type: "ref/prompt", name: "test_prompt_with_arguments" },
  argument: { name: "arg1", value: "test" },
});
say("completed", { values: completed.completion.values });

// A call that never ends is given up; others go on meanwhile.
const begun = signal();
const enough = new AbortController();
const endless = call("test_endless", {}, { onprogress: () => begun.set(), signal: enough.signal, timeout: PATIENCE });
const given_up = endless.then(
  () => Promise.reject(new Error("the endless call has ended")),
  () => undefined,
);
await within("the endless call to begin", begun.heard);
for (let each = 0; each < OTHER_CALLS; each += 1) await call("test_simple_text");
enough.abort("enough");
await within("the endless call to be given up", given_up);
say("cancelled");
say("afterwards", { texts: texts((await call("test_simple_text")).content) });

// The list of tools changes when the test reads `watching`.
await client.subscribeResource({ uri: WATCHED });
say("watching");
await within("the list to change", tools.heard);
say("relisted", { names: await listed() });
await call("test_trigger_resource_change");
await within("the resource to change", resource.heard);
say("updated", { texts: texts((await client.readResource({ uri: WATCHED })).contents) });

await transport.terminateSession?.();
await client.close();
say("done");

// A Switchboard plugin in JavaScript: fills in templates, as a message and as a tool; MCP clients can read what may
// stand in one, and be given a prompt that asks a model to write one.
//
// Each export is one interface of wit/world.wit, each function one of its functions. An answer is returned; a
// refusal is thrown. Imports are named with their version. JSON crosses as text.

import { get as settings } from 'switchboard:plugin/settings@0.1.0';

import { render } from './render.js';

const INPUT = {
  type: 'object',
  properties: {
    template: { type: 'string', maxLength: 100000, description: 'A text with gaps such as {{user.name}}' },
    values: { type: 'object', description: 'What the gaps are filled in with' },
  },
  required: ['template', 'values'],
  additionalProperties: false,
};

const SETTINGS = {
  type: 'object',
  properties: { strict: { type: 'boolean', description: 'Whether a gap without a value is an error' } },
  additionalProperties: false,
};

const GUIDE = `A gap is {{path}}, where a path is names and numbers with dots between them, such as {{user.name}} or {{items.0}}.
What is no text is written as JSON. A gap without a value becomes nothing, and is named in the result.
`;

function refusal(code, message, help) {
  return { code, message, help, recoverable: true };
}

function fill({ template, values }) {
  const result = render(template, values);
  const { strict = false } = JSON.parse(settings());
  if (strict && result.missing.length > 0) {
    throw refusal('VALUE_MISSING', `There is no value for ${result.missing.join(', ')}`, 'Add it to `values`.');
  }
  return result;
}

export const plugin = {
  manifest() {
    return JSON.stringify({
      name: 'template',
      version: '0.1.0',
      description: 'Fills in templates',
      handles: [{ type: 'render_template', schema: INPUT, emits: ['template_rendered'] }],
      settings: SETTINGS,
      tools: true,
      resources: true,
      prompts: true,
    });
  },
};

export const handler = {
  handle(ctx, msg) {
    const result = fill(JSON.parse(msg.payload));
    console.log(`rendered ${result.text.length} characters for ${ctx.principal.subject}`);
    return { type: 'template_rendered', payload: JSON.stringify(result), timestamp: 0 };
  },
};

export const tools = {
  listTools() {
    return JSON.stringify([
      { name: 'render_template', description: 'Fills in the gaps of a template', inputSchema: INPUT },
    ]);
  },

  // There is one tool, and the host calls no other.
  callTool(ctx, name, args) {
    const result = fill(JSON.parse(args));
    return JSON.stringify({ content: [{ type: 'text', text: result.text }], structuredContent: result });
  },
};

export const resources = {
  listResources() {
    return JSON.stringify([
      { uri: 'template://guide', name: 'guide', description: 'What a template may hold', mimeType: 'text/plain' },
    ]);
  },

  listResourceTemplates() {
    return '[]';
  },

  readResource(ctx, uri) {
    if (uri !== 'template://guide') {
      throw refusal('RESOURCE_NOT_FOUND', `There is no resource ${uri}`);
    }
    return JSON.stringify({ contents: [{ uri, mimeType: 'text/plain', text: GUIDE }] });
  },
};

export const prompts = {
  listPrompts() {
    const purpose = { name: 'purpose', description: 'What the text is for', required: true };
    return JSON.stringify([
      { name: 'write_template', description: 'Asks for a template for a purpose', arguments: [purpose] },
    ]);
  },

  // There is one prompt, and its argument is required: the host has seen to both.
  getPrompt(ctx, name, args) {
    const { purpose } = JSON.parse(args);
    const text = `Write a template for this purpose: ${purpose}\n\n${GUIDE}`;
    return JSON.stringify({ messages: [{ role: 'user', content: { type: 'text', text } }] });
  },
};

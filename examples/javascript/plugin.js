// A Switchboard plugin in JavaScript: fills in templates, as a message and as a tool.
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

// Filling in a template. Nothing of Switchboard is in here, so Node can test it as it is.

const GAP = /\{\{\s*([\w.-]+)\s*\}\}/g;

/** What a path such as `user.name` leads to, among own members only. */
function find(values, path) {
  return path.split('.').reduce(
    (value, key) => (value !== null && typeof value === 'object' && Object.hasOwn(value, key) ? value[key] : undefined),
    values,
  );
}

/** Replaces each `{{path}}`; `missing` names the paths that lead nowhere. */
export function render(template, values) {
  const missing = new Set();
  const text = template.replace(GAP, (_, path) => {
    const value = find(values, path);
    if (value === undefined) {
      missing.add(path);
      return '';
    }
    return typeof value === 'string' ? value : JSON.stringify(value);
  });
  return { text, missing: [...missing] };
}

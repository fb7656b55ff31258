// Which model a conversation is answered by. Pure. A choice is {provider, model}; null means the server's default.

export const sameChoice = (a, b) => a.provider === b.provider && a.model === b.model;

export function choiceOf(settings, catalogue) {
  if (settings.provider && settings.model) return { provider: settings.provider, model: settings.model };
  const provider = catalogue?.providers.find(({ name }) => name === settings.provider);
  if (provider) return { provider: provider.name, model: provider.default_model };
  return catalogue?.default ?? { provider: null, model: null };
}

// One group for each provider. A model in use that the server no longer offers is still named, not silently replaced.
export function groupsOf(catalogue, chosen) {
  const groups = (catalogue?.providers ?? []).map(({ name, models, default_model }) => ({
    name,
    models: [...new Set([default_model, ...models].filter(Boolean))],
  }));
  const offered = groups.some(({ name, models }) => name === chosen.provider && models.includes(chosen.model));
  if (!offered && chosen.model) groups.push({ name: `${chosen.provider} (not offered now)`, models: [chosen.model] });
  return groups;
}

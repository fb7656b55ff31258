// A reply and what it took, in one line, which breaks between the facts. Pure.

const NUMBER = new Intl.NumberFormat('en');

const CUT_OFF = {
  length: 'Cut off: as long as the provider allows',
  content_filter: 'Cut off by the provider’s filter',
};

export function factsOf({ status, text, provider, model, memory, usage, finish_reason }) {
  if (status === 'stopped' && !text) return 'Stopped before the first word';
  const facts = [
    status === 'stopped' && 'Stopped',
    CUT_OFF[finish_reason],
    model && nameOf(provider, model),
    memory === false && 'without memory',
    usage && tokensOf(usage),
    usage?.cost && costOf(usage.cost),
  ];
  return facts
    .filter(Boolean)
    .map((fact) => fact.replaceAll(' ', '\u00a0'))
    .join(' · ');
}

export function usageWords(usage) {
  if (!usage || !(usage.input_tokens || usage.output_tokens)) return 'Nothing used yet';
  const about = usage.estimated ? 'About ' : '';
  const [read, written] = [usage.input_tokens, usage.output_tokens].map((tokens) => NUMBER.format(tokens ?? 0));
  const parts = [`${about}${read} tokens read, ${written} written`];
  if (usage.cost) parts.push(costOf(usage.cost));
  return parts.join(' · ');
}

const nameOf = (provider, model) => (provider ? `${model}, ${provider}` : model);

function tokensOf({ input_tokens, output_tokens, estimated }) {
  const all = (input_tokens ?? 0) + (output_tokens ?? 0);
  return all ? `${estimated ? '≈ ' : ''}${NUMBER.format(all)} tokens` : null;
}

// Small sums need more digits to say anything at all.
const costOf = (dollars) => `$${dollars.toFixed(dollars < 0.1 ? 4 : 2)}`;

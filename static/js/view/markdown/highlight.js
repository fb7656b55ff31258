// Loaded with the first finished block of code, not before: the highlighter weighs more than the rest of the page.

import hljs from '../../../vendor/highlight.js/highlight.min.js';

// Longer than this, colours would cost more time than they are worth.
const MAX_LENGTH = 100_000;

export function highlighted(text, language) {
  if (text.length > MAX_LENGTH || !hljs.getLanguage(language)) return null;
  return hljs.highlight(text, { language, ignoreIllegals: true }).value;
}

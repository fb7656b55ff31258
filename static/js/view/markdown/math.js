// Loaded with the first formula, not before: the typesetter, its style sheet and its fonts weigh more than the page.

import '../../../vendor/katex/katex.min.js';

const { katex } = globalThis;

const OPTIONS = { throwOnError: true, strict: 'ignore', trust: false, maxExpand: 500, maxSize: 30 };

// Formulas without their styles would be a heap of letters.
export const ready = new Promise((resolve, reject) => {
  const styles = document.createElement('link');
  styles.rel = 'stylesheet';
  styles.href = new URL('../../../vendor/katex/katex.min.css', import.meta.url);
  styles.addEventListener('load', resolve);
  styles.addEventListener('error', reject);
  document.head.append(styles);
});

// The formula as a node, or null if it is none.
export function formula(tex, displayMode) {
  try {
    return withoutStyleAttributes(katex.__renderToDomTree(tex, { ...OPTIONS, displayMode })).toNode();
  } catch {
    return null;
  }
}

// Styles that are set one by one are allowed by the page's policy; as an attribute they are not. Where the library
// gives them as an attribute, it gives the same width beside it.
function withoutStyleAttributes(node) {
  delete node.attributes?.style;
  node.children?.forEach(withoutStyleAttributes);
  return node;
}

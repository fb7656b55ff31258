// Loaded with the first finished block of code, not before: the highlighter weighs more than the rest of the page.

import hljs from '../../../vendor/highlight.js/highlight.min.js';

// Longer than this, colours would cost more time than they are worth.
const MAX_LENGTH = 40_000;

// What the highlighter found, as a tree of {scope, children}; its own markup is not needed.
class Tree {
  root = { children: [] };
  #open = [this.root];

  addText(text) {
    this.#open.at(-1).children.push(text);
  }

  openNode(scope) {
    const node = { scope, children: [] };
    this.#open.at(-1).children.push(node);
    this.#open.push(node);
  }

  closeNode() {
    this.#open.pop();
  }

  startScope = this.openNode;

  endScope = this.closeNode;

  closeAllNodes() {
    this.#open.length = 1;
  }

  __addSublanguage({ root }) {
    this.#open.at(-1).children.push(root);
  }

  finalize() {}

  toHTML = () => '';
}

hljs.configure({ __emitter: Tree });

// A fragment, or null for what it does not know.
export function highlighted(text, language) {
  if (text.length > MAX_LENGTH || !hljs.getLanguage(language)) return null;
  return drawn(hljs.highlight(text, { language, ignoreIllegals: true })._emitter.root);
}

function drawn({ scope, children }) {
  const node = scope ? document.createElement('span') : document.createDocumentFragment();
  if (scope) node.className = classOf(scope);
  node.append(...children.map((child) => (typeof child === 'string' ? child : drawn(child))));
  return node;
}

// `title.function` is drawn as a title, and by some themes as that of a function.
const classOf = (scope) => `hljs-${scope.split('.')[0]}`;

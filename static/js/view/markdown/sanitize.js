// Markup that a model wrote, made harmless: a short list of what is let through, everything else is dropped.

// The library's small build is no module; it names itself on the global object.
import '../../../vendor/dompurify/purify.min.js';

const { DOMPurify } = globalThis;

const TAGS =
  'p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code table thead tbody tr th td a ' +
  'strong em b i u s del ins mark sub sup kbd samp var abbr small q cite dl dt dd details summary span div';

const OPTIONS = {
  ALLOWED_TAGS: [...TAGS.split(' '), '#text'],
  ALLOWED_ATTR: ['href', 'title', 'class', 'align', 'start'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ['align', 'start'],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

// The names that markdown gives; any other could borrow the page's own styles.
const CLASS = /^(?:task|math|math display|language-[\w+#.-]+)$/;

DOMPurify.addHook('uponSanitizeAttribute', (_, attribute) => {
  if (attribute.attrName === 'class') attribute.keepAttr = CLASS.test(attribute.attrValue);
});

DOMPurify.addHook('afterSanitizeAttributes', (node) => {
  if (node.tagName !== 'A' || !node.hasAttribute('href')) return;
  node.setAttribute('target', '_blank');
  node.setAttribute('rel', 'noopener noreferrer nofollow');
});

export const fragmentOf = (html) => DOMPurify.sanitize(html, OPTIONS);

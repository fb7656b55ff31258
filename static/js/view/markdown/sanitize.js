// Markup that a model wrote, made harmless: a short list of what is let through, everything else is dropped. The browser's
// own sanitiser does it where there is one: what is being written is made harmless many times a second.

// The library's small build is no module; it names itself on the global object.
import '../../../vendor/dompurify/purify.min.js';

const { DOMPurify } = globalThis;

const TAGS = (
  'p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code table thead tbody tr th td a ' +
  'strong em b i u s del ins mark sub sup kbd samp var abbr small q cite dl dt dd details summary span div'
).split(' ');

const ATTRIBUTES = ['href', 'title', 'class', 'align', 'start'];

const ADDRESS = /^(?:https?|mailto):/i;

// The names that markdown gives; any other could borrow the page's own styles.
const CLASS = /^(?:task|math|math display|language-[\w+#.-]+)$/;

const sanitizer = Element.prototype.setHTML
  ? new Sanitizer({ elements: TAGS, attributes: ATTRIBUTES, comments: false, dataAttributes: false })
  : null;

export const fragmentOf = (html) => restricted(sanitizer ? byBrowser(html) : byLibrary(html));

function byBrowser(html) {
  const fragment = document.createDocumentFragment();
  const body = document.createElement('body');
  body.setHTML(html, { sanitizer });
  fragment.append(...body.childNodes);
  return fragment;
}

const byLibrary = (html) =>
  DOMPurify.sanitize(html, {
    ALLOWED_TAGS: [...TAGS, '#text'],
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: ADDRESS,
    ADD_URI_SAFE_ATTR: ['align', 'start'],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  });

// What neither can be told.
function restricted(fragment) {
  for (const element of fragment.querySelectorAll('[class]')) {
    if (!CLASS.test(element.className)) element.removeAttribute('class');
  }
  for (const link of fragment.querySelectorAll('[href]')) {
    if (link.tagName === 'A' && ADDRESS.test(link.getAttribute('href').trim())) {
      link.target = '_blank';
      link.rel = 'noopener noreferrer nofollow';
    } else {
      link.removeAttribute('href');
    }
  }
  return fragment;
}

// Elements are built from parts, never from strings: text from outside cannot become markup.

export const byId = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

// The shapes stand once in the page's own HTML, as symbols.
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

// A button that shows a symbol and is called by its label.
export const button = (symbol, label, onclick) =>
  h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick }, icon(symbol));

// Writing what is already there would disturb selections and screen readers.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

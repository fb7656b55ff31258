// Focus is never lost: when what had it is taken away or hidden, it goes to the row it was in, or to the message box.

// On a touch screen, focus there would bring up the keyboard over half of the page.
export const HAS_KEYBOARD = matchMedia('(hover: hover) and (pointer: fine)');

export function createFocus({ input, main }) {
  function keep(change) {
    const held = document.activeElement;
    const row = held.closest('.row');
    change();
    const isElsewhere = document.activeElement !== held && document.activeElement !== document.body;
    if (held === document.body || isElsewhere || isSeen(held)) return;
    const places = [row, HAS_KEYBOARD.matches ? input : null, main];
    give(places.find((place) => place && isSeen(place)));
  }

  return { keep };
}

// The views hide by this attribute only; to ask the browser for more would cost it a layout.
const isSeen = (element) => element.isConnected && !element.closest('[hidden]');

function give(element) {
  if (element.tabIndex < 0) element.tabIndex = -1;
  element.focus({ preventScroll: true });
}

// Scrolling that respects the reader: follows what is written only as long as they are at the end.

// In CSS pixels from the end: for who comes down to it, and for who goes away from it, or fractions.
const NEAR = 48;
const AT_END = 1;

export function createScroller({ scroller, content, jump }, { onTop }) {
  let following = true;
  let last = 0;

  const distance = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;

  function setFollowing(value) {
    following = value;
    if (value && document.activeElement === jump) scroller.focus({ preventScroll: true });
    jump.hidden = value;
    if (value) markUnread(false);
  }

  function markUnread(value) {
    jump.classList.toggle('unread', value);
    jump.setAttribute('aria-label', value ? 'Go to the latest: there is more to read' : 'Go to the latest');
  }

  function toEnd() {
    setFollowing(true);
    scroller.scrollTop = 0; // and it stays there where there is nothing to follow
    follow();
  }

  // Where nothing has been said, what is to be read stands at the top.
  function follow() {
    if (content.querySelector('.row')) scroller.scrollTop = scroller.scrollHeight;
  }

  scroller.addEventListener(
    'scroll',
    () => {
      const { scrollTop } = scroller;
      // Only a move upwards is the reader's: that the end moves away happens with every word. However small it is, it
      // must not be undone by the next word.
      const isUp = scrollTop < last;
      if (distance() <= (isUp ? AT_END : NEAR)) setFollowing(true);
      else if (isUp) setFollowing(false);
      last = scrollTop;
      if (scrollTop < scroller.clientHeight) onTop();
    },
    { passive: true },
  );
  jump.addEventListener('click', toEnd);

  // Runs after layout and before paint: the end never leaves the screen, not even for a frame.
  const keep = new ResizeObserver(() => {
    if (following) follow();
  });
  keep.observe(content);
  keep.observe(scroller);

  // Changes what is above the reader without moving what they read.
  function holding(element, change) {
    if (following || !element) return change();
    const before = element.getBoundingClientRect().top;
    change();
    if (element.isConnected) scroller.scrollTop += element.getBoundingClientRect().top - before;
  }

  // Something was added at the end.
  function grown() {
    if (!following) markUnread(true);
  }

  return { toEnd, holding, grown };
}

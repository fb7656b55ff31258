// Runs before the first paint, so that the page never shows the wrong colours or the wrong page for a moment.
{
  let theme = null;
  try {
    theme = JSON.parse(localStorage.getItem('parley.theme'));
  } catch {
    // Storage is off: the system's theme it is.
  }
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  if (location.pathname !== '/') document.documentElement.dataset.page = 'conversation';
}

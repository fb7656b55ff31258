// System, light or dark. boot.js has set the right one before the first paint.

import * as storage from '../lib/storage.js';

const KEPT = 'theme';

export function bindTheme(fieldset) {
  const chosen = document.documentElement.dataset.theme ?? 'system';
  fieldset.querySelector(`input[value="${chosen}"]`).checked = true;
  fieldset.addEventListener('change', ({ target }) => choose(target.value));
}

function choose(theme) {
  if (theme === 'system') {
    delete document.documentElement.dataset.theme;
    storage.erase(KEPT);
  } else {
    document.documentElement.dataset.theme = theme;
    storage.write(KEPT, theme);
  }
}

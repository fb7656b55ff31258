const DAY = 86_400_000;

export function dayGroup(iso, now = new Date()) {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  const at = new Date(iso).getTime();
  if (at >= midnight) return 'Today';
  if (at >= midnight - DAY) return 'Yesterday';
  if (at >= midnight - 7 * DAY) return 'Last 7 days';
  if (at >= midnight - 30 * DAY) return 'Last 30 days';
  return 'Older';
}

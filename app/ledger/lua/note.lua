-- An event of a running turn that carries no text. a: fence, kind, lease. ARGV[2]: its fields as JSON text, each with a
-- leading comma. Returns 'ok' or 'refused'.
if field('fence') ~= a.fence then
  count('refused')
  return 'refused'
end
renew_lease()
emit(a.kind, ARGV[2])
return 'ok'

-- One conversation. a: owner, ttl. Returns it, or '' if there is none.
if not owned_by(a.owner) then return '' end
touch()
return conversation_json()

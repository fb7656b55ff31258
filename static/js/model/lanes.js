// A lane is where messages go: a conversation's id, or the name of a new chat that the server does not know yet.

const NEW = 'new-';

export const newLane = (unique) => NEW + unique;

export const isNew = (lane) => lane.startsWith(NEW);

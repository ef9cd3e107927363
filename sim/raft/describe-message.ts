// A raft message in a few words, for stories.

import { type Message, MessageType } from "../../src/raft/message.ts";

const names = new Map<number, string>(
  Object.entries(MessageType).map(([name, number]) => [number, name]),
);

export function describeMessage(message: Message, fate: string): string {
  const { type, term, from, to, index, logTerm, entries, commit, reject } = message;
  const parts = [`${names.get(type) ?? type} m${short(from)}→m${short(to)} term ${term}`];
  if (index > 0 || logTerm > 0) parts.push(`at ${index}/${logTerm}`);
  if (entries.length > 0) {
    const first = entries[0]?.index ?? 0;
    parts.push(`entries ${first}..${first + entries.length - 1}`);
  }
  if (commit > 0) parts.push(`commit ${commit}`);
  if (message.snapshot) parts.push(`snapshot ${message.snapshot.metadata.index}`);
  if (reject) parts.push("refused");
  if (fate !== "sent") parts.push(`(${fate})`);
  return parts.join(" ");
}

function short(id: bigint): string {
  return id.toString(16).slice(0, 4);
}

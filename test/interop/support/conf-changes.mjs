// Reads from a log folder, as etcd and Portal write it, the entries that change members. Knows the frames
// and the few fields it needs; checks nothing.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const entryRecord = 2;
const confChangeEntry = 1;

/** In the order of the log: { index, hex, fields, type, context } of each ConfChange. */
export function confChanges(folder) {
  const changes = [];
  const files = readdirSync(folder).filter((name) => name.endsWith(".wal"));
  for (const name of files.sort()) {
    for (const record of records(readFileSync(join(folder, name)))) {
      const { 1: type, 3: data } = fieldsOf(record);
      if (Number(type) !== entryRecord) continue;
      const { 1: entryType, 3: index, 4: bytes } = fieldsOf(data);
      if (Number(entryType ?? 0) !== confChangeEntry) continue;
      changes.push({ index: Number(index), hex: bytes.toString("hex"), ...describe(bytes) });
    }
  }
  return changes;
}

function describe(bytes) {
  const fields = fieldsOf(bytes);
  return {
    fields: Object.keys(fields).join(","),
    type: Number(fields[2] ?? 0),
    context: fields[4]?.toString() ?? "none",
  };
}

function* records(file) {
  for (let at = 0; at + 8 <= file.length; ) {
    const low = file.readUInt32LE(at);
    const high = file.readUInt32LE(at + 4);
    if (low === 0 && high === 0) return;
    const length = low + (high & 0xffffff) * 2 ** 32;
    const padding = high >>> 31 === 1 ? (high >>> 24) & 7 : 0;
    yield file.subarray(at + 8, at + 8 + length);
    at += 8 + length + padding;
  }
}

/** Field number -> value: bigint, or bytes. */
function fieldsOf(bytes) {
  const fields = {};
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    if ((tag & 7) === 0) fields[tag >> 3] = varint();
    else {
      const length = Number(varint());
      fields[tag >> 3] = bytes.subarray(at, at + length);
      at += length;
    }
  }
  return fields;
}

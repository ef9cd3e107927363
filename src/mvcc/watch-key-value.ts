// Reads single fields out of an encoded mvccpb.KeyValue without decoding it.

import { FieldReader } from "../base/varint.ts";

const modRevisionField = 3;

/** mod_revision of an encoded KeyValue; 0 when it has none. */
export function modRevisionOf(kv: Uint8Array): number {
  const reader = new FieldReader(kv);
  while (reader.next()) {
    if (reader.field === modRevisionField) return reader.int64();
  }
  return 0;
}

// A namespace: all keys of a client seen under a fixed prefix, which callers never see. The empty
// prefix is the whole store and costs nothing.

import type { KeyValue as WireKeyValue } from "../wire/generated/kv.ts";
import { type Bytes, concatBytes, toBytes } from "./bytes.ts";
import { isOpenEnded, prefixEnd, type WireRange } from "./key-range.ts";
import { KeyValue } from "./key-value.ts";

export class Keyspace {
  readonly prefix: Uint8Array;

  constructor(prefix: Bytes = "") {
    this.prefix = toBytes(prefix);
  }

  /** A namespace inside this one. */
  under(prefix: Bytes): Keyspace {
    return new Keyspace(concatBytes(this.prefix, toBytes(prefix)));
  }

  /** The key as the server knows it. */
  key(key: Uint8Array): Uint8Array {
    return this.prefix.length === 0 ? key : concatBytes(this.prefix, key);
  }

  /** The range as the server knows it; one that is open-ended ends with the namespace. */
  range(range: WireRange): WireRange {
    if (this.prefix.length === 0) return range;
    const { key, rangeEnd } = range;
    // A lone zero byte stands for "the first key", which in a namespace is the bare prefix.
    const fromStart = isOpenEnded(key) && rangeEnd.length > 0;
    return {
      key: fromStart ? this.prefix : this.key(key),
      rangeEnd:
        rangeEnd.length === 0
          ? rangeEnd
          : isOpenEnded(rangeEnd)
            ? prefixEnd(this.prefix)
            : this.key(rangeEnd),
    };
  }

  /** What the caller gets to see of a stored pair. */
  keyValue(wire: WireKeyValue): KeyValue {
    return new KeyValue(this.prefix.length === 0 ? wire : { ...wire, key: this.#strip(wire.key) });
  }

  /** Those of `keys` that lie in the namespace, as the caller knows them. */
  strip(keys: readonly Uint8Array[]): Uint8Array[] {
    const own = keys.filter(
      (key) => Buffer.compare(key.subarray(0, this.prefix.length), this.prefix) === 0,
    );
    return own.map((key) => this.#strip(key));
  }

  #strip(key: Uint8Array): Uint8Array {
    return key.subarray(this.prefix.length);
  }
}

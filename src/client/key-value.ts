// One key with its value and its place in history, as reads and watches return it.

import type { KeyValue as WireKeyValue } from "../wire/generated/kv.ts";
import { toText } from "./bytes.ts";

export class KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** The revision at which the key came to be. */
  readonly createRevision: number;
  /** The revision of its last change. */
  readonly modRevision: number;
  /** How often it was written since it came to be; 1 for a new key. */
  readonly version: number;
  /** The lease that it is attached to; 0n for none. */
  readonly lease: bigint;

  constructor(wire: WireKeyValue) {
    this.key = wire.key;
    this.value = wire.value;
    this.createRevision = wire.createRevision;
    this.modRevision = wire.modRevision;
    this.version = wire.version;
    this.lease = wire.lease;
  }

  /** The key as UTF-8. */
  get keyText(): string {
    return toText(this.key);
  }

  /** The value as UTF-8. */
  get text(): string {
    return toText(this.value);
  }

  /** The value parsed as JSON. Throws a SyntaxError when it is not. */
  json<Value = unknown>(): Value {
    return JSON.parse(this.text) as Value;
  }
}

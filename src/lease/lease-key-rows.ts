// The rows of table `leaseKeys`: one for every key on a lease. A row is named lease id + key and holds nothing; a
// key that is too long for a name is held by its row instead, under a number.
// Invariant: a name of full length belongs to a long key, any shorter one is id + key.

import { readUint64, writeUint64 } from "../base/bytes.ts";
import { decodeLeaseKey, encodeLeaseKey } from "./lease.ts";

/** The longest name that a table takes. */
const nameBytesMax = 1978;
const idBytes = 8;

export interface LeaseKeyRow {
  readonly name: Buffer;
  readonly value: Buffer;
}

const empty = Buffer.alloc(0);

export class LeaseKeyRows {
  /** Of rows that hold a long key, by lease id and key. */
  readonly #longNames = new Map<string, Buffer>();
  #nextNumber = 0;

  /** The row of a key (latin1) that comes to a lease; a key comes to the same lease once at a time. */
  add(id: bigint, key: string): LeaseKeyRow {
    if (key.length < nameBytesMax - idBytes) {
      return { name: encodeLeaseKey(id, key), value: empty };
    }
    const name = Buffer.alloc(nameBytesMax);
    name.writeBigInt64BE(BigInt.asIntN(64, id));
    writeUint64(name, nameBytesMax - 8, this.#nextNumber++);
    this.#longNames.set(`${id}/${key}`, name);
    return { name, value: Buffer.from(key, "latin1") };
  }

  /** The name of the row of a key that leaves its lease. */
  remove(id: bigint, key: string): Buffer {
    if (key.length < nameBytesMax - idBytes) return encodeLeaseKey(id, key);
    const name = this.#longNames.get(`${id}/${key}`) as Buffer;
    this.#longNames.delete(`${id}/${key}`);
    return name;
  }

  /** Reads a row of the database; `load` gets what a row of this name holds. */
  read(
    name: Buffer,
    load: (name: Buffer) => Buffer | undefined,
  ): { readonly id: bigint; readonly key: string } {
    if (name.length < nameBytesMax) return decodeLeaseKey(name);
    const ownName = Buffer.from(name);
    const id = ownName.readBigInt64BE(0);
    const value = load(ownName) as Buffer;
    const key = value.latin1Slice(0, value.length);
    this.#longNames.set(`${id}/${key}`, ownName);
    this.#nextNumber = Math.max(this.#nextNumber, readUint64(ownName, nameBytesMax - 8) + 1);
    return { id, key };
  }

  clear(): void {
    this.#longNames.clear();
    this.#nextNumber = 0;
  }
}

// Writes a database file as etcd keeps and streams it, from front to back, in memory that does not depend on its
// size. Refuses keys out of order: a bucket's keys come sorted. The metas are written last, after everything else
// is on the disk: a file that was not finished is no database.

import { assert } from "../../base/assert.ts";
import { asBuffer, compareBytes } from "../../base/bytes.ts";
import type { Disk, DiskFile } from "../../io/disk.ts";
import { ChunkOutput } from "./chunk-output.ts";
import {
  bucketFlag,
  bucketHeaderBytes,
  encodeMetaPage,
  firstDataPage,
  keyBytesMax,
  PageKind,
  pageSizeBytes,
  valueBytesMax,
  writePageHeader,
  writeUint64Le,
} from "./format.ts";
import { TreeBuilder } from "./tree-builder.ts";

const chunkBytesDefault = 1024 * 1024;

export interface BboltWriterOptions {
  readonly disk: Disk;
  /** Must not exist yet. */
  readonly path: string;
  /** Written to the file at once; a multiple of the page size. */
  readonly chunkBytes?: number;
}

/** Takes one bucket's records. Ends when the next bucket begins or the file is finished. */
export interface BboltBucket {
  /**
   * Adds a record after all others; copies it. False: await `writer.drained()` before the next one. Adding is
   * synchronous, so a run of records may go on for a while after that, but not without end.
   */
  add(key: Uint8Array, value: Uint8Array): boolean;
  /** As `add`, from parts of buffers. */
  addRange(
    key: Buffer,
    keyStart: number,
    keyEnd: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
  ): boolean;
}

export class BboltWriter {
  readonly #disk: Disk;
  readonly #path: string;
  readonly #file: DiskFile;
  readonly #output: ChunkOutput;
  readonly #tree: TreeBuilder;
  readonly #buckets: { readonly name: Buffer; readonly entry: Buffer }[] = [];
  #open: { readonly name: Buffer; readonly bucket: OpenBucket } | undefined;
  #isEnded = false;
  #isClosed = false;

  private constructor(options: BboltWriterOptions, file: DiskFile, output: ChunkOutput) {
    this.#disk = options.disk;
    this.#path = options.path;
    this.#file = file;
    this.#output = output;
    this.#tree = new TreeBuilder(output);
  }

  /** Creates the file. Rejects with the operating system's error. */
  static async create(options: BboltWriterOptions): Promise<BboltWriter> {
    const chunkBytes = options.chunkBytes ?? chunkBytesDefault;
    assert(chunkBytes > 0 && chunkBytes % pageSizeBytes === 0, "chunks are whole pages");
    const file = await options.disk.open(options.path, "create-exclusive");
    const output = new ChunkOutput(file, firstDataPage * pageSizeBytes, chunkBytes);
    // An empty list of free pages saves whoever opens the file from looking for them.
    const freelist = Buffer.alloc(pageSizeBytes);
    writePageHeader(freelist, 0, firstDataPage, PageKind.freelist, 0, 0);
    output.append(freelist, 0, pageSizeBytes);
    return new BboltWriter(options, file, output);
  }

  /** Bytes of the file so far. */
  get sizeBytes(): number {
    return this.#output.position;
  }

  /** Ends the bucket before and begins another. Buckets may come in any order, each name once. */
  bucket(name: string | Uint8Array): BboltBucket {
    assert(!this.#isEnded, "the file is finished");
    this.#endBucket();
    const bytes = Buffer.from(name);
    assert(bytes.length > 0 && bytes.length <= keyBytesMax, "a bucket's name has 1 to 32768 bytes");
    const isNew = this.#buckets.every((bucket) => !bucket.name.equals(bytes));
    assert(isNew, "a bucket is written twice");
    const bucket = new OpenBucket(this.#tree, this.#output);
    this.#open = { name: bytes, bucket };
    return bucket;
  }

  /** Resolves when more can be added; rejects with the operating system's error when the file can not be written. */
  drained(): Promise<void> {
    return this.#output.drained();
  }

  /** Ends the file, makes it durable and closes it. When it rejects, `abort` removes what is there. */
  async finish(): Promise<{ readonly sizeBytes: number }> {
    assert(!this.#isEnded, "the file is finished");
    this.#endBucket();
    this.#isEnded = true;
    this.#buckets.sort((a, b) => compareBytes(a.name, b.name));
    for (const { name, entry } of this.#buckets) {
      this.#tree.add(bucketFlag, name, 0, name.length, entry, 0, entry.length);
    }
    const rootPage = this.#tree.finishOnPages();
    const sizeBytes = this.#output.position;
    await this.#output.flush();
    await this.#file.datasync();
    await this.#writeMetas(rootPage, sizeBytes / pageSizeBytes);
    await this.#file.datasync();
    await this.#close();
    return { sizeBytes };
  }

  /** Gives up: closes and removes the file. */
  async abort(): Promise<void> {
    this.#isEnded = true;
    this.#open?.bucket.end();
    await this.#output.settled();
    await this.#close();
    await this.#disk.remove(this.#path);
  }

  /** Both the same but for the transaction id: whichever is damaged later, the other one opens the file. */
  async #writeMetas(rootPage: number, pageEnd: number): Promise<void> {
    const meta = { pageSizeBytes, rootPage, freelistPage: firstDataPage, pageEnd };
    const first = encodeMetaPage({ ...meta, transactionId: 2n });
    const second = encodeMetaPage({ ...meta, transactionId: 1n });
    const both = Buffer.concat([first, second]);
    await this.#file.write(both, 0, both.length, 0);
  }

  async #close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#file.close();
  }

  #endBucket(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    open.bucket.end();
    const root = this.#tree.finish();
    const header = Buffer.alloc(bucketHeaderBytes);
    if (typeof root === "number") writeUint64Le(header, 0, root);
    const entry = typeof root === "number" ? header : Buffer.concat([header, root]);
    this.#buckets.push({ name: open.name, entry });
  }
}

class OpenBucket implements BboltBucket {
  readonly #tree: TreeBuilder;
  readonly #output: ChunkOutput;
  #isEnded = false;

  constructor(tree: TreeBuilder, output: ChunkOutput) {
    this.#tree = tree;
    this.#output = output;
  }

  end(): void {
    this.#isEnded = true;
  }

  add(key: Uint8Array, value: Uint8Array): boolean {
    return this.addRange(asBuffer(key), 0, key.length, asBuffer(value), 0, value.length);
  }

  addRange(
    key: Buffer,
    keyStart: number,
    keyEnd: number,
    value: Buffer,
    valueStart: number,
    valueEnd: number,
  ): boolean {
    assert(!this.#isEnded, "another bucket has begun");
    const keySize = keyEnd - keyStart;
    assert(keySize > 0 && keySize <= keyBytesMax, "a key has 1 to 32768 bytes");
    assert(valueEnd - valueStart <= valueBytesMax, "a value has at most 2^31 - 2 bytes");
    this.#tree.add(0, key, keyStart, keyEnd, value, valueStart, valueEnd);
    return !this.#output.isBehind;
  }
}

// Reads a database file of etcd, or one that BboltWriter wrote: its buckets by name, records by key and in key
// order. Trusts nothing in the file; damage is a StatusError DATA_LOSS that names the page. The file must not
// change meanwhile. Bytes after the last page, such as a snapshot's SHA-256, are not looked at.

import { compareBytes } from "../../base/bytes.ts";
import { Status, StatusError } from "../../base/status.ts";
import type { Disk, DiskFile } from "../../io/disk.ts";
import { checkFreePages, PageSet } from "./check-pages.ts";
import {
  bucketHeaderBytes,
  damaged,
  damagedFile,
  decodeMetaPage,
  type Meta,
  pageHeaderBytes,
  pageSizeMax,
  pageSizeMin,
  readUint64Le,
} from "./format.ts";
import { Entries, parseHeader } from "./page.ts";
import { type PageListener, PageSource, readExactly } from "./page-source.ts";
import { childFor, depthMax, TreeScan } from "./tree-scan.ts";

/** etcd has eleven. */
const bucketsMax = 1024;
const metaReadBytes = 1024;

interface Bucket {
  readonly name: Buffer;
  /** The tree's root page, or the whole bucket as one leaf. */
  readonly root: number | Buffer;
}

export interface BboltSummary {
  readonly pages: number;
  readonly freePages: number;
  readonly records: number;
}

export type { Entries } from "./page.ts";

export class BboltFile {
  readonly #file: DiskFile;
  readonly #meta: Meta;
  readonly #source: PageSource;
  readonly #buckets: ReadonlyMap<string, Bucket>;

  private constructor(
    file: DiskFile,
    meta: Meta,
    source: PageSource,
    buckets: ReadonlyMap<string, Bucket>,
  ) {
    this.#file = file;
    this.#meta = meta;
    this.#source = source;
    this.#buckets = buckets;
  }

  /** Opens for reading. Rejects with NOT_FOUND, DATA_LOSS, or UNKNOWN when the file can not be opened at all. */
  static async open(options: { readonly disk: Disk; readonly path: string }): Promise<BboltFile> {
    const file = await openForReading(options.disk, options.path);
    try {
      const meta = await readMeta(file);
      const source = new PageSource(file, meta.pageSizeBytes, meta.pageEnd);
      return new BboltFile(file, meta, source, await new BucketTree(source).read(meta.rootPage));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Of all pages: where the database ends in the file. */
  get sizeBytes(): number {
    return this.#meta.pageEnd * this.#meta.pageSizeBytes;
  }

  /** In byte order. */
  bucketNames(): Buffer[] {
    return [...this.#buckets.values()].map((bucket) => bucket.name);
  }

  /** A copy of the value; undefined when the bucket or the key is missing. */
  async get(bucket: string | Uint8Array, key: Uint8Array): Promise<Buffer | undefined> {
    const root = this.#bucket(bucket)?.root;
    if (root === undefined) return undefined;
    const leaf = typeof root === "number" ? await this.#leafFor(root, key) : this.#inlineLeaf(root);
    const index = leaf.lowerBound(key);
    if (index === leaf.count || leaf.compareKey(index, key) !== 0) return undefined;
    return Buffer.from(leaf.value(index));
  }

  /**
   * The bucket's records in key order, from `start` on when given; nothing when the bucket is missing. A batch is
   * never empty, and valid until the next one is asked for.
   */
  async *scan(bucket: string | Uint8Array, start?: Uint8Array): AsyncGenerator<Entries, void> {
    yield* this.#scan(this.#bucket(bucket), start);
  }

  /**
   * Reads the whole file and checks that each page is used once, or free. Rejects with DATA_LOSS at the first page
   * that is not in order.
   */
  async check(): Promise<BboltSummary> {
    const { pageEnd, rootPage, freelistPage } = this.#meta;
    const used = new PageSet(pageEnd);
    const onPage: PageListener = (pageId, count) => used.add(pageId, count);
    await new BucketTree(this.#source, onPage).read(rootPage);
    let records = 0;
    for (const bucket of this.#buckets.values()) {
      const batches = this.#scan(bucket, undefined, onPage);
      for await (const batch of batches) records += batch.count;
    }
    const freePages = await checkFreePages(this.#source, freelistPage, used);
    return { pages: pageEnd, freePages, records };
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async *#scan(
    bucket: Bucket | undefined,
    start: Uint8Array | undefined,
    onPage?: PageListener,
  ): AsyncGenerator<Entries, void> {
    if (bucket === undefined) return;
    if (typeof bucket.root === "number") {
      yield* new TreeScan(this.#source, start, onPage).batches(bucket.root);
      return;
    }
    const entries = this.#inlineLeaf(bucket.root);
    if (start !== undefined) entries.dropFirst(entries.lowerBound(start));
    if (entries.count > 0) yield entries;
  }

  #bucket(name: string | Uint8Array): Bucket | undefined {
    return this.#buckets.get(Buffer.from(name).toString("latin1"));
  }

  async #leafFor(rootPage: number, key: Uint8Array): Promise<Entries> {
    let pageId = rootPage;
    for (let depth = 0; depth <= depthMax; depth++) {
      const { header, entries } = await this.#source.read(pageId);
      if (header.isLeaf) {
        if (entries.bucketCount > 0) throw damaged(pageId, "a bucket inside a bucket");
        return entries;
      }
      if (entries.count === 0) throw damaged(pageId, "a branch without children");
      pageId = entries.children[childFor(entries, key)] as number;
      this.#source.checkId(pageId, header.pageId);
    }
    throw damaged(pageId, "the tree is too deep");
  }

  #inlineLeaf(bytes: Buffer): Entries {
    const entries = new Entries(bytes);
    const pageId = this.#meta.rootPage;
    if (bytes.length < pageHeaderBytes) throw damaged(pageId, "a bucket's entry is too short");
    const header = parseHeader(bytes, 0, 0);
    if (!header.isLeaf) throw damaged(pageId, "a bucket's entry holds a branch");
    entries.append(0, bytes.length, { ...header, pageId });
    if (entries.bucketCount > 0) throw damaged(pageId, "a bucket inside a bucket");
    return entries;
  }
}

/** The tree of buckets, whose root the meta names. */
class BucketTree {
  readonly #source: PageSource;
  readonly #onPage: PageListener | undefined;
  readonly #buckets = new Map<string, Bucket>();
  #lastName: Buffer | undefined;

  constructor(source: PageSource, onPage?: PageListener) {
    this.#source = source;
    this.#onPage = onPage;
  }

  async read(rootPage: number): Promise<ReadonlyMap<string, Bucket>> {
    this.#source.checkId(rootPage, 0);
    await this.#readPage(rootPage, 0);
    return this.#buckets;
  }

  async #readPage(pageId: number, depth: number): Promise<void> {
    if (depth > depthMax) throw damaged(pageId, "the tree is too deep");
    const { header, entries } = await this.#source.read(pageId);
    this.#onPage?.(pageId, header.overflow + 1);
    // Else a damaged tree could lead to it again and again.
    const isMissing = entries.count === 0 && (depth > 0 || !header.isLeaf);
    if (isMissing) throw damaged(pageId, "a page without entries");
    for (const child of entries.children) {
      this.#source.checkId(child, pageId);
      await this.#readPage(child, depth + 1);
    }
    if (header.isLeaf) this.#addBuckets(pageId, entries);
  }

  #addBuckets(pageId: number, entries: Entries): void {
    if (entries.bucketCount < entries.count) throw damaged(pageId, "a record outside of buckets");
    for (let index = 0; index < entries.count; index++) {
      const name = Buffer.from(entries.key(index));
      const value = entries.value(index);
      if (value.length < bucketHeaderBytes) throw damaged(pageId, "a bucket's entry is too short");
      const rootPage = readUint64Le(value, 0);
      if (rootPage > 0) this.#source.checkId(rootPage, pageId);
      const root = rootPage > 0 ? rootPage : Buffer.from(value.subarray(bucketHeaderBytes));
      if (this.#lastName !== undefined && compareBytes(this.#lastName, name) >= 0) {
        throw damaged(pageId, "its keys are not above those before");
      }
      this.#lastName = name;
      this.#buckets.set(name.toString("latin1"), { name, root });
      if (this.#buckets.size > bucketsMax) throw damaged(pageId, "too many buckets");
    }
  }
}

async function openForReading(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, "read");
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    const code = isMissing ? Status.NOT_FOUND : Status.UNKNOWN;
    const reason = error instanceof Error ? error.message : String(error);
    throw new StatusError(code, `can not open the database file: ${reason}`, { cause: error });
  }
}

/** The later of the valid metas. The second one lies where the size of pages says, which the first one knows. */
async function readMeta(file: DiskFile): Promise<Meta> {
  const fileBytes = await file.size();
  const first = await readMetaAt(file, 0, fileBytes);
  let best: Meta | undefined = typeof first === "string" ? undefined : first;
  for (let size = pageSizeMin; size <= pageSizeMax; size *= 2) {
    if (best !== undefined && best.pageSizeBytes !== size) continue;
    const second = await readMetaAt(file, size, fileBytes);
    if (typeof second === "string" || second.pageSizeBytes !== size) continue;
    if (best === undefined || second.transactionId > best.transactionId) best = second;
  }
  if (best === undefined) throw damagedFile(`page 0: ${first}`);
  const pages = Math.floor(fileBytes / best.pageSizeBytes);
  if (best.pageEnd > pages) {
    throw damagedFile(`it has ${pages} whole pages of the ${best.pageEnd} that it should have`);
  }
  return best;
}

async function readMetaAt(
  file: DiskFile,
  position: number,
  fileBytes: number,
): Promise<Meta | string> {
  if (position + metaReadBytes > fileBytes) return "the file ends before it";
  const bytes = Buffer.alloc(metaReadBytes);
  await readExactly(file, bytes, position, position === 0 ? 0 : 1);
  return decodeMetaPage(bytes);
}

// Pages of a database file as they are asked for by id. Ids outside the file are refused, and so is a page that
// claims more bytes than its entries take, so that no damaged number decides how much memory is taken.

import { Status, StatusError } from "../../base/status.ts";
import type { DiskFile } from "../../io/disk.ts";
import { damaged, firstDataPage } from "./format.ts";
import { claimedBytes, Entries, type PageHeader, parseHeader, tableBytes } from "./page.ts";

/** Of one page and its overflow: no value that etcd takes is near it. */
const pageBytesMax = 2 ** 30;

/** Told of every page that is read, with the pages that belong to it. */
export type PageListener = (pageId: number, pageCount: number) => void;

export interface LoadedPage {
  readonly header: PageHeader;
  readonly entries: Entries;
}

export class PageSource {
  readonly #file: DiskFile;
  readonly pageSizeBytes: number;
  /** The first id that no page has. */
  readonly pageEnd: number;

  constructor(file: DiskFile, pageSizeBytes: number, pageEnd: number) {
    this.#file = file;
    this.pageSizeBytes = pageSizeBytes;
    this.pageEnd = pageEnd;
  }

  /** One leaf or branch with all that belongs to it, in a buffer of its own. */
  async read(pageId: number): Promise<LoadedPage> {
    this.checkId(pageId, pageId);
    let bytes = await this.readBytes(pageId, this.pageSizeBytes);
    const header = parseHeader(bytes, 0, pageId);
    const roomBytes = this.checkOverflow(header);
    if (tableBytes(header) > bytes.length) bytes = await this.#readMore(header, roomBytes);
    const claimed = claimedBytes(bytes, 0, header);
    if (claimed > bytes.length) {
      if (claimed > roomBytes) throw damaged(pageId, "an entry leaves the page");
      bytes = await this.readBytes(pageId, claimed);
    }
    const entries = new Entries(bytes);
    entries.append(0, Math.min(bytes.length, roomBytes), header);
    return { header, entries };
  }

  /** Refuses a page that does not exist, named on page `parent`. */
  checkId(pageId: number, parent: number): void {
    if (pageId < firstDataPage || pageId >= this.pageEnd) {
      throw damaged(parent, `it leads to page ${pageId} of ${this.pageEnd}`);
    }
  }

  /** Bytes that the page and its overflow take in the file; refuses what is more than there is. */
  checkOverflow(header: PageHeader): number {
    const { pageId, overflow } = header;
    if (pageId + overflow >= this.pageEnd) {
      throw damaged(pageId, `it claims ${overflow} pages more than there are`);
    }
    return (overflow + 1) * this.pageSizeBytes;
  }

  /** `count` bytes from the start of a page on, in a new buffer. The caller has checked that they exist. */
  async readBytes(pageId: number, count: number): Promise<Buffer> {
    if (count > pageBytesMax) throw damaged(pageId, `it claims ${count} bytes`);
    const bytes = Buffer.allocUnsafeSlow(count);
    await this.readInto(bytes, pageId);
    return bytes;
  }

  async readInto(target: Buffer, pageId: number): Promise<void> {
    await readExactly(this.#file, target, pageId * this.pageSizeBytes, pageId);
  }

  async #readMore(header: PageHeader, roomBytes: number): Promise<Buffer> {
    const needed = tableBytes(header);
    if (needed > roomBytes) throw damaged(header.pageId, "its table leaves the page");
    return this.readBytes(header.pageId, needed);
  }
}

/** Fills `target`; the file's end, or a disk that can not read, is a DATA_LOSS. */
export async function readExactly(
  file: DiskFile,
  target: Buffer,
  position: number,
  pageId: number,
): Promise<void> {
  let count: number;
  try {
    count = await file.read(target, position);
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    throw new StatusError(Status.DATA_LOSS, `can not read page ${pageId}: ${cause}`, {
      cause: error,
    });
  }
  if (count < target.length) throw damaged(pageId, "the file ends within it");
}

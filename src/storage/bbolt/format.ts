// The database file format of etcd (bbolt version 2): sizes, page kinds, the two meta pages and their checksum.
// All numbers in the file are little-endian. Pages have one size; a page that needs more takes the following ones
// too ("overflow"). Pages 0 and 1 are metas; of the valid ones, that with the higher transaction id counts.

import { Status, StatusError } from "../../base/status.ts";

export const pageSizeBytes = 4096;
/** Others than ours come from machines with larger memory pages. */
export const pageSizeMin = 1024;
export const pageSizeMax = 65_536;
export const pageHeaderBytes = 16;
/** Of one entry in the table at the start of a page, in leaves and in branches. */
export const elementBytes = 16;
/** What the value of a bucket's entry begins with: root page and sequence. */
export const bucketHeaderBytes = 16;
export const keyBytesMax = 32_768;
export const valueBytesMax = 2 ** 31 - 2;

/** A bucket of one leaf up to this size lies inside its entry in the root bucket. */
export const inlineBytesMax = pageSizeBytes / 4;

export const PageKind = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
export const bucketFlag = 0x01;

export const firstDataPage = 2;

const magic = 0xed0c_daed;
const formatVersion = 2;
/** Of the meta that follows its page's header; the checksum is the last eight. */
const metaBytes = 64;
const checkedBytes = 56;
const noFreelist = 0xffff_ffff_ffff_ffffn;

export interface Meta {
  readonly pageSizeBytes: number;
  readonly rootPage: number;
  /** undefined: free pages are those that nothing leads to. */
  readonly freelistPage: number | undefined;
  /** The first page that was never used: all others are below. */
  readonly pageEnd: number;
  readonly transactionId: bigint;
}

/** The file is damaged, and where. */
export function damaged(page: number, what: string): StatusError {
  return new StatusError(Status.DATA_LOSS, `database file is damaged at page ${page}: ${what}`);
}

/** The file is damaged as a whole. */
export function damagedFile(what: string): StatusError {
  return new StatusError(Status.DATA_LOSS, `not an intact database file: ${what}`);
}

/** One whole page: header and meta. Its page id follows from the transaction id, as readers expect. */
export function encodeMetaPage(meta: Meta): Buffer {
  const page = Buffer.alloc(meta.pageSizeBytes);
  writePageHeader(page, 0, Number(meta.transactionId % 2n), PageKind.meta, 0, 0);
  const at = pageHeaderBytes;
  page.writeUInt32LE(magic, at);
  page.writeUInt32LE(formatVersion, at + 4);
  page.writeUInt32LE(meta.pageSizeBytes, at + 8);
  writeUint64Le(page, at + 16, meta.rootPage);
  if (meta.freelistPage === undefined) page.writeBigUInt64LE(noFreelist, at + 32);
  else writeUint64Le(page, at + 32, meta.freelistPage);
  writeUint64Le(page, at + 40, meta.pageEnd);
  page.writeBigUInt64LE(meta.transactionId, at + 48);
  page.writeBigUInt64LE(fnv1a(page, at, at + checkedBytes), at + checkedBytes);
  return page;
}

/** The meta in a page that begins at 0 of `page`, or what is wrong with it. */
export function decodeMetaPage(page: Buffer): Meta | string {
  const at = pageHeaderBytes;
  if (page.length < at + metaBytes) return "the file ends within it";
  if (page.readUInt32LE(at) !== magic) return "the magic number is wrong";
  const version = page.readUInt32LE(at + 4);
  if (version !== formatVersion) return `format version ${version} is unknown`;
  if (page.readBigUInt64LE(at + checkedBytes) !== fnv1a(page, at, at + checkedBytes)) {
    return "the checksum is wrong";
  }
  const size = page.readUInt32LE(at + 8);
  const isPower = (size & (size - 1)) === 0;
  if (size < pageSizeMin || size > pageSizeMax || !isPower) return `page size ${size} is unknown`;
  const freelist = page.readBigUInt64LE(at + 32);
  return {
    pageSizeBytes: size,
    rootPage: readUint64Le(page, at + 16),
    freelistPage: freelist === noFreelist ? undefined : Number(freelist),
    pageEnd: readUint64Le(page, at + 40),
    transactionId: page.readBigUInt64LE(at + 48),
  };
}

export function writePageHeader(
  target: Buffer,
  at: number,
  pageId: number,
  kind: number,
  count: number,
  overflow: number,
): void {
  writeUint64Le(target, at, pageId);
  target.writeUInt16LE(kind, at + 8);
  target.writeUInt16LE(count, at + 10);
  target.writeUInt32LE(overflow, at + 12);
}

export function writeUint64Le(target: Buffer, at: number, value: number): void {
  target.writeUInt32LE(value >>> 0, at);
  target.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

/** May come out above 2^53 and then rounded: callers compare it with limits far below. */
export function readUint64Le(source: Buffer, at: number): number {
  return source.readUInt32LE(at) + source.readUInt32LE(at + 4) * 2 ** 32;
}

/** FNV-1a, 64 bits. */
function fnv1a(source: Uint8Array, start: number, end: number): bigint {
  let hash = 0xcbf2_9ce4_8422_2325n;
  for (let i = start; i < end; i++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(source[i] as number)) * 0x100_0000_01b3n);
  }
  return hash;
}

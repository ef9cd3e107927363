// A disk in memory that misbehaves on request, for tests: it loses or tears what was not synced when it crashes
// (a seed decides), runs full, and fails. Same contract as the system's disk: test/contracts/disk.test.ts.
// Folder entries are ordered as a journal orders them: a crash keeps some first part of the unsynced changes.

import { dirname } from "node:path";
import { Random } from "../base/random.ts";
import type { Disk, DiskFile, OpenMode } from "./disk.ts";

const sectorBytes = 512;

type Operation = "open" | "write" | "datasync" | "truncate" | "rename" | "remove" | "syncFolder";

/** Asked before every change; an error it returns fails that operation. */
export type FaultRule = (operation: Operation, path: string) => Error | undefined;

/** A file's bytes as programs see them, and as a crash would leave them. */
interface Content {
  seen: Buffer;
  durable: Buffer;
  /** Written since the last sync, as ranges of `seen`. */
  dirty: { start: number; end: number }[];
}

type NameChange = { readonly names: ReadonlyMap<string, Content> };

export class MemoryDisk implements Disk {
  /** Bytes that all files together may take. */
  capacityBytes = Number.POSITIVE_INFINITY;
  fault: FaultRule = () => undefined;
  /** After this many more writes the disk loses power in the middle of one. */
  writesUntilCrash = Number.POSITIVE_INFINITY;
  readonly #random: Random;
  #names = new Map<string, Content>();
  #durableNames = new Map<string, Content>();
  #unsyncedNames: NameChange[] = [];
  #folders = new Set<string>(["/", "."]);
  /** Counts power losses: files opened before one are dead. */
  #life = 0;
  #dead = false;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  get crashed(): boolean {
    return this.#dead;
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    this.#check("open", path);
    let content = this.#names.get(path);
    if (mode.startsWith("create")) {
      if (content !== undefined) throw systemError("EEXIST", path);
      if (!this.#folders.has(dirname(path))) throw systemError("ENOENT", path);
      content = { seen: Buffer.alloc(0), durable: Buffer.alloc(0), dirty: [] };
      this.#names.set(path, content);
      this.#noteNames();
    }
    if (content === undefined) throw systemError("ENOENT", path);
    return new MemoryFile(this, path, content, mode, this.#life);
  }

  async list(folder: string): Promise<string[]> {
    this.#check(undefined, folder);
    const prefix = `${folder}/`;
    const found = new Set<string>();
    for (const path of [...this.#names.keys(), ...this.#folders]) {
      if (path.startsWith(prefix)) found.add(path.slice(prefix.length).split("/")[0] as string);
    }
    return [...found].sort();
  }

  async exists(path: string): Promise<boolean> {
    this.#check(undefined, path);
    return this.#names.has(path) || this.#folders.has(path);
  }

  async makeFolder(folder: string): Promise<void> {
    this.#check(undefined, folder);
    for (let at = folder; !this.#folders.has(at); at = dirname(at)) this.#folders.add(at);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#check("rename", from);
    if (!this.#names.has(from) && !this.#folders.has(from)) throw systemError("ENOENT", from);
    const renamed = new Map<string, Content>();
    const moved = (path: string) =>
      path === from || path.startsWith(`${from}/`) ? to + path.slice(from.length) : path;
    for (const [path, content] of this.#names) if (path !== to) renamed.set(moved(path), content);
    this.#names = renamed;
    this.#folders = new Set([...this.#folders].map(moved));
    this.#noteNames();
  }

  async remove(path: string): Promise<void> {
    this.#check("remove", path);
    for (const name of [...this.#names.keys()]) {
      if (name === path || name.startsWith(`${path}/`)) this.#names.delete(name);
    }
    for (const folder of [...this.#folders]) {
      if (folder === path || folder.startsWith(`${path}/`)) this.#folders.delete(folder);
    }
    this.#noteNames();
  }

  /** Makes all names durable, as a journal's commit does. */
  async syncFolder(folder: string): Promise<void> {
    this.#check("syncFolder", folder);
    if (!this.#folders.has(folder)) throw systemError("ENOENT", folder);
    this.#durableNames = new Map(this.#names);
    this.#unsyncedNames = [];
  }

  /** Power loss: what was not durable may be lost, kept or torn. Usable again at once, by new opens. */
  crash(): void {
    const kept = this.#random.below(this.#unsyncedNames.length + 1);
    if (kept > 0) {
      this.#durableNames = new Map((this.#unsyncedNames[kept - 1] as NameChange).names);
    }
    this.#names = new Map(this.#durableNames);
    this.#unsyncedNames = [];
    for (const content of this.#names.values()) this.#settle(content);
    for (const path of this.#names.keys()) {
      for (let at = dirname(path); !this.#folders.has(at); at = dirname(at)) this.#folders.add(at);
    }
    this.#life++;
    this.#dead = false;
    this.writesUntilCrash = Number.POSITIVE_INFINITY;
  }

  /** The bytes of a file as they are now, for a test to look at or to damage. */
  bytesOf(path: string): Buffer {
    const content = this.#names.get(path);
    if (content === undefined) throw systemError("ENOENT", path);
    return content.seen;
  }

  /** Replaces the bytes of a file, durably. */
  replace(path: string, bytes: Buffer): void {
    this.#names.set(path, { seen: bytes, durable: Buffer.from(bytes), dirty: [] });
    this.#durableNames.set(path, this.#names.get(path) as Content);
  }

  /** Called by files before they act. */
  admit(operation: Operation | undefined, path: string, life: number): void {
    if (life !== this.#life) throw systemError("EIO", path);
    this.#check(operation, path);
    if (operation === "write" && --this.writesUntilCrash < 0) this.#dead = true;
  }

  /** How many of `wanted` more bytes there is room for. */
  room(wanted: number): number {
    let used = 0;
    for (const content of this.#names.values()) used += content.seen.length;
    return Math.max(0, Math.min(wanted, this.capacityBytes - used));
  }

  #check(operation: Operation | undefined, path: string): void {
    if (this.#dead) throw systemError("EIO", path);
    const error = operation === undefined ? undefined : this.fault(operation, path);
    if (error !== undefined) throw error;
  }

  #noteNames(): void {
    this.#unsyncedNames.push({ names: new Map(this.#names) });
  }

  /** Decides, sector by sector, what of the unsynced bytes reached the disk. */
  #settle(content: Content): void {
    let size = content.durable.length;
    if (content.seen.length > size && this.#random.chance(0.5)) size = content.seen.length;
    const after = Buffer.alloc(size);
    content.durable.copy(after);
    const share = this.#random.pick([0, 0.1, 0.5, 0.9, 1]);
    for (const { start, end } of content.dirty) {
      const first = start - (start % sectorBytes);
      for (let at = first; at < end; at += sectorBytes) {
        if (!this.#random.chance(share)) continue;
        const from = Math.max(start, at);
        const to = Math.min(end, at + sectorBytes, size);
        if (from < to) content.seen.copy(after, from, from, to);
      }
    }
    content.seen = after;
    content.durable = Buffer.from(after);
    content.dirty = [];
  }
}

class MemoryFile implements DiskFile {
  readonly #disk: MemoryDisk;
  readonly #path: string;
  readonly #content: Content;
  readonly #mode: OpenMode;
  readonly #life: number;
  #closed = false;

  constructor(disk: MemoryDisk, path: string, content: Content, mode: OpenMode, life: number) {
    this.#disk = disk;
    this.#path = path;
    this.#content = content;
    this.#mode = mode;
    this.#life = life;
  }

  async read(buffer: Uint8Array, position: number): Promise<number> {
    this.#admit(undefined);
    const found = this.#content.seen.subarray(position, position + buffer.length);
    buffer.set(found);
    return found.length;
  }

  async write(source: Uint8Array, start: number, end: number, position: number): Promise<void> {
    this.#admit("write");
    if (this.#mode === "read") throw systemError("EBADF", this.#path);
    const content = this.#content;
    const grows = Math.max(0, position + end - start - content.seen.length);
    const length = end - start - (grows - this.#disk.room(grows));
    if (length > 0) {
      if (position + length > content.seen.length) this.#resize(position + length);
      content.seen.set(source.subarray(start, start + length), position);
      content.dirty.push({ start: position, end: position + length });
    }
    await undefined;
    if (this.#disk.crashed) throw systemError("EIO", this.#path);
    if (length < end - start) throw systemError("ENOSPC", this.#path);
    if (this.#mode.endsWith("durable")) this.#sync();
  }

  async datasync(): Promise<void> {
    this.#admit("datasync");
    this.#sync();
  }

  async truncate(sizeBytes: number): Promise<void> {
    this.#admit("truncate");
    this.#resize(sizeBytes);
    this.#content.dirty.push({
      start: Math.min(sizeBytes, this.#content.durable.length),
      end: sizeBytes,
    });
  }

  async size(): Promise<number> {
    this.#admit(undefined);
    return this.#content.seen.length;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #admit(operation: Operation | undefined): void {
    if (this.#closed) throw systemError("EBADF", this.#path);
    this.#disk.admit(operation, this.#path, this.#life);
  }

  #resize(sizeBytes: number): void {
    const resized = Buffer.alloc(sizeBytes);
    this.#content.seen.copy(resized);
    this.#content.seen = resized;
  }

  #sync(): void {
    const content = this.#content;
    if (content.durable.length !== content.seen.length) {
      content.durable = Buffer.from(content.seen);
    } else {
      for (const { start, end } of content.dirty)
        content.seen.copy(content.durable, start, start, end);
    }
    content.dirty = [];
  }
}

/** An error as the operating system's calls give it. */
export function systemError(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

// Keeps two processes from opening one data directory. The lock is a listening socket in Linux's
// abstract namespace, named by the folder's device and inode: the kernel frees it however the process
// ends, and it leaves no file behind. On other systems it is a file that names the owner's process id.

import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { Status, StatusError } from "../base/status.ts";

export interface FolderLock {
  release(): Promise<void>;
}

/** Locks an existing folder; rejects with FAILED_PRECONDITION when another process holds it. */
export async function lockFolder(folder: string): Promise<FolderLock> {
  if (process.platform !== "linux") return lockByFile(folder);
  const { dev, ino } = await stat(folder);
  const server = createServer((socket) => socket.destroy());
  await listen(server, `\0portal-data-${dev}-${ino}`, folder);
  server.unref();
  return { release: () => new Promise((resolve) => server.close(() => resolve())) };
}

function listen(server: Server, name: string, folder: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "EADDRINUSE" ? lockedError(folder, error) : error);
    });
    server.listen(name, resolve);
  });
}

async function lockByFile(folder: string): Promise<FolderLock> {
  const path = join(folder, "LOCK");
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      await writeFile(path, String(process.pid), { flag: "wx" });
      return { release: () => rm(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      const owner = Number(await readFile(path, "utf8").catch(() => "0"));
      if (owner > 0 && isAlive(owner)) throw lockedError(folder, error);
      await rm(path, { force: true });
    }
  }
  throw lockedError(folder, undefined);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function lockedError(folder: string, cause: unknown): StatusError {
  return new StatusError(
    Status.FAILED_PRECONDITION,
    `Cannot open data directory ${folder}: another process is using it. Stop that process, or choose another --data-dir.`,
    { cause },
  );
}

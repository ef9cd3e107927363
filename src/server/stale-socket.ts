// A unix socket outlives the process that listened on it.

import { systemDisk } from "../io/disk.ts";
import { systemNetwork } from "../io/network.ts";

/** A socket that a killed server left behind answers nobody. One in use stays, and binding will say so. */
export async function removeStaleSocket(path: string): Promise<void> {
  if (!(await systemDisk.exists(path))) return;
  try {
    (await systemNetwork.connect({ path })).destroy();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") await systemDisk.remove(path);
  }
}

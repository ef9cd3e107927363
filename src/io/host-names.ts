// Names of hosts and their addresses, as the machine's resolver knows them.

import { lookup, reverse } from "node:dns/promises";

export interface HostNames {
  /** In the resolver's order. Rejects when the name is not known. */
  addressesOf(name: string): Promise<readonly string[]>;
  /** Rejects when the address has no name. */
  namesOf(address: string): Promise<readonly string[]>;
}

export const systemHostNames: HostNames = {
  async addressesOf(name) {
    return (await lookup(name, { all: true })).map((one) => one.address);
  },
  namesOf: reverse,
};

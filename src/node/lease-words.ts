// What the Lease service needs of lease/ as values, passed on so that api/ stays above node/ alone.

export { LeaseIds } from "../lease/lease-id.ts";
export { RenewResult } from "../lease/lessor.ts";

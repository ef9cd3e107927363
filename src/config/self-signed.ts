// Makes the certificate of --auto-tls: self-signed, with the addresses the member listens on, kept in
// the data folder where etcd keeps its own (fixtures/client), so that it stays the same over restarts.

import { generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  bitString,
  boolean,
  der,
  integer,
  objectIdentifier,
  octetString,
  sequence,
  set,
  time,
  utf8String,
} from "./der.ts";
import { isIpAddress } from "./listen-url.ts";

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** True when they were made just now. */
  readonly isNew: boolean;
}

/** Uses the certificate in `folder`, or makes one when there is none or it has expired. */
export async function ensureSelfSigned(
  folder: string,
  hosts: readonly string[],
  validityYears: number,
): Promise<CertificateFiles> {
  const certFile = join(folder, "cert.pem");
  const keyFile = join(folder, "key.pem");
  if (await isUsable(certFile, keyFile)) return { certFile, keyFile, isNew: false };
  const { certificate, key } = makeSelfSigned(hosts, validityYears, new Date());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFile(keyFile, key, { mode: 0o600 });
  await writeFile(certFile, certificate);
  return { certFile, keyFile, isNew: true };
}

async function isUsable(certFile: string, keyFile: string): Promise<boolean> {
  try {
    const [certificate] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    return Date.parse(new X509Certificate(certificate).validTo) > Date.now();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

const oid = {
  organization: "2.5.4.10",
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;

/** PEM texts of a P-256 key and its certificate for `hosts` (names and addresses). */
export function makeSelfSigned(
  hosts: readonly string[],
  validityYears: number,
  now: Date,
): { readonly certificate: string; readonly key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const algorithm = sequence(objectIdentifier(oid.ecdsaWithSha256));
  const organization = sequence(objectIdentifier(oid.organization), utf8String("Portal"));
  const name = sequence(set(organization));
  const until = new Date(now.getTime() + validityYears * 365 * 86_400_000);
  const version3 = der(0xa0, integer(Buffer.from([2])));
  const body = sequence(
    version3,
    integer(randomBytes(16)),
    algorithm,
    name,
    sequence(time(now), time(until)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensionsFor(hosts))),
  );
  const signature = sign("sha256", body, privateKey);
  const certificate = sequence(body, algorithm, bitString(signature));
  return {
    certificate: pem("CERTIFICATE", certificate),
    key: privateKey.export({ type: "sec1", format: "pem" }).toString(),
  };
}

function extensionsFor(hosts: readonly string[]): Buffer[] {
  // digitalSignature, keyEncipherment, keyCertSign and cRLSign: bits 0, 2, 5, 6 from the left.
  const usage = bitString(Buffer.from([0b1010_0110]), 1);
  const names = [...new Set(hosts)].map(generalName);
  return [
    extension(oid.keyUsage, usage, true),
    extension(oid.extendedKeyUsage, sequence(objectIdentifier(oid.serverAuth)), false),
    extension(oid.basicConstraints, sequence(boolean(true)), true),
    extension(oid.subjectAltName, sequence(...names), false),
  ];
}

function extension(id: string, value: Buffer, isCritical: boolean): Buffer {
  const critical = isCritical ? [boolean(true)] : [];
  return sequence(objectIdentifier(id), ...critical, octetString(value));
}

/** A dNSName or an iPAddress. */
function generalName(host: string): Buffer {
  return isIpAddress(host) ? der(0x87, addressBytes(host)) : der(0x82, Buffer.from(host, "latin1"));
}

function addressBytes(address: string): Buffer {
  if (!address.includes(":")) return Buffer.from(address.split(".").map(Number));
  // The URL parser writes IPv6 addresses in their canonical form.
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":"));
  const before = groups(head);
  const after = groups(tail ?? "");
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  const bytes = Buffer.alloc(16);
  for (const [at, group] of [...before, ...zeros, ...after].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), at * 2);
  }
  return bytes;
}

export function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

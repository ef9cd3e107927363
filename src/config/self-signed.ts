// Makes the certificate of --auto-tls: self-signed, with the addresses the member listens on, kept in
// the data folder where etcd keeps its own (fixtures/client), so that it stays the same over restarts.

import "reflect-metadata"; // @peculiar/x509 wants it loaded first
import { webcrypto, X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
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
  const { certificate, key } = await makeSelfSigned(hosts, validityYears, new Date());
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

/** PEM texts of a P-256 key and its certificate for `hosts` (names and addresses). */
export async function makeSelfSigned(
  hosts: readonly string[],
  validityYears: number,
  now: Date,
): Promise<{ readonly certificate: string; readonly key: string }> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const usages =
    KeyUsageFlags.digitalSignature |
    KeyUsageFlags.keyEncipherment |
    KeyUsageFlags.keyCertSign |
    KeyUsageFlags.cRLSign;
  const names = [...new Set(hosts)].map((value) =>
    isIpAddress(value) ? ({ type: "ip", value } as const) : ({ type: "dns", value } as const),
  );
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: "O=Portal",
    notBefore: now,
    notAfter: new Date(now.getTime() + validityYears * 365 * 86_400_000),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new KeyUsagesExtension(usages, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new BasicConstraintsExtension(true, undefined, true),
      new SubjectAlternativeNameExtension(names),
    ],
  });
  const key = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    certificate: `${certificate.toString("pem")}\n`,
    key: `${PemConverter.encode(key, "PRIVATE KEY")}\n`,
  };
}

/** Key exchange groups of TLS: IANA's numbers and names, and what OpenSSL calls them. */

const names: Readonly<Record<number, string>> = {
  23: "secp256r1",
  24: "secp384r1",
  25: "secp521r1",
  29: "X25519",
  30: "X448",
  512: "MLKEM512",
  513: "MLKEM768",
  514: "MLKEM1024",
  4587: "SecP256r1MLKEM768",
  4588: "X25519MLKEM768",
  4589: "SecP384r1MLKEM1024",
};

/** In lower case. */
const aliases: Readonly<Record<string, string>> = {
  "p-256": "secp256r1",
  prime256v1: "secp256r1",
  "p-384": "secp384r1",
  "p-521": "secp521r1",
};

export function groupName(number: number): string | undefined {
  return names[number];
}

/**
 * @param group as `groupName` says; one that is not known is never among them
 * @param allowed as OpenSSL takes them; absent: any
 */
export function isGroupAmong(
  group: string | undefined,
  allowed: readonly string[] | undefined,
): boolean {
  if (allowed === undefined) return true;
  return group !== undefined && allowed.some((one) => plain(one) === group.toLowerCase());
}

function plain(name: string): string {
  const lower = name.toLowerCase();
  return aliases[lower] ?? lower;
}

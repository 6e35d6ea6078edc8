/** Recovery keys in files. */

import { readFileSync } from "node:fs";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import type { Result } from "#base/result";
import {
  parseRecoveryPrivateKey,
  parseRecoveryPublicKey,
  type RecoveryKeyFault,
  type RecoveryPrivateKey,
  type RecoveryPublicKey,
} from "./recovery-key.ts";

const words: Readonly<Record<RecoveryKeyFault, string>> = {
  "too-long": "is too long for a recovery key",
  "not-a-recovery-key": "holds no recovery key of this version",
  "other-part": "holds the other part of a recovery key",
  "wrong-id": "holds lines of another key than the one it names",
  "bad-line": "has a slip in a line",
  "wrong-line-number": "lacks a line, or has one in another place",
  "wrong-length": "lacks lines, or has too many",
};

/** @throws Misconfigured saying what is wrong, with the line of a slip */
export function recoveryPublicKeyIn(path: string): RecoveryPublicKey {
  return read(path, parseRecoveryPublicKey);
}

/**
 * @param path "-" for standard input
 * @throws Misconfigured saying what is wrong, with the line of a slip
 */
export function recoveryPrivateKeyIn(path: string): RecoveryPrivateKey {
  return read(path, parseRecoveryPrivateKey);
}

function read<Key>(path: string, parse: (text: string) => Result<Key, RecoveryKeyFault>): Key {
  let text: string;
  try {
    text = readFileSync(path === "-" ? 0 : path, "utf8");
  } catch (cause) {
    const code = errorCode(cause) ?? "error";
    throw new Misconfigured(`${path}: no recovery key can be read there (${code})`, { cause });
  }
  const parsed = parse(text);
  if (parsed.ok) return parsed.value;
  const line = parsed.fault.includes("line") ? ` (line ${parsed.at} of the key)` : "";
  throw new Misconfigured(`${path} ${words[parsed.fault]}${line}`);
}

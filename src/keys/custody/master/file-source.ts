/** Master keys in a folder, one file each: "2-9f86d081884c7d65.key" is the second one made. */

import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "#base/disk";
import { Misconfigured } from "#base/errors";
import { destroyFile, readPrivateFile, unfinished, writePrivateFile } from "../private-file.ts";
import { type Secret, secretFrom, secretsIn, useOf } from "./secret.ts";
import { keyBytes, type MasterSource } from "./source.ts";

interface Held {
  readonly number: number;
  readonly path: string;
  readonly secret: Secret;
}

const fileName = /^([1-9][0-9]{0,5})-([0-9a-f]{16})\.key$/;

/**
 * Holds no key as long as the folder has none.
 *
 * @throws Misconfigured when a key cannot be read, is damaged, or others than its owner can read it
 */
export function openFiles(directory: string): MasterSource {
  let held = readFolder(directory);
  return {
    name: `the folder ${directory}`,
    ...useOf(() => held.map(({ secret }) => secret)),
    async make() {
      const octets = randomBytes(keyBytes);
      const secret = secretFrom(Buffer.from(octets));
      const number = (held[0]?.number ?? 0) + 1;
      const name = `${number}-${secret.id}.key`;
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      await writePrivateFile(directory, name, octets);
      octets.fill(0);
      held = [{ number, path: join(directory, name), secret }, ...held];
      return secret.id;
    },
    async retire(id) {
      const one = held.find(({ secret }) => secret.id === id);
      if (one === undefined) return;
      await destroyFile(one.path);
      held = held.filter((other) => other !== one);
    },
    close: async () => {},
  };
}

function readFolder(directory: string): readonly Held[] {
  const held: Held[] = [];
  for (const name of namesIn(directory)) {
    const path = join(directory, name);
    if (name.endsWith(unfinished)) rmSync(path);
    const [, number, id] = fileName.exec(name) ?? [];
    if (number === undefined) continue;
    const [secret] = secretsIn(readPrivateFile(path)) ?? [];
    if (secret === undefined || secret.id !== id) {
      throw new Misconfigured(`${path} is damaged: put back a copy of it`);
    }
    held.push({ number: Number(number), path, secret });
  }
  return held.sort((one, other) => other.number - one.number);
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw new Misconfigured(`the folder of master keys ${directory} cannot be read`, {
      cause: error,
    });
  }
}

/** The keyring as its clients see it: each call a request, each answer checked for its shape. */

import { Buffer } from "node:buffer";
import { Unavailable } from "#base/errors";
import { Connection, type KeyringAccess } from "./keyring-connection.ts";
import type {
  HeadSignatures,
  KeptKey,
  Keyring,
  LogKeys,
  MasterIds,
  WrappedKey,
} from "./keyring-port.ts";
import { type Frame, readKeyringSecret } from "./keyring-wire.ts";

/** @throws Misconfigured when the secret cannot be read */
export function connectKeyring(access: KeyringAccess): Keyring {
  const keyring = new Connection(access, readKeyringSecret(access.secretFile));
  const masterIds = async (): Promise<MasterIds> => idsOf(await keyring.ask({ do: "masterIds" }));
  return {
    dkimKeys: async (domain) => keysOf(await keyring.ask({ do: "dkimKeys", domain })),
    makeDkimKeys: async (domain) => keysOf(await keyring.ask({ do: "makeDkimKeys", domain })),
    allDkimKeys: async (domain) => keysOf(await keyring.ask({ do: "allDkimKeys", domain })),
    addDkimKeys: async (domain) => keysOf(await keyring.ask({ do: "addDkimKeys", domain })),
    async activateDkimKeys(domain, selectors) {
      await keyring.ask({ do: "activateDkimKeys", domain, selectors });
    },
    async retireDkimKeys(domain, selectors, isForced) {
      await keyring.ask({ do: "retireDkimKeys", domain, selectors, isForced });
    },
    dkimSign: async (domain, selector, octets) =>
      (await keyring.ask({ do: "dkimSign", domain, selector }, octets)).body,
    wrapKey: async (key, purpose) => wrappedOf(await keyring.ask({ do: "wrapKey", purpose }, key)),
    unwrapKey: async ({ master, wrapped }, purpose) =>
      keyOf(await keyring.ask({ do: "unwrapKey", master, purpose }, wrapped)),
    masterIds,
    async rotateMaster() {
      // Named, so that a request that is sent again after a restart does not rotate twice.
      const { current } = await masterIds();
      return textIn(await keyring.ask({ do: "rotateMaster", master: current }), "master");
    },
    async retireMaster(master) {
      await keyring.ask({ do: "retireMaster", master });
    },
    logKeys: async () => logKeysOf(await keyring.ask({ do: "logKeys" })),
    signHead: async (text) =>
      signaturesOf(await keyring.ask({ do: "signHead" }, Buffer.from(text))),
    async renewLog(log) {
      await keyring.ask({ do: "renewLog", log });
    },
    [Symbol.asyncDispose]: () => keyring.close(),
  };
}

/** Keys that tell what they are for, where that was asked. */
function keysOf({ head }: Frame): readonly KeptKey[] {
  if (!Array.isArray(head["keys"])) throw strange("keys");
  return head["keys"] as KeptKey[];
}

function wrappedOf(frame: Frame): WrappedKey {
  return { master: textIn(frame, "master"), wrapped: Buffer.from(frame.body) };
}

/** Out of the socket's buffer, so that only the caller's copy is left. */
function keyOf({ body }: Frame): Buffer {
  const key = Buffer.alloc(body.length);
  body.copy(key);
  body.fill(0);
  if (key.length !== 32) throw strange("key");
  return key;
}

function idsOf(frame: Frame): MasterIds {
  const held = frame.head["held"];
  if (!Array.isArray(held)) throw strange("master keys");
  return { current: textIn(frame, "current"), held: held.map(String) };
}

function logKeysOf(frame: Frame): LogKeys {
  return {
    name: textIn(frame, "name"),
    ed25519: Buffer.from(textIn(frame, "ed25519"), "base64"),
    mlDsa65: Buffer.from(textIn(frame, "mlDsa65"), "base64"),
  };
}

/** RFC 8032 §5.1.6, FIPS 204 table 2. */
const ed25519Bytes = 64;
const mlDsa65Bytes = 3309;

function signaturesOf({ body }: Frame): HeadSignatures {
  if (body.length !== ed25519Bytes + mlDsa65Bytes) throw strange("signatures");
  return {
    ed25519: Buffer.from(body.subarray(0, ed25519Bytes)),
    mlDsa65: Buffer.from(body.subarray(ed25519Bytes)),
  };
}

function textIn({ head }: Frame, name: string): string {
  const text = head[name];
  if (typeof text !== "string") throw strange(name);
  return text;
}

function strange(what: string): Unavailable {
  return new Unavailable(`the keyring's answer has no ${what}`);
}

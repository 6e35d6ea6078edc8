/** What an administrator sets about the keyring: where the master key of the store comes from. */

import type { Parameter } from "#base/parameters";

type TextKey = "master" | "tokenModule" | "tokenLabel" | "tokenKey" | "tokenPinFile";

export const keyringParameters: Readonly<Record<TextKey, Parameter<string>>> & {
  readonly tokenEnvironment: Parameter<readonly string[]>;
} = {
  master: {
    default: "file",
    oneOf: ["file", "credential", "pkcs11"],
    doc: "Where the store's master key is: a file made at the first start, systemd's credential postern-master, or a PKCS#11 token.",
  },
  tokenModule: {
    default: "",
    doc: "Path of the token's PKCS#11 library; empty: no token is opened.",
  },
  tokenLabel: { default: "", doc: "Label of the token." },
  tokenKey: {
    default: "postern-master",
    doc: "Label of the AES-256 key on the token; later ones are this label with -2, -3 and so on.",
  },
  tokenPinFile: {
    default: "",
    doc: "File with the token's PIN, for its owner only; empty: systemd's credential postern-pin.",
  },
  tokenEnvironment: {
    default: [],
    doc: "Variables that the token's library reads, each 'NAME=VALUE'.",
  },
};

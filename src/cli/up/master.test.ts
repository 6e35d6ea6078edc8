import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { Misconfigured } from "#base/errors";
import { type Config, complete } from "../config/read.ts";
import { grantsOf } from "./grants.ts";
import { layoutOf } from "./layout.ts";
import { masterSettingsOf, ownMasterSettings } from "./master.ts";

const layout = layoutOf("/data");
const configOf = (keyring: Readonly<Record<string, unknown>>): Config => complete({ keyring });
const token = {
  master: "pkcs11",
  tokenModule: "/usr/lib/token.so",
  tokenLabel: "postern",
  tokenPinFile: "/etc/postern/pin",
  tokenEnvironment: ["CONF=/etc/token.conf"],
};

afterEach(() => {
  delete process.env["CREDENTIALS_DIRECTORY"];
});

describe("[keyring] of postern.toml", () => {
  test("means a file in the data folder unless it says otherwise", () => {
    const settings = masterSettingsOf(layout, configOf({}));
    assert.deepEqual(settings, { source: "file", directory: "/data/keyring/master" });
    assert.deepEqual(grantsOf("keyring", { master: settings }), { reads: [], ffi: false });
  });

  test("grants a native library only when a token is configured, and to the keyring alone", () => {
    const settings = masterSettingsOf(layout, configOf(token));
    assert.deepEqual(settings.token, {
      module: "/usr/lib/token.so",
      label: "postern",
      key: "postern-master",
      pinFile: "/etc/postern/pin",
      environment: ["CONF=/etc/token.conf"],
    });
    assert.deepEqual(grantsOf("keyring", { master: settings }), {
      reads: ["/etc/postern/pin"],
      ffi: true,
    });
    assert.deepEqual(grantsOf("hub", { master: settings }), { reads: [], ffi: false });
  });

  test("lets the service manager's credentials be read where they are", () => {
    process.env["CREDENTIALS_DIRECTORY"] = "/run/credentials/postern.service";
    const config = configOf({ master: "credential" });
    const { reads } = grantsOf("keyring", { master: masterSettingsOf(layout, config) });
    assert.deepEqual(reads, ["/run/credentials/postern.service/"]);
    assert.deepEqual(ownMasterSettings(layout, config), {
      source: "credential",
      directory: "/data/keyring/master",
      credentials: "/run/credentials/postern.service",
    });
  });

  const wrong = [
    [{ tokenModule: "" }, /set keyring.tokenModule/],
    [{ tokenModule: "token.so" }, /tokenModule: token.so is not an absolute path/],
    [{ tokenPinFile: "pin" }, /tokenPinFile: pin is not an absolute path/],
    [{ tokenLabel: "" }, /tokenLabel is missing/],
    [{ tokenKey: "a b" }, /tokenKey/],
    [{ tokenEnvironment: ["CONF"] }, /tokenEnvironment/],
  ] as const;
  for (const [change, expected] of wrong) {
    test(`is refused with ${JSON.stringify(change)}`, () => {
      assert.throws(
        () => masterSettingsOf(layout, configOf({ ...token, ...change })),
        (error) => error instanceof Misconfigured && expected.test(error.message),
      );
    });
  }
});

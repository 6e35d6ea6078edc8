import assert from "node:assert/strict";
import { test } from "node:test";
import { manifest as edgeSmtp } from "../../../../programs/edge-smtp.ts";
import { manifest as edgeWeb } from "../../../../programs/edge-web.ts";
import { manifest as hub } from "../../../../programs/hub.ts";
import { manifest as keyring } from "../../../../programs/keyring.ts";
import { complete } from "../../config/read.ts";
import { serviceUnit } from "./service.ts";
import { doorsOf } from "./unit-plan.ts";

function unitOf(name: "hub" | "edge-smtp", listen: Readonly<Record<string, unknown>>): string {
  const config = complete({ listen });
  const manifests = { "edge-smtp": edgeSmtp, "edge-web": edgeWeb, hub, keyring };
  const places = { data: "/data", configFile: "/c", application: "/app", node: "/node" };
  const plan = { role: "all", manifests, config, ...places } as const;
  return serviceUnit(name, plan, doorsOf(name, config));
}

test("the hub may make the sockets that are configured, and no other service may", () => {
  const listen = { local: "/run/postern/sendmail.sock", lmtp: "/srv/lmtp/postern.sock" };
  const unit = unitOf("hub", listen);
  assert.match(unit, /^RuntimeDirectory=postern$/m);
  assert.match(unit, /^ReadWritePaths=\/data\/hub -\/srv\/lmtp$/m);
  assert.doesNotMatch(unitOf("hub", {}), /RuntimeDirectory|\/srv/);
  assert.doesNotMatch(unitOf("edge-smtp", listen), /RuntimeDirectory|\/srv/);
});

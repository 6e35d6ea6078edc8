/** What an administrator may set about logins at the web front and how long sessions last. */

import type { Values } from "#base/parameters";

export const loginParameters = {
  idleMinutes: {
    default: 15,
    unit: "count",
    min: 1,
    max: 1_440,
    doc: "Minutes without use after which a session on a private computer ends; raise when people are signed out while they work.",
  },
  absoluteHours: {
    default: 8,
    unit: "count",
    min: 1,
    max: 168,
    doc: "Hours after which a session on a private computer ends whatever its use.",
  },
  publicIdleMinutes: {
    default: 10,
    unit: "count",
    min: 1,
    max: 120,
    doc: "Minutes without use after which a session on a public computer ends.",
  },
  publicAbsoluteMinutes: {
    default: 60,
    unit: "count",
    min: 1,
    max: 1_440,
    doc: "Minutes after which a session on a public computer ends whatever its use.",
  },
  requireSecondFactor: {
    default: false,
    doc: "Nobody reads mail by password alone: who has no second factor must enrol one at the next login, and programs need an app password.",
  },
  oidcIssuer: {
    default: "",
    doc: "Issuer of the OpenID Connect provider whose people may log in, as an https:// address; empty: none.",
  },
  oidcClientId: { default: "", doc: "Name under which the provider knows this installation." },
  oidcSecretFile: {
    default: "",
    doc: "File with the secret that the provider gave us for that name, in the hub's folder or absolute.",
  },
  oidcClaim: {
    default: "email",
    doc: "Claim of the provider that holds the address of an account here. Of email only a verified one counts.",
  },
  oidcLabel: { default: "", doc: "Words on the button; empty: the provider's host name." },
  oidcDirect: {
    default: false,
    doc: "The provider stands inside: the hub connects to it itself. Otherwise it goes through the edge, whose egress.ports must hold the provider's port.",
  },
  oidcCaFile: {
    default: "",
    doc: "PEM file with the authorities the provider's certificate may come from; empty: those of the system.",
  },
} as const;

export type LoginSettings = Values<typeof loginParameters>;

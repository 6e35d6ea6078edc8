/** Ready-made sets of publishing rules, and what Postern publishes of itself. */

import type { LoginWay, PublishingRule } from "#model/publishing";

/** A rule without its application and hosts. */
type Shape = Omit<PublishingRule, "application" | "hosts">;

export interface RuleSet {
  /** One sentence for the administrator. */
  readonly doc: string;
  /** Where the application lies when nobody says otherwise; undefined: its paths are fixed. */
  readonly path?: string;
  /** @param path where the application lies */
  readonly rules: (path: string) => readonly Shape[];
}

const reading = ["GET", "HEAD"];
const browsing = [...reading, "POST"];
/** RFC 4918 §9, RFC 3253 §3.6 (REPORT), RFC 4791 §5.3.1 (MKCALENDAR), RFC 3744 §8.1 (ACL). */
const webDav = [
  ...[...browsing, "OPTIONS", "PUT", "DELETE", "PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE"],
  ...["LOCK", "UNLOCK", "REPORT", "MKCALENDAR", "ACL"],
];

const mail = (path: string, methods: readonly string[], login: LoginWay): Shape => ({
  path,
  methods,
  login,
  targets: "mail",
});

const minuteMs = 60_000;
/** [MS-ASCMD] §2.2.3.88: a telephone asks for news and is kept waiting, for up to 59 minutes. */
const pingMs = 60 * minuteMs;
/** GetStreamingEvents of EWS lasts up to 30 minutes, whether there is news or not. */
const subscriptionMs = 32 * minuteMs;
/** Outlook waits some minutes for news of a mailbox. */
const outlookMs = 10 * minuteMs;

/** Windows compares paths without case. */
const windows = (path: string, methods: readonly string[], login: LoginWay): Shape => ({
  ...mail(path, methods, login),
  ignoreCase: true,
});

export type RuleSetName =
  | "web"
  | "roundcube"
  | "sogo"
  | "exchange-owa"
  | "exchange-ews"
  | "exchange-activesync"
  | "exchange-mapi"
  | "exchange-autodiscover";

export const ruleSets: Readonly<Record<RuleSetName, RuleSet>> = {
  web: {
    doc: "Any web application below one path, behind the login form.",
    path: "/",
    rules: (path) => [mail(path, [...browsing, "PUT", "PATCH", "DELETE"], "form")],
  },
  roundcube: {
    doc: "Roundcube webmail: its pages, and the folders that its pages load from.",
    path: "/roundcube",
    rules: (path) => {
      const folder = path.endsWith("/") ? path : `${path}/`;
      const page = mail(folder, browsing, "form");
      const files = ["program/js", "program/resources", "skins", "plugins", "static.php"];
      return [
        { ...page, exact: true },
        ...(path === folder ? [] : [{ ...page, path, exact: true }]),
        { ...page, path: `${folder}index.php` },
        ...files.map((name) => mail(folder + name, reading, "form")),
      ];
    },
  },
  sogo: {
    doc: "SOGo: pages behind the login form, CalDAV and CardDAV with Basic.",
    rules: () => [
      mail("/SOGo", browsing, "form"),
      mail("/SOGo.woa/WebServerResources", reading, "form"),
      mail("/SOGo/dav", webDav, "basic"),
      { ...mail("/.well-known/caldav", [...reading, "PROPFIND", "OPTIONS"], "basic"), exact: true },
      {
        ...mail("/.well-known/carddav", [...reading, "PROPFIND", "OPTIONS"], "basic"),
        exact: true,
      },
    ],
  },
  "exchange-owa": {
    doc: "Outlook on the web with its settings pages (/owa, /ecp).",
    rules: () => [windows("/owa", browsing, "form"), windows("/ecp", browsing, "form")],
  },
  "exchange-ews": {
    doc: "Exchange Web Services (/EWS), with Basic.",
    rules: () => [{ ...windows("/EWS", browsing, "basic"), answerTimeoutMs: subscriptionMs }],
  },
  "exchange-activesync": {
    doc: "Mobile synchronisation (/Microsoft-Server-ActiveSync), with Basic.",
    rules: () => [
      {
        ...windows("/Microsoft-Server-ActiveSync", ["OPTIONS", "POST"], "basic"),
        answerTimeoutMs: pingMs,
      },
    ],
  },
  "exchange-mapi": {
    doc: "MAPI over HTTP of Outlook (/mapi), with Basic.",
    rules: () => [{ ...windows("/mapi", browsing, "basic"), answerTimeoutMs: outlookMs }],
  },
  "exchange-autodiscover": {
    doc: "Autodiscover of Exchange instead of Postern's own (/autodiscover), with Basic.",
    rules: () => [
      windows("/autodiscover", browsing, "basic"),
      { ...windows("/autodiscover/autodiscover.xml", browsing, "basic"), exact: true },
    ],
  },
};

export const ruleSetNames: readonly RuleSetName[] = Object.keys(ruleSets) as RuleSetName[];

const own = (path: string, methods: readonly string[], more: Partial<Shape> = {}): Shape => ({
  path,
  methods,
  login: "form",
  targets: "plain",
  ...more,
});

const exact = { exact: true } as const;
const exactJson = { exact: true, needsJson: true } as const;
const open = { exact: true, login: "none" } as const;

const ofPostern: readonly Shape[] = [
  own("/mail", reading),
  own("/jmap/session", reading, exact),
  own("/.well-known/jmap", reading, exact),
  own("/jmap/api", ["POST"], exactJson),
  own("/jmap/events", ["GET"], exact),
  // Attachments keep their names, percent signs and all.
  own("/jmap/download/", reading, { targets: "mail" }),
  own("/jmap/upload/", ["POST"]),
  own("/session", ["GET"], exact),
  own("/session/extend", ["POST"], exactJson),
  own("/account", ["GET", "POST"], { needsJson: true }),
  own("/.well-known/autoconfig/mail/config-v1.1.xml", reading, open),
  own("/mail/config-v1.1.xml", reading, open),
  own("/autodiscover/autodiscover.xml", ["POST"], { ...open, ignoreCase: true }),
  own("/.well-known/change-password", reading, open),
];

/** @param hosts empty: all that are published */
export function posternRules(hosts: readonly string[]): readonly PublishingRule[] {
  return ofPostern.map((shape) => ({ application: "postern", hosts, ...shape }));
}

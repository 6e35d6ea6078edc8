/** Character references (WHATWG HTML §13.5) and their way back into markup. */

/** Those that matter in a URL or a style; any other stays as it is and is escaped again. */
const named: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
  ["nbsp", "\u00a0"],
  ["colon", ":"],
  ["Tab", "\t"],
  ["NewLine", "\n"],
  ["lpar", "("],
  ["rpar", ")"],
  ["sol", "/"],
  ["bsol", "\\"],
  ["semi", ";"],
  ["num", "#"],
  ["percnt", "%"],
  ["commat", "@"],
]);

/** An attribute value as a browser would hold it. */
export function decodeReferences(raw: string): string {
  if (!raw.includes("&")) return raw;
  return raw.replace(
    /&(?:#[xX]([0-9a-fA-F]{1,8})|#(\d{1,9})|([A-Za-z]{2,8}));?/g,
    (whole, hexadecimal?: string, decimal?: string, name?: string) => {
      if (name !== undefined) return (whole.endsWith(";") && named.get(name)) || whole;
      return character(Number.parseInt(hexadecimal ?? decimal ?? "", hexadecimal ? 16 : 10));
    },
  );
}

function character(code: number): string {
  const none = code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff);
  return none ? "\ufffd" : String.fromCodePoint(code);
}

export function escapeText(text: string): string {
  return text.replace(/[&<>"'`\0]/g, (one) => escapes[one] ?? "");
}

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
  "\0": "\ufffd",
};

const legacy = /^&(nbsp|amp|lt|gt|quot|copy|reg)(?![A-Za-z0-9;])/;

/** Text between tags: references stay references, every other special character becomes one. */
export function cleanText(text: string): string {
  return text.replace(
    /&(?:#\d{1,7};|#[xX][0-9a-fA-F]{1,6};|[A-Za-z][A-Za-z0-9]{1,31};)|[&<>\0]/g,
    (one, at: number) => {
      if (one.length > 1) return one;
      if (one !== "&") return escapes[one] ?? "";
      const bare = legacy.exec(text.slice(at, at + 8));
      return bare === null ? "&amp;" : "&"; // a browser reads the short old names without ";"
    },
  );
}

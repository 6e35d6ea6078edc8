/** Inline styles: a list of properties and of value shapes; nothing that fetches, floats over or hides (W16). */

const properties = new Set([
  ...["color", "background-color", "background"],
  ...["font", "font-family", "font-size", "font-style", "font-weight", "font-variant"],
  ...["line-height", "letter-spacing", "word-spacing", "white-space", "word-break", "word-wrap"],
  ...["overflow-wrap", "text-align", "text-decoration", "text-decoration-line", "text-indent"],
  ...["text-transform", "text-underline-offset", "direction", "vertical-align", "display"],
  ...["padding", "padding-top", "padding-right", "padding-bottom", "padding-left"],
  ...["margin", "margin-top", "margin-right", "margin-bottom", "margin-left"],
  ...["border", "border-top", "border-right", "border-bottom", "border-left", "border-color"],
  ...["border-width", "border-style", "border-radius", "border-collapse", "border-spacing"],
  ...["width", "min-width", "max-width", "height", "min-height", "max-height"],
  ...["list-style", "list-style-type", "list-style-position", "float", "clear", "table-layout"],
]);

/** Lengths, colours, words and quoted font names; "url(", "@", "\" and the like do not fit. */
const plainValue = /^[A-Za-z0-9 #%.,()'"+/!-]*$/;
const functions = new Set(["rgb", "rgba", "hsl", "hsla"]);
const displays = /^(?:block|inline|inline-block|none|table|table-row|table-cell|list-item)$/;
const maxLength = 4096;

export interface FilteredStyle {
  readonly style: string;
  /** Something of it would have been fetched. */
  readonly remote: boolean;
}

/** @param text attribute value, references decoded */
export function filterStyle(text: string): FilteredStyle {
  const remote = /url\s*\(|image-set\s*\(|@import/i.test(text);
  if (text.length > maxLength) return { style: "", remote };
  const kept: string[] = [];
  // A comment may stand anywhere and would join or cut words for others.
  for (const declaration of text.replace(/\/\*.*?(?:\*\/|$)/gs, " ").split(";")) {
    const colon = declaration.indexOf(":");
    const property = declaration.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    const value = declaration.slice(colon + 1).trim();
    if (properties.has(property) && mayHold(property, value)) kept.push(`${property}:${value}`);
  }
  return { style: kept.join(";"), remote };
}

function mayHold(property: string, value: string): boolean {
  if (value === "" || value.length > 256 || !plainValue.test(value)) return false;
  if (quotes(value, '"') % 2 === 1 || quotes(value, "'") % 2 === 1) return false;
  for (const [, name] of value.matchAll(/([A-Za-z0-9-]*)\(/g)) {
    if (!functions.has((name ?? "").toLowerCase())) return false;
  }
  if (property === "display") return displays.test(value.toLowerCase());
  if (property.startsWith("margin")) return !value.includes("-"); // pulls text over other text
  return !/(?:^|\s)-\d/.test(value);
}

function quotes(text: string, mark: string): number {
  return text.split(mark).length - 1;
}

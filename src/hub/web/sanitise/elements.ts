/** Elements and attributes that a message may keep. What is not listed is not there. */

export const elements: ReadonlySet<string> = new Set([
  ...["a", "abbr", "address", "article", "aside", "b", "bdi", "bdo", "big", "blockquote", "br"],
  ...["caption", "center", "cite", "code", "col", "colgroup", "dd", "del", "dfn", "div", "dl"],
  ...["dt", "em", "figcaption", "figure", "font", "footer", "h1", "h2", "h3", "h4", "h5", "h6"],
  ...["header", "hr", "i", "img", "ins", "kbd", "li", "main", "mark", "ol", "p", "pre", "q", "s"],
  ...["samp", "section", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody"],
  ...["td", "tfoot", "th", "thead", "time", "tr", "tt", "u", "ul", "var", "wbr"],
]);

/** Go with everything between their tags: foreign languages, programs, forms' inner parts. */
export const dropWhole: ReadonlySet<string> = new Set([
  ...["script", "style", "template", "svg", "math", "object", "embed", "applet", "iframe"],
  ...["frameset", "noscript", "noembed", "noframes", "title", "textarea", "xmp", "select"],
  ...["audio", "video", "canvas", "portal", "fencedframe"],
]);

export const empty: ReadonlySet<string> = new Set(["br", "col", "hr", "img", "wbr"]);

/** Of `dropWhole`: these have no end tag. */
export const dropAlone: ReadonlySet<string> = new Set([
  ...["embed", "link", "meta", "base", "input", "source", "track", "param", "frame", "area"],
]);

const word = /^[A-Za-z0-9 -]{1,64}$/;
const number = /^-?\d{1,5}%?$/;
const size = /^\d{1,5}(?:px|%)?$/;
const colour = /^(?:#[0-9A-Fa-f]{3,8}|[A-Za-z]{3,32})$/;
const anything = /^[\s\S]{0,1024}$/;

/** Attribute to the shape of its value. No id, class or name: nothing to clobber or to select. */
export const attributes: ReadonlyMap<string, RegExp> = new Map([
  ["align", word],
  ["alt", anything],
  ["bgcolor", colour],
  ["border", number],
  ["cellpadding", number],
  ["cellspacing", number],
  ["cite", /^$/],
  ["color", colour],
  ["colspan", /^\d{1,3}$/],
  ["dir", /^(?:ltr|rtl|auto)$/i],
  ["face", /^[A-Za-z0-9 ,'"-]{1,128}$/],
  ["height", size],
  ["lang", /^[A-Za-z0-9-]{1,35}$/],
  ["nowrap", /^(?:nowrap)?$/i],
  ["rowspan", /^\d{1,3}$/],
  ["scope", word],
  ["size", /^[+-]?\d{1,2}$/],
  ["span", /^\d{1,3}$/],
  ["start", number],
  ["title", anything],
  ["type", /^(?:1|a|A|i|I|disc|circle|square)$/],
  ["valign", word],
  ["value", number],
  ["width", size],
]);

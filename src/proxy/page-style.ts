/** The one style sheet of the front's own pages; its hash is what their policy allows (CSP 3 §8.4). */

import { createHash } from "node:crypto";

export const pageStyle = `
:root{color-scheme:light dark;--page:#eef1f5;--card:#fff;--line:#d3d9e2;--edge:#76808f;--text:#18202b;--soft:#525c6b;
--field:#fff;--hover:#eef1f5;--accent:#1157ea;--on-accent:#fff;--danger:#700310;--danger-soft:#fbecee;--info-soft:#eaf0fd;--info:#1157ea}
@media (prefers-color-scheme:dark){:root{--page:#12161c;--card:#1a2029;--line:#38424f;--edge:#7d899a;--text:#e8ecf2;--soft:#a9b3c2;
--field:#12161c;--hover:#232b36;--accent:#5b9afb;--on-accent:#0b1220;--danger:#f1797a;--danger-soft:#33191e;--info-soft:#17243b;--info:#5b9afb}}
*{box-sizing:border-box}[hidden]{display:none!important}
body{margin:0;min-height:100vh;display:grid;grid-template-rows:1fr auto;justify-items:center;background:var(--page);
color:var(--text);font:15px/22px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
main{align-self:center;width:min(400px,calc(100vw - 32px));margin:32px 16px}
.brand{display:flex;align-items:center;gap:12px;margin:0 0 16px;font-weight:600}
.brand svg{width:28px;height:28px;color:var(--accent)}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:28px}
h1{font-size:20px;line-height:28px;margin:0 0 4px;font-weight:600}
p{margin:0 0 16px;overflow-wrap:anywhere}p:last-child{margin-bottom:0}.soft{color:var(--soft)}
a{color:var(--accent)}
label{display:block;font-weight:600;margin:16px 0 4px}
input[type=text],input[type=password]{width:100%;height:40px;padding:0 12px;font:inherit;color:inherit;
background:var(--field);border:1px solid var(--edge);border-radius:8px}
input.code{font-size:20px;letter-spacing:4px;font-variant-numeric:tabular-nums}
input[aria-invalid=true]{border-color:var(--danger)}
fieldset{border:0;margin:20px 0 24px;padding:0}legend{font-weight:600;padding:0;margin-bottom:4px}
.choice{display:grid;grid-template-columns:24px 1fr;align-items:start;font-weight:400;margin:0;padding:6px 0;cursor:pointer}
.choice input{width:16px;height:16px;margin:3px 0 0;accent-color:var(--accent)}
.choice small{display:block;color:var(--soft);font-size:13px;line-height:18px}
button,.button{display:block;width:100%;min-height:40px;padding:8px 12px;border:1px solid transparent;border-radius:8px;background:var(--accent);
color:var(--on-accent);font:inherit;font-weight:600;text-align:center;text-decoration:none;cursor:pointer;overflow-wrap:anywhere}
button:hover,.button:hover{filter:brightness(1.08)}
.second{margin-top:12px;background:none;border-color:var(--edge);color:var(--text)}
.second:hover{background:var(--hover);filter:none}
button:disabled{opacity:.6;cursor:default}
input.code+button,details button{margin-top:16px}
details{margin-top:20px}summary{color:var(--accent);cursor:pointer;width:max-content;max-width:100%}
.again{margin:20px 0 0}.said{margin:8px 0 0;color:var(--danger)}.said:empty{display:none}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.notice{display:grid;grid-template-columns:24px 1fr;border-radius:8px;padding:10px 12px;margin:16px 0 0}
.notice svg{width:16px;height:16px;margin-top:3px}
.notice.danger{background:var(--danger-soft);color:var(--danger)}
.notice.info{background:var(--info-soft);color:var(--info)}
.notice span{color:var(--text)}
footer{padding:16px;color:var(--soft);font-size:13px;text-align:center}
@media (forced-colors:active){.card,input,button,.notice{border:1px solid}}
`;

/** Source expression for style-src. */
export const pageStyleHash: string = `'sha256-${createHash("sha256").update(pageStyle).digest("base64")}'`;

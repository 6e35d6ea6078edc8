/** Colours of the design system's state tokens, light and dark; shape and word always go with them. */

export const consoleStyle = `
:root{color-scheme:light dark;--paper:#fff;--ground:#f5f7fa;--ink:#1b2330;--quiet:#5a6475;--line:#d9dfe8;
--accent:#1157ea;--good:#137344;--caution:#955309;--danger:#700310}
@media (prefers-color-scheme:dark){:root{--paper:#1b222c;--ground:#141a22;--ink:#e6ebf3;--quiet:#a2adc0;
--line:#323d4c;--accent:#5b9afb;--good:#8fefc8;--caution:#fdda64;--danger:#f1797a}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:14px/20px system-ui,sans-serif;
font-variant-numeric:tabular-nums}
header,main,footer{max-width:1080px;margin:0 auto;padding:16px 20px}
header{padding-top:28px}
h1{font-size:22px;line-height:28px;margin:0}
h2{font-size:14px;margin:0 0 8px}
p{margin:4px 0}
a{color:var(--accent)}
main{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:16px}
section{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:16px;min-width:0}
.wide{grid-column:1/-1}
.quiet,th{color:var(--quiet)}
.empty{color:var(--quiet);padding:8px 0}
ul{list-style:none;margin:0;padding:0}
.health li{display:grid;grid-template-columns:72px 1fr;gap:0 8px;padding:6px 0;border-top:1px solid var(--line)}
.health li:first-child{border-top:0}
.health li .quiet{grid-column:2}
.state{font-weight:600}
.good .state{color:var(--good)}.caution .state{color:var(--caution)}.danger .state{color:var(--danger)}
table{border-collapse:collapse;width:100%}
th{font-weight:400;text-align:left}
th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}
.scroll,pre{overflow-x:auto}
pre{margin:0;font:13px/20px ui-monospace,monospace}
@media (max-width:640px){pre{white-space:pre-wrap;overflow-wrap:anywhere}.messages,.messages tbody{display:block}.messages thead{display:none}
.messages tr{display:block;padding:8px 0;border-bottom:1px solid var(--line)}
.messages tr:last-child{border-bottom:0}.messages td{display:block;padding:1px 0;border:0;overflow-wrap:anywhere}
.messages td:nth-child(2)::before{content:"from ";color:var(--quiet)}
.messages td:nth-child(3)::before{content:"to ";color:var(--quiet)}
.messages td:first-child{color:var(--quiet)}}
h3{font-size:14px;margin:16px 0 4px}
.findings-title{color:var(--danger)}
.scrubbed{margin:16px 0 0}.scrubbed label{margin:0 0 4px;font-weight:400;color:var(--quiet)}
progress{width:100%;height:8px;appearance:none;border:0;border-radius:4px;overflow:hidden;background:var(--line);accent-color:var(--accent)}
progress::-webkit-progress-bar{background:var(--line)}
progress::-webkit-progress-value{background:var(--accent)}progress::-moz-progress-bar{background:var(--accent)}
.senders{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,300px),1fr));gap:0 32px}
.senders h3{margin-top:12px}
.senders tbody th,.senders tfoot th{color:inherit}
.senders .origins{display:block}
.senders tbody tr:last-child th,.senders tfoot th{border-bottom:0}
.senders tfoot :is(th,td){border-top:1px solid var(--line)}
.number{text-align:right;padding-right:0;width:1%;white-space:nowrap}
.senders .number{padding-left:12px}
.senders progress{display:block;height:4px;margin-top:2px}
.findings>li{padding:6px 0;border-top:1px solid var(--line);overflow-wrap:anywhere}
.findings ul{padding-left:16px}
dl{display:flex;flex-wrap:wrap;gap:8px 24px;margin:0}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(128px,1fr))}
dt{color:var(--quiet)}dd{margin:0;font-size:20px;line-height:26px}
code{font:13px/18px ui-monospace,monospace}
.narrow{display:block;max-width:380px;margin-top:12vh;background:var(--paper);border:1px solid var(--line);
border-radius:8px;padding:24px}
label{display:block;margin:12px 0 4px;font-weight:600}
input{width:100%;min-height:36px;padding:6px 10px;font:inherit;color:inherit;background:var(--ground);
border:1px solid var(--quiet);border-radius:6px}
button{margin-top:12px;min-height:36px;padding:6px 18px;font:inherit;font-weight:600;color:#fff;
background:#1157ea;border:0;border-radius:6px;cursor:pointer}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.problem{color:var(--danger);font-weight:600}
`;

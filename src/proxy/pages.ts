/** Pages that the front makes itself: plain HTML, readable without any link inside. */

import { shell } from "./pages-shell.ts";

export {
  type LoginNotice,
  leavingPage,
  linkedNotice,
  loginAddress,
  loginPage,
  logoutPage,
  noticeText,
  returnPathIn,
  secondFactorPage,
} from "./pages-login.ts";
export { pagePolicy, passkeyPagePolicy, passkeyScriptPath } from "./pages-shell.ts";

const errors: Readonly<Record<number, readonly [title: string, text: string]>> = {
  400: ["That request was not understood", "Nothing was changed. Go back and try again."],
  403: [
    "That request was refused",
    "It did not come from a page of this site, or is not allowed on a public computer. Open the " +
      "start page and go on from there.",
  ],
  404: ["There is nothing here", "The address may be mistyped, or the page is gone."],
  405: ["That is not possible here", "This address does not take that kind of request."],
  408: ["That took too long", "The request did not arrive in time. Please try again."],
  411: ["That request was not understood", "It did not say how long it is."],
  413: [
    "That is too large",
    "The file or message is larger than this server takes. Send a smaller one, or share it in " +
      "another way.",
  ],
  414: ["That address is too long", "Please check the link you followed."],
  415: ["That kind of content is not taken here", "Nothing was changed. Go back and try again."],
  417: ["That request was not understood", "It expects something this server does not do."],
  421: [
    "Not served here",
    "This server does not answer for that name. Please check the address, or ask whoever runs it.",
  ],
  429: ["Too many requests", "Please wait a minute, then try again."],
  431: [
    "That request is too large",
    "Its header is larger than this server takes. Removing the cookies of this site may help.",
  ],
  502: [
    "Something went wrong inside",
    "The answer could not be used. Please try again; if it stays so, tell whoever runs this server.",
  ],
  503: [
    "Out of reach for a moment",
    "The server behind this page does not answer. Nothing is lost: mail keeps arriving and waits. " +
      "Please try again in a minute.",
  ],
  504: [
    "That took too long",
    "The server behind this page did not answer in time. Please try again.",
  ],
  505: ["That request was not understood", "This server speaks HTTP/1.1 and HTTP/2."],
};

/** Statuses after which the start page is a sensible way on. */
const leadsOn = [403, 404, 502, 503, 504];

/** Without anything that was sent to us: an error page cannot carry somebody's text. */
export function errorPage(status: number): string {
  const [title, text] = errors[status] ?? ["Something went wrong", "Please try again."];
  const way = leadsOn.includes(status) ? '<p><a class="button" href="/">Start page</a></p>' : "";
  return shell({
    title,
    body: `<h1>${title}</h1><p class="soft">${text}</p>${way}`,
    foot: `Error ${status}`,
  });
}

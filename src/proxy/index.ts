/** HTTPS publishing: what a request may look like, where it may go, and the pages of the front. */

export { ownHeaders, relayedHeaders } from "./answer-headers.ts";
export { clearCookie, formCookie, readCookie, sessionCookie, setCookie } from "./cookies.ts";
export { parseForm } from "./form.ts";
export { isNavigation, isOwnAct, mayRead } from "./origin.ts";
export { errorPage, type LoginNotice, linkedNotice, loginPage, pagePolicy } from "./pages.ts";
export { type WebLimits, webParameters } from "./parameters.ts";
export { publishedHosts } from "./published.ts";
export {
  type CheckedHead,
  checkHead,
  crossingHeaders,
  type HeadFault,
  statusOf,
} from "./request-rules.ts";
export { type Route, type Routed, routeOf, safeReturnPath } from "./routes.ts";
export { parseTarget, type Target, type TargetFault } from "./target.ts";

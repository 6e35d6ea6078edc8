/** HTTPS publishing: what a request may look like, where it may go, and the pages of the front. */

export { connectionNamed, ownHeaders, relayedHeaders } from "./answer-headers.ts";
export { readBasic } from "./basic.ts";
export { type CompiledPolicy, compilePolicy, findRule, withoutPort } from "./compiled-policy.ts";
export {
  clearCookie,
  formCookie,
  handleShape,
  readCookie,
  sessionCookie,
  setCookie,
} from "./cookies.ts";
export { crossingHeaders } from "./crossing-headers.ts";
export { parseForm } from "./form.ts";
export {
  type CheckedRequest,
  type HeadLimits,
  type Judged,
  judgeRequest,
  type RequestHead,
  type Route,
} from "./judge.ts";
export { ownLocation } from "./location.ts";
export { isNavigation } from "./origin.ts";
export {
  errorPage,
  type LoginNotice,
  leavingPage,
  linkedNotice,
  loginAddress,
  loginPage,
  logoutPage,
  noticeText,
  pagePolicy,
  passkeyPagePolicy,
  passkeyScriptPath,
  returnPathIn,
  secondFactorPage,
} from "./pages.ts";
export { type WebLimits, webParameters } from "./parameters.ts";
export { safeReturnPath } from "./return-path.ts";
export {
  posternRules,
  type RuleSet,
  type RuleSetName,
  ruleSetNames,
  ruleSets,
} from "./rule-sets.ts";
export { isRulePath, parseTarget, type Target, type TargetFault } from "./target.ts";

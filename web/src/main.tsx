/** Starts the application. */

import { render } from "preact";
import { Mail } from "./mail.ts";
import { App } from "./view/app.tsx";
import { applyTheme, chosenTheme } from "./view/theme.ts";

applyTheme(chosenTheme());
const mail = new Mail();
const root = document.querySelector("#app");
if (root !== null) render(<App mail={mail} />, root);
void mail.start();

/** Light, dark, or as the system says; remembered on this computer. */

export type Theme = "auto" | "light" | "dark";

const key = "postern-theme";

export function chosenTheme(): Theme {
  const kept = localStorage.getItem(key);
  return kept === "light" || kept === "dark" ? kept : "auto";
}

export function applyTheme(theme: Theme): void {
  if (theme === "auto") localStorage.removeItem(key);
  else localStorage.setItem(key, theme);
  document.documentElement.dataset["theme"] = theme;
}

/** What is on the screen now. */
export function shownTheme(): "light" | "dark" {
  const theme = chosenTheme();
  if (theme !== "auto") return theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

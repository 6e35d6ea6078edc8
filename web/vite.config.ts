/** Builds the webmail into web/dist: hashed files, nothing inline, one entry. */

import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  base: "/mail/",
  build: {
    outDir: "dist",
    assetsDir: "assets",
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    target: "es2023",
    emptyOutDir: true,
  },
});

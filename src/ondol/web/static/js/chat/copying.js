// @ts-check
/** Copying to the clipboard, also where the page came over plain HTTP and the browser offers no API for it. */
import { t } from "../core/i18n.js";
import { html, useState } from "../core/ui.js";
import { IconButton } from "../parts/index.js";

/** @param {string} text */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "hidden";
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** @param {{text: string, size?: number}} props */
export function CopyButton({ text, size = 16 }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await copyText(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<${IconButton} icon=${done ? "check" : "copy"} size=${size}
    label=${done ? t("chat.copied") : t("chat.copy")} onClick=${copy} />`;
}

// @ts-check
/** Where the person types: text that grows, files, commands, and what the chat is answered with. */
import { t } from "../core/i18n.js";
import { route } from "../core/router.js";
import { html, useEffect, useRef, useState } from "../core/ui.js";
import { IconButton } from "../parts/index.js";
import { attach, attachments } from "./attachments.js";
import { AttachmentChip } from "./attachment_chip.js";
import { commandIn, offered } from "./commands.js";
import { CommandList } from "./command_list.js";
import { dropDraft, keepDraft } from "./drafts.js";
import { DocumentsPicker, ModelPicker, PlacePicker } from "./pickers.js";
import { choices, conversation, running, sending, start, stop } from "./thread.js";
import { fit, isComposing, typed } from "./typing.js";

const HIGHEST_PX = 260;

/**
 * @param {object} props
 * @param {import("./commands.js").Command[]} props.commands
 * @param {() => void} props.onPrompts
 * @param {() => void} props.onEditLast
 * @param {() => void} props.onSent
 */
export function Composer({ commands, onPrompts, onEditLast, onSent }) {
  const area = useRef(/** @type {HTMLTextAreaElement|null} */ (null));
  const picker = useRef(/** @type {HTMLInputElement|null} */ (null));
  const [chosen, setChosen] = useState(0);
  const [hidden, setHidden] = useState("");
  const text = typed.value;
  const found = text === hidden ? null : offered(text, commands);
  const at = Math.min(chosen, (found?.length ?? 1) - 1);
  const isAnswering = running.value !== null;

  useEffect(() => fit(area.current, HIGHEST_PX), [text]);
  const isShared = route.value.page === "chat" && "shared" in route.value.query;
  useEffect(() => { if (isShared) import("./sharing.js").then(({ takeIn }) => takeIn()); }, [isShared]);

  const write = (/** @type {string} */ value) => {
    typed.value = value;
    setChosen(0);
    keepDraft(conversation.value?.id ?? null, value);
  };

  const send = async () => {
    const content = typed.value.trim();
    if (!content) return;
    const said = commandIn(content, commands);
    if (said) {
      write("");
      said.command.run(said.rest);
      return;
    }
    if (isAnswering || sending.value) return;
    const before = conversation.value?.id ?? null;
    const isSent = await start({ content });
    const now = conversation.value?.id ?? null;
    if (isSent && typed.value.trim() === content) typed.value = "";
    // What the first message begins is kept under an address of its own from here on.
    if (isSent || now !== before) dropDraft(before);
    if (typed.value) keepDraft(now, typed.value);
    if (!isSent) return;
    onSent();
  };

  const take = (/** @type {import("./commands.js").Command} */ command) => {
    if (command.takes) return write(`/${command.name} `);
    write("");
    command.run("");
  };

  const pressed = (/** @type {KeyboardEvent} */ event) => {
    if (isComposing(event)) return;
    if (found && ["ArrowDown", "ArrowUp", "Enter", "Tab", "Escape"].includes(event.key) && !event.shiftKey) {
      event.preventDefault();
      if (event.key === "Escape") {
        event.stopPropagation();
        setHidden(text);
      } else if (event.key.startsWith("Arrow")) {
        setChosen((at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length);
      } else take(found[at]);
      return;
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && !text) {
      event.preventDefault();
      onEditLast();
    }
  };

  const pasted = (/** @type {ClipboardEvent} */ event) => {
    const files = event.clipboardData?.files;
    if (!files?.length) return;
    event.preventDefault();
    attach(files);
  };

  const placeholder = t(choices.value.mode === "chat" ? "chat.placeholder_chat" : "chat.placeholder");
  return html`<form class="composer" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); send(); }}>
    ${found && html`<${CommandList} commands=${found} chosen=${at} onTake=${take} />`}
    ${attachments.value.length > 0 && html`<ul class="attachments" aria-label=${t("chat.attachments")}>
      ${attachments.value.map((one) => html`<${AttachmentChip} key=${one.name} attachment=${one} />`)}</ul>`}
    <textarea ref=${area} class="composer-text" rows="1" value=${text} placeholder=${placeholder}
      aria-label=${t("chat.composer")} aria-autocomplete="list" aria-controls=${found ? "commands" : undefined}
      aria-activedescendant=${found ? `command-${found[at].name}` : undefined} enterkeyhint="send"
      onInput=${(/** @type {any} */ event) => write(event.target.value)} onKeyDown=${pressed} onPaste=${pasted}></textarea>
    <div class="composer-foot">
      <input ref=${picker} type="file" multiple hidden tabindex="-1" aria-hidden="true"
        onChange=${(/** @type {any} */ event) => { attach([...event.target.files]); event.target.value = ""; }} />
      <${IconButton} icon="attach" label=${t("chat.attach")} onClick=${() => picker.current?.click()} />
      <${IconButton} icon="bookmark" label=${t("chat.prompts")} onClick=${onPrompts} />
      <div class="pickers"><${DocumentsPicker} /><${ModelPicker} /><${PlacePicker} /></div>
      ${isAnswering
        ? html`<${IconButton} class="send" icon="stop" label=${t("chat.stop")} onClick=${stop} />`
        : html`<${IconButton} class="send" icon="send" type="submit" label=${t("chat.send")}
            disabled=${!text.trim() || sending.value} />`}
    </div>
  </form>`;
}

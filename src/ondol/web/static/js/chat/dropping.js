// @ts-check
/** Files that are dragged over the chat, and let go there. */
import { attach } from "./attachments.js";

/**
 * The handlers of an element on which files may be dropped. Dragged text is left to the browser.
 * @param {(isOver: boolean) => void} onOver
 */
export function dropTarget(onOver) {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files") ?? false;
  return {
    onDragOver: (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      onOver(true);
    },
    onDragLeave: (/** @type {DragEvent} */ event) => {
      const to = /** @type {Node|null} */ (event.relatedTarget);
      if (!to || !(/** @type {Node} */ (event.currentTarget).contains(to))) onOver(false);
    },
    onDrop: (/** @type {DragEvent} */ event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      onOver(false);
      attach([...(event.dataTransfer?.files ?? [])]);
    },
  };
}

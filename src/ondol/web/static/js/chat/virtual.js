// @ts-check
/**
 * A list of which only what is near the window is drawn. Heights are measured once they are known and
 * guessed before; what changes above the window moves the scroll with it, so that what is read stays still.
 */
import { html, useCallback, useLayoutEffect, useRef, useState } from "../core/ui.js";

const GUESS_PX = 160;
/** Drawn above and below the window. */
const MARGIN_PX = 900;
const AT_END_PX = 60;

/**
 * @template {{id: string}} Item
 * @param {object} props
 * @param {Item[]} props.items
 * @param {(item: Item, index: number) => any} props.draw
 * @param {string} props.label what the list is, for a screen reader
 * @param {(atEnd: boolean) => void} props.onEnd whether the end is in sight
 * @param {{current: {toEnd: (smooth?: boolean) => void}|null}} props.handle
 * @param {any} [props.children] what stands under the last item
 */
export function VirtualList({ items, draw, label, onEnd, handle, children }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const heights = useRef(/** @type {Map<string, number>} */ (new Map()));
  const follows = useRef(true);
  const [, redraw] = useState(0);
  const view = useRef({ top: 0, height: 800 });
  const drawn = useRef(view.current);
  drawn.current = view.current;

  const offsets = place(items, heights.current);
  const total = offsets[items.length];
  const { first, last } = near(offsets, items.length, view.current);

  const look = useCallback(() => {
    const element = box.current;
    if (!element) return;
    view.current = { top: element.scrollTop, height: element.clientHeight };
    const { top, height } = drawn.current;
    if (Math.abs(top - view.current.top) > MARGIN_PX / 3 || height !== view.current.height) redraw((count) => count + 1);
  }, []);

  const toEnd = useCallback((/** @type {boolean} */ smooth = false) => {
    follows.current = true;
    const element = box.current;
    element?.scrollTo({ top: element.scrollHeight, behavior: smooth ? "smooth" : "auto" });
    onEnd(true);
  }, [onEnd]);
  handle.current = { toEnd };

  const scrolled = useCallback(() => {
    const element = box.current;
    if (!element) return;
    const left = element.scrollHeight - element.scrollTop - element.clientHeight;
    // Growing content moves the end away without anybody scrolling: only a move upwards lets go, and
    // at once, or a smooth scroll would be pulled back while it is still near the end.
    if (left > 1 && element.scrollTop < view.current.top - 1) follows.current = false;
    else if (left < AT_END_PX) follows.current = true;
    onEnd(follows.current || left < AT_END_PX);
    look();
  }, [look, onEnd]);

  const measure = useCallback((/** @type {string} */ id, /** @type {number} */ height, /** @type {number} */ top) => {
    const known = heights.current.get(id);
    if (known === height || !height) return;
    heights.current.set(id, height);
    const element = box.current;
    if (!element) return;
    if (follows.current) element.scrollTop = element.scrollHeight;
    else if (top + (known ?? GUESS_PX) <= element.scrollTop) element.scrollTop += height - (known ?? GUESS_PX);
    redraw((count) => count + 1);
  }, []);

  useLayoutEffect(() => {
    const element = /** @type {HTMLElement} */ (box.current);
    const watch = new ResizeObserver(() => {
      look();
      if (follows.current) element.scrollTop = element.scrollHeight;
    });
    watch.observe(element);
    look();
    return () => watch.disconnect();
  }, []);

  useLayoutEffect(() => {
    const element = box.current;
    if (element && follows.current) element.scrollTop = element.scrollHeight;
  });

  return html`<div class="thread" ref=${box} onScroll=${scrolled} role="log" aria-live="off" aria-label=${label} tabindex="0">
    <div class="thread-inner">
      <div style=${{ height: `${offsets[first]}px` }} aria-hidden="true"></div>
      ${items.slice(first, last).map((item, i) => html`<${Measured}
        key=${item.id} id=${item.id} top=${offsets[first + i]} measure=${measure}
        position=${first + i + 1} size=${items.length}>${draw(item, first + i)}<//>`)}
      <div style=${{ height: `${total - offsets[last]}px` }} aria-hidden="true"></div>
      ${children}
    </div>
  </div>`;
}

/** One item, which says how high it is whenever that changes. @param {any} props */
function Measured({ id, top, measure, position, size, children }) {
  const element = useRef(/** @type {HTMLElement|null} */ (null));
  const where = useRef(top);
  where.current = top;
  useLayoutEffect(() => {
    const node = /** @type {HTMLElement} */ (element.current);
    const tell = () => measure(id, node.getBoundingClientRect().height, where.current);
    const watch = new ResizeObserver(tell);
    watch.observe(node);
    tell();
    return () => watch.disconnect();
  }, [id]);
  return html`<div class="thread-item" ref=${element} data-message=${id}
    role="article" aria-posinset=${position} aria-setsize=${size}>${children}</div>`;
}

/**
 * Where each item begins, and where the last one ends.
 * @param {{id: string}[]} items
 * @param {Map<string, number>} heights
 */
export function place(items, heights) {
  const offsets = [0];
  for (const item of items) offsets.push(offsets[offsets.length - 1] + (heights.get(item.id) ?? GUESS_PX));
  return offsets;
}

/**
 * Which items to draw: from `first` up to, not with, `last`.
 * @param {number[]} offsets
 * @param {number} count
 * @param {{top: number, height: number}} view
 */
export function near(offsets, count, { top, height }) {
  let first = 0;
  while (first < count && offsets[first + 1] < top - MARGIN_PX) first += 1;
  let last = first;
  while (last < count && offsets[last] < top + height + MARGIN_PX) last += 1;
  return { first, last };
}

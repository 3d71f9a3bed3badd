// @ts-check
// Preact, htm and signals under one roof, so that no other module names a vendor file for them.

import htm from "../../vendor/htm.js";
import { Fragment, h, render } from "../../vendor/preact.js";
import {
  useCallback,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "../../vendor/hooks.js";
import { batch, computed, effect, signal, untracked, useComputed, useSignal } from "../../vendor/signals.js";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
const html = htm.bind(/** @type {any} */ (h));

export {
  Fragment,
  batch,
  computed,
  effect,
  h,
  html,
  render,
  signal,
  untracked,
  useCallback,
  useComputed,
  useEffect,
  useId,
  useLayoutEffect,
  useMemo,
  useRef,
  useSignal,
  useState,
};

// @ts-check
// Keys of programs: who has one, what it reads, and a new one, which is shown once.

import { html, useEffect, useSignal } from "../core/ui.js";
import { get, post } from "../core/api.js";
import { moment, t, when } from "../core/i18n.js";
import { complain } from "../core/state.js";
import { Button, Confirm, Copy, Field, Select } from "../parts/index.js";

const EXPIRES = ["", "30d", "90d", "1y"];

/** @param {{collections: string[]}} props */
export function Keys({ collections }) {
  const keys = useSignal(/** @type {any[] | null} */ (null));
  const made = useSignal(/** @type {{name: string, secret: string} | null} */ (null));
  const leaving = useSignal(/** @type {any} */ (null));
  const load = () =>
    get("/ondol/v1/keys").then(
      (all) => {
        keys.value = all.keys;
      },
      (error) => error.status !== 403 && complain(error),
    );
  useEffect(() => {
    load();
  }, []);
  // A phone makes none.
  if (!keys.value) return null;
  const revoke = async () => {
    try {
      await post(`/ondol/v1/keys/${leaving.value.id}/revoke`);
      await load();
    } catch (error) {
      complain(error);
    }
    leaving.value = null;
  };
  return html`<section class="connect-keys stack" aria-labelledby="connect-keys">
    <h2 id="connect-keys">${t("connect.keys")}</h2>
    <p class="muted">${t("connect.keys_about")}</p>
    ${keys.value.length > 0 && html`<${List} keys=${keys.value} onRevoke=${(/** @type {any} */ one) => (leaving.value = one)} />`}
    <${Make}
      collections=${collections}
      onMade=${(/** @type {any} */ one) => {
        made.value = one;
        load();
      }}
    />
    ${made.value &&
    html`<div class="card row" role="status">
      <span>${t("connect.key_made", { name: made.value.name })}</span>
      <code>${made.value.secret}</code>
      <${Copy} text=${made.value.secret} label=${t("connect.copy_key")} />
    </div>`}
    ${leaving.value &&
    html`<${Confirm}
      title=${t("connect.revoke_title", { name: leaving.value.name })}
      action=${t("connect.revoke")}
      onConfirm=${revoke}
      onClose=${() => (leaving.value = null)}
    >
      <p>${t("connect.revoke_about")}</p>
    <//>`}
  </section>`;
}

/** @param {{keys: any[], onRevoke: (key: any) => void}} props */
function List({ keys, onRevoke }) {
  return html`<div class="table-holder" tabindex="0" role="group" aria-labelledby="connect-keys">
    <table class="table">
      <thead>
        <tr>
          <th scope="col">${t("connect.key_name")}</th>
          <th scope="col">${t("connect.key_reads")}</th>
          <th scope="col">${t("connect.key_state")}</th>
          <th scope="col">${t("connect.last_time")}</th>
          <th scope="col"></th>
        </tr>
      </thead>
      <tbody>
        ${keys.map(
          (one) => html`<tr key=${one.id}>
            <td>${one.name}</td>
            <td>${one.collections ? one.collections.join(", ") || t("connect.key_reads_nothing") : t("connect.reads_everything")}</td>
            <td title=${one.expires_at ? moment(one.expires_at) : undefined}>${t(`connect.key_${one.state}`)}</td>
            <td>${one.used_at ? when(one.used_at) : "–"}</td>
            <td>
              ${one.state === "valid" &&
              html`<${Button} small kind="quiet" aria-label=${t("connect.revoke_title", { name: one.name })} onClick=${() => onRevoke(one)}>${t("connect.revoke")}<//>`}
            </td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

/** @param {{collections: string[], onMade: (made: {name: string, secret: string}) => void}} props */
function Make({ collections, onMade }) {
  const name = useSignal("");
  const reads = useSignal("nothing");
  const expires = useSignal("");
  const problem = useSignal("");
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const some = reads.value === "nothing" ? [] : [reads.value.slice(1)];
    const body = { name: name.value, collections: reads.value === "all" ? null : some, expires: expires.value || null };
    try {
      const told = await post("/ondol/v1/keys", body);
      problem.value = name.value = "";
      onMade({ name: told.key.name, secret: told.secret });
    } catch (/** @type {any} */ error) {
      problem.value = error.message;
    }
  };
  const readable = [
    { value: "nothing", text: t("connect.key_reads_nothing") },
    { value: "all", text: t("connect.reads_everything") },
    ...collections.map((one) => ({ value: `:${one}`, text: one })),
  ];
  return html`<form class="row connect-make" onSubmit=${submit}>
    <${Field} label=${t("connect.key_for")} error=${problem.value}>
      ${(/** @type {any} */ said) =>
        html`<input ...${said} class="input" required maxlength="64" value=${name.value} onInput=${(/** @type {any} */ event) => (name.value = event.currentTarget.value)} />`}
    <//>
    <${Select} label=${t("connect.key_reads")} value=${reads.value} options=${readable} onChange=${(/** @type {string} */ value) => (reads.value = value)} />
    <${Select}
      label=${t("connect.key_expires")}
      value=${expires.value}
      options=${EXPIRES.map((value) => ({ value, text: t(`connect.expires_${value || "never"}`) }))}
      onChange=${(/** @type {string} */ value) => (expires.value = value)}
    />
    <${Button} type="submit" kind="primary" icon="plus">${t("connect.make_key")}<//>
  </form>`;
}

// A form for the options of a kind of job, made from its schema: what is set most first, the rest behind "More". Nothing
// is judged here: the server refuses with the sentence that the command line has.
import { useId } from "preact/hooks";
import presets from "timbre:presets";
import { labelOf, bytesText } from "../model/format";
import { assets, models } from "../model/catalog";
import type { FieldSchema, Model, OptionsSchema } from "../model/types";

export type Values = Record<string, unknown>;

// What stands first, by kind; of a kind that isn't here, the first four of its schema.
const kFirst: Record<string, string[]> = {
  separate: ["model", "two_stems", "format"],
  denoise: ["model", "atten_lim", "format"],
  drums: ["model", "from", "metre", "keep_stems"],
  master: ["preset", "loudness", "ceiling", "format"],
  loudness: ["normalise", "ceiling", "format"],
  join: ["output", "crossfade", "law", "normalise"],
  song: ["model", "seconds", "seed"],
  lyrics: ["model", "style", "mood", "tempo"],
};

const kTaskOf: Record<string, string> = { separate: "separate", denoise: "denoise", drums: "separate", song: "song", lyrics: "text" };
const kDrums = ["kick", "snare", "toms", "hh", "cymbals"];

function fits(model: Model, kind: string, key: string): boolean {
  if (kind === "drums" && key === "model" && !model.stems.some((stem) => kDrums.includes(stem))) return false;
  // The catalogue calls both of a song's networks "song"; what makes styles is named for it.
  if (kind === "song" && model.task === "song" && model.name.startsWith("muq") !== (key === "style_model")) return false;
  const task = key === "from_model" ? "separate" : kTaskOf[kind];
  return task === undefined || model.task === task;
}

export function modelText(model: Model): string {
  if (model.state === "built-in") return `${model.name} (built in)`;
  if (model.state === "installed") return model.name;
  return `${model.name} (not here${model.bytes > 0 ? `, ${bytesText(model.bytes)}` : ""})`;
}

// What a form begins with: the defaults, except that a model that is not here gives way, visibly, to one that is.
export function initialValues(kind: string, schema: OptionsSchema): Values {
  const field = schema.properties.model;
  const usual = models.value.find((model) => model.name === field?.default);
  if (!field || !usual || usual.state === "installed" || usual.state === "built-in") return {};
  const here = models.value.find((model) => fits(model, kind, "model") && (model.state === "installed" || model.state === "built-in"));
  return here ? { model: here.name } : {};
}

function typesOf(field: FieldSchema): string[] {
  return field.type === undefined ? [] : Array.isArray(field.type) ? field.type : [field.type];
}

// A file among the options: one that was brought in, or what is typed.
function FileInput({ id, name, value, onChange }: { id: string; name: string; value: unknown; onChange: (value: unknown) => void }) {
  const given = (value ?? {}) as { asset?: string; text?: string };
  return (
    <div class="field">
      <label for={id}>{labelOf(name)}</label>
      <select id={id} value={given.asset ?? (given.text === undefined ? "" : "text")} onChange={(event) => onChange(event.currentTarget.value === "" ? undefined : event.currentTarget.value === "text" ? { text: "" } : { asset: event.currentTarget.value })}>
        <option value="">None</option>
        <option value="text">Typed here</option>
        {assets.value.map((asset) => (
          <option key={asset.id} value={asset.id}>
            {asset.name}
          </option>
        ))}
      </select>
      {given.text !== undefined && <textarea rows={5} aria-label={`${labelOf(name)}, as text`} value={given.text} onInput={(event) => onChange({ text: event.currentTarget.value })} />}
    </div>
  );
}

interface FieldProps {
  kind: string;
  name: string;
  field: FieldSchema;
  value: unknown;
  onChange: (value: unknown) => void;
}

function FieldInput({ kind, name, field, value, onChange }: FieldProps) {
  const id = useId();
  const types = typesOf(field);
  const help = field.description ? <p class="quiet" id={`${id}-help`}>{field.description}</p> : null;
  const about = help ? { "aria-describedby": `${id}-help` } : {};
  if (types.includes("boolean")) {
    return (
      <div class="field">
        <label class="tick" for={id}>
          <input id={id} type="checkbox" checked={Boolean(value ?? field.default)} onChange={(event) => onChange(event.currentTarget.checked)} {...about} />
          {labelOf(name)}
        </label>
        {help}
      </div>
    );
  }
  if (field.anyOf) return <FileInput id={id} name={name} value={value} onChange={onChange} />;
  let choices: { value: string; text: string }[] | null = null;
  if (field.enum) choices = field.enum.map((choice) => ({ value: String(choice), text: String(choice) }));
  if (name === "model" || name === "from_model" || name === "style_model") {
    choices = models.value.filter((model) => fits(model, kind, name)).map((model) => ({ value: model.name, text: modelText(model) }));
  }
  if (name === "preset") choices = presets.map((preset) => ({ value: preset.id, text: preset.title }));
  const shown = value ?? field.default;
  let input;
  if (choices && choices.length > 0) {
    const current = String(shown ?? "");
    if (!choices.some((choice) => choice.value === current)) choices = [{ value: current, text: current || "–" }, ...choices];
    input = (
      <select id={id} value={current} onChange={(event) => onChange(event.currentTarget.value)} {...about}>
        {choices.map((choice) => (
          <option key={choice.value} value={choice.value}>
            {choice.text}
          </option>
        ))}
      </select>
    );
  } else if (types.includes("number") || types.includes("integer")) {
    input = (
      <input
        id={id}
        type="number"
        step={types.includes("integer") ? 1 : "any"}
        min={field.minimum}
        max={field.maximum}
        value={shown === null || shown === undefined ? "" : String(shown)}
        placeholder={types.includes("null") ? "as the model has it" : ""}
        onInput={(event) => onChange(event.currentTarget.value === "" ? null : event.currentTarget.valueAsNumber)}
        {...about}
      />
    );
  } else if (types.includes("array")) {
    const text = Array.isArray(shown) ? shown.join(", ") : "";
    input = (
      <input
        id={id}
        value={text}
        placeholder="separated by commas"
        onChange={(event) => onChange(event.currentTarget.value.split(",").map((part) => part.trim()).filter(Boolean))}
        {...about}
      />
    );
  } else {
    input = <input id={id} value={String(shown ?? "")} onInput={(event) => onChange(event.currentTarget.value)} {...about} />;
  }
  return (
    <div class="field">
      <label for={id}>{labelOf(name)}</label>
      {input}
      {help}
    </div>
  );
}

interface SchemaFieldsProps {
  kind: string;
  schema: OptionsSchema;
  values: Values;
  omit?: readonly string[];
  onChange: (values: Values) => void;
}

export function SchemaFields({ kind, schema, values, omit = [], onChange }: SchemaFieldsProps) {
  const names = Object.keys(schema.properties).filter((name) => !omit.includes(name));
  const wanted = kFirst[kind] ?? names.slice(0, 4);
  const first = wanted.filter((name) => names.includes(name));
  const rest = names.filter((name) => !first.includes(name));
  const change = (name: string, value: unknown) => {
    const next = { ...values };
    // What is left alone isn't sent: the server's own default holds.
    if (value === schema.properties[name]?.default) delete next[name];
    else next[name] = value;
    onChange(next);
  };
  const inputs = (list: string[]) =>
    list.map((name) => (
      <FieldInput key={name} kind={kind} name={name} field={schema.properties[name] as FieldSchema} value={values[name]} onChange={(value) => change(name, value)} />
    ));
  return (
    <>
      <div class="fields">{inputs(first)}</div>
      {rest.length > 0 && (
        <details>
          <summary>More ({rest.length})</summary>
          <div class="fields">{inputs(rest)}</div>
        </details>
      )}
    </>
  );
}

// The dialog that makes jobs of files.
import { useEffect, useState } from "preact/hooks";
import { sentence } from "../model/api";
import { kinds, loadCatalog, schemaOf } from "../model/catalog";
import { submit } from "../model/jobs";
import type { Job, OptionsSchema } from "../model/types";
import { Dialog } from "./dialog";
import { SchemaFields, type Values, initialValues } from "./schema_form";
import { kindText } from "./kinds";

export interface FormInput {
  asset: string;
  name: string;
}

interface JobFormProps {
  inputs: readonly FormInput[];
  kind: string;
  fixed?: boolean; // the kind isn't to be chosen
  onClose: () => void;
  onMade?: (jobs: Job[]) => void;
}

export function JobForm({ inputs, kind: first, fixed = false, onClose, onMade }: JobFormProps) {
  const [kind, setKind] = useState(first);
  const [schema, setSchema] = useState<OptionsSchema | null>(null);
  const [values, setValues] = useState<Values>({});
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    let current = true;
    setSchema(null);
    setError("");
    Promise.all([schemaOf(kind), loadCatalog()]).then(
      ([loaded]) => {
        if (!current) return;
        setSchema(loaded);
        setValues(initialValues(kind, loaded));
      },
      (problem) => current && setError(sentence(problem)),
    );
    return () => {
      current = false;
    };
  }, [kind]);
  // One job takes all files; of most kinds each file has a job of its own.
  const together = kinds.value.find((known) => known.name === kind)?.together ?? false;
  const start = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      const made: Job[] = [];
      if (together) made.push(await submit({ kind, inputs: [...inputs], options: values }));
      else for (const input of inputs) made.push(await submit({ kind, inputs: [input], options: values }));
      onMade?.(made);
      onClose();
    } catch (problem) {
      setError(sentence(problem));
      setBusy(false);
    }
  };
  const what = inputs.length === 1 ? (inputs[0]?.name ?? "") : `${inputs.length} files`;
  return (
    <Dialog title={`${kindText(kind)}: ${what}`} onClose={onClose}>
      <form onSubmit={start} noValidate>
        <div class="pad stack">
          {!fixed && (
            <div class="field">
              <label for="job-kind">What to do</label>
              <select id="job-kind" value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
                {kinds.value.filter((known) => known.files).map((known) => (
                  <option key={known.name} value={known.name}>
                    {known.summary}
                  </option>
                ))}
              </select>
            </div>
          )}
          {schema ? <SchemaFields kind={kind} schema={schema} values={values} onChange={setValues} /> : !error && <p class="quiet">Loading the options…</p>}
          {error && (
            <p class="error" role="alert">
              {error}
            </p>
          )}
        </div>
        <footer>
          <button type="button" onClick={onClose}>
            Close
          </button>
          <button type="submit" class="primary" disabled={busy || !schema}>
            {together || inputs.length === 1 ? "Start" : `Start ${inputs.length} jobs`}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

// A mastering chain to be changed: bands of an equaliser with the curve that they make together, compressor, limiter.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ResponseAxes, frequencies, hzText, paintResponse } from "../draw/response";
import { dbText } from "../model/format";
import { type Band, type Chain, changedTitle, kBandTypes, kCompressor, kFlat, kLimiter, kMostBands, hasGain, responseAt } from "../model/chain";
import { ChainPreview, type Heard } from "./chain_preview";
import { Dialog } from "./dialog";
import { Symbol } from "./symbols";
import { useRedraw } from "./wave";

const kNear = 22; // pixels about a band that are taken for it
const kTypeNames: Record<Band["type"], string> = { highpass: "High pass", lowpass: "Low pass", lowshelf: "Low shelf", highshelf: "High shelf", peak: "Peak" };

interface NumberProps {
  label: string;
  value: number;
  min: number;
  max: number;
  step: number;
  disabled?: boolean;
  onValue: (value: number) => void;
}

// What is out of range becomes the nearest that is not; what is no number is as it was before.
function NumberField({ label, value, min, max, step, disabled = false, onValue }: NumberProps) {
  return (
    <label class="field number-field">
      <span class="label">{label}</span>
      <input
        type="number"
        min={min}
        max={max}
        step={step}
        disabled={disabled}
        value={String(value)}
        onChange={(event) => {
          const given = event.currentTarget.valueAsNumber;
          const taken = Number.isFinite(given) ? Math.min(max, Math.max(min, given)) : value;
          event.currentTarget.value = String(taken);
          if (taken !== value) onValue(taken);
        }}
      />
    </label>
  );
}

// In words what the picture shows.
function responseText(bands: readonly Band[]): string {
  const all = frequencies(200).map((hz) => ({ hz, db: responseAt(bands, hz) }));
  const least = all.reduce((a, b) => (b.db < a.db ? b : a));
  const most = all.reduce((a, b) => (b.db > a.db ? b : a));
  if (most.db - least.db < 0.05) return "Frequency response: flat";
  return `Frequency response: ${dbText(least.db)} at ${hzText(least.hz)} to ${dbText(most.db)} at ${hzText(most.hz)}`;
}

function Response({ bands, chosen, onChoose, onBand }: { bands: readonly Band[]; chosen: number; onChoose: (index: number) => void; onBand: (index: number, part: Partial<Band>) => void }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef(-1);
  const draw = () => canvas.current && paintResponse(canvas.current, bands, chosen);
  useEffect(() => void draw(), [bands, chosen]);
  useRedraw(canvas, draw);
  const place = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height, box };
  };
  return (
    <canvas
      ref={canvas}
      class="response"
      role="img"
      aria-label={responseText(bands)}
      title="Drag a band"
      onPointerDown={(event) => {
        const { x, y, box } = place(event);
        const axes = new ResponseAxes(bands);
        let best = -1;
        let distance = kNear;
        bands.forEach((band, i) => {
          const away = Math.hypot((axes.across(band.hz) - x) * box.width, (axes.down(band.db) - y) * box.height);
          if (away <= distance) [best, distance] = [i, away];
        });
        drag.current = best;
        if (best < 0) return;
        onChoose(best);
        event.currentTarget.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        const band = bands[drag.current];
        if (!band) return;
        const { x, y } = place(event);
        const axes = new ResponseAxes(bands);
        const hz = Number(axes.hzAt(x).toPrecision(3));
        const db = Math.min(24, Math.max(-24, Math.round(axes.dbAt(y) * 10) / 10));
        onBand(drag.current, hasGain(band) ? { hz, db } : { hz });
      }}
      onPointerUp={() => (drag.current = -1)}
      onPointerCancel={() => (drag.current = -1)}
    />
  );
}

export function ChainEditor({ chain, heard, onChange }: { chain: Chain; heard?: Heard | null; onChange: (chain: Chain) => void }) {
  const chosen = useSignal(-1);
  const { bands, compressor, limiter } = chain;
  const setBand = (index: number, part: Partial<Band>) => onChange({ ...chain, bands: bands.map((band, i) => (i === index ? { ...band, ...part } : band)) });
  const setCompressor = (part: Partial<NonNullable<Chain["compressor"]>>) => compressor && onChange({ ...chain, compressor: { ...compressor, ...part } });
  const setLimiter = (part: Partial<NonNullable<Chain["limiter"]>>) => limiter && onChange({ ...chain, limiter: { ...limiter, ...part } });
  return (
    <div class="stack">
      {heard && <ChainPreview heard={heard} chain={chain} />}
      <Response bands={bands} chosen={chosen.value} onChoose={(index) => (chosen.value = index)} onBand={setBand} />
      <div class="bands">
        {bands.map((band, i) => (
          <div key={i} role="group" aria-label={`Band ${i + 1}`} class={chosen.value === i ? "band chosen" : "band"} onFocusIn={() => (chosen.value = i)}>
            <label class="field number-field">
              <span class="label">Band {i + 1}</span>
              <select value={band.type} onChange={(event) => setBand(i, { type: event.currentTarget.value as Band["type"] })}>
                {kBandTypes.map((type) => (
                  <option key={type} value={type}>
                    {kTypeNames[type]}
                  </option>
                ))}
              </select>
            </label>
            <NumberField label="Hz" value={band.hz} min={10} max={20000} step={1} onValue={(hz) => setBand(i, { hz })} />
            <NumberField label="dB" value={band.db} min={-24} max={24} step={0.1} disabled={!hasGain(band)} onValue={(db) => setBand(i, { db })} />
            <NumberField label="Q" value={band.q} min={0.1} max={20} step={0.1} onValue={(q) => setBand(i, { q })} />
            <button type="button" class="icon plain" aria-label={`Remove band ${i + 1}`} onClick={() => onChange({ ...chain, bands: bands.filter((_, other) => other !== i) })}>
              <Symbol name="close" />
            </button>
          </div>
        ))}
      </div>
      <div class="line">
        <button type="button" disabled={bands.length >= kMostBands} onClick={() => onChange({ ...chain, bands: [...bands, { type: "peak", hz: 1000, db: 0, q: 1 }] })}>
          <Symbol name="plus" />
          Add a band
        </button>
        <button type="button" onClick={() => onChange({ ...chain, bands: kFlat.bands })}>
          Five flat bands
        </button>
      </div>
      <fieldset class="part">
        <legend>
          <label class="tick">
            <input type="checkbox" checked={Boolean(compressor)} onChange={(event) => onChange({ ...chain, compressor: event.currentTarget.checked ? kCompressor : null })} />
            Compressor
          </label>
        </legend>
        {compressor && (
          <div class="numbers">
            <NumberField label="Threshold, dB" value={compressor.threshold_db} min={-60} max={0} step={0.5} onValue={(threshold_db) => setCompressor({ threshold_db })} />
            <NumberField label="Ratio, to 1" value={compressor.ratio} min={1} max={100} step={0.1} onValue={(ratio) => setCompressor({ ratio })} />
            <NumberField label="Knee, dB" value={compressor.knee_db} min={0} max={40} step={0.5} onValue={(knee_db) => setCompressor({ knee_db })} />
            <NumberField label="Attack, ms" value={compressor.attack_ms} min={0} max={1000} step={0.1} onValue={(attack_ms) => setCompressor({ attack_ms })} />
            <NumberField label="Release, ms" value={compressor.release_ms} min={1} max={10000} step={1} onValue={(release_ms) => setCompressor({ release_ms })} />
            <NumberField label="Make-up, dB" value={compressor.makeup_db} min={-24} max={24} step={0.1} onValue={(makeup_db) => setCompressor({ makeup_db })} />
          </div>
        )}
      </fieldset>
      <fieldset class="part">
        <legend>
          <label class="tick">
            <input type="checkbox" checked={Boolean(limiter)} onChange={(event) => onChange({ ...chain, limiter: event.currentTarget.checked ? kLimiter : null })} />
            Limiter of its own
          </label>
        </legend>
        {limiter ? (
          <div class="numbers">
            <NumberField label="Ceiling, dBTP" value={limiter.ceiling_db} min={-40} max={0} step={0.1} onValue={(ceiling_db) => setLimiter({ ceiling_db })} />
            <NumberField label="Release, ms" value={limiter.release_ms} min={1} max={10000} step={1} onValue={(release_ms) => setLimiter({ release_ms })} />
          </div>
        ) : (
          <p class="quiet">Without one nothing holds the peaks, unless a loudness is asked for: then the true peak stays below −1 dBTP.</p>
        )}
      </fieldset>
    </div>
  );
}

// The same in a dialog, for where there is a chain already.
export function ChainDialog({ title, chain, heard, text, onUse, onClose }: { title: string; chain: Chain; heard?: Heard | null; text: string; onUse: (chain: Chain) => void; onClose: () => void }) {
  const own = useSignal(chain);
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="pad">
        <ChainEditor chain={own.value} heard={heard} onChange={(changed) => (own.value = changed)} />
      </div>
      <footer>
        <button type="button" onClick={onClose}>
          Leave it
        </button>
        <button type="button" class="primary" onClick={() => onUse(own.value === chain ? chain : { ...own.value, title: changedTitle(chain.title) })}>
          {text}
        </button>
      </footer>
    </Dialog>
  );
}

// Tempo, bars and first beat of a song, to be set right where they were heard wrong: the click, what is drawn and what is
// saved follow.
import { useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Click, beatsOf } from "../audio/click";
import type { Player } from "../audio/player";
import type { HitList } from "../model/drums";

const kMetres = ["2/4", "3/4", "4/4", "5/4", "6/4", "7/4", "6/8", "7/8", "9/8", "12/8"];

// The click on or off, where there are beats for it.
export function clicks(click: Click): void {
  if (click.beats.peek()) click.track.mute.value = !click.track.mute.peek();
}

export function BeatEditor({ player, list, click }: { player: Player; list: HitList; click: Click }) {
  const grid = list.grid.value;
  const on = !click.track.mute.value;
  useSignalEffect(() => {
    click.beats.value = beatsOf(list.grid.value);
    if (player.playing.peek() && !click.track.mute.peek()) player.seek(player.position()); // what is scheduled has the old ones
  });
  const here = () => void list.setBeats({ first: Math.max(0, player.position() / player.rate) });
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.key !== "f" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (document.querySelector("dialog[open]") || target.matches("select, textarea, input:not([type=range])")) return;
      here();
      event.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  });
  const tempo = () => list.grid.value.tempo_bpm?.toFixed(2) ?? "";
  const begins = () => list.grid.value.beats[list.grid.value.downbeat]?.toFixed(3) ?? "";
  // What is no number, or is refused, gives way to what is.
  const change = async (input: HTMLInputElement, is: () => string, set: (value: number) => Promise<void>) => {
    const value = input.valueAsNumber;
    if (Number.isFinite(value)) await set(value);
    input.value = is();
  };
  return (
    <section class="sheet" aria-label="Beats">
      <header>
        <h2>Beats</h2>
        <button type="button" aria-pressed={on} disabled={!click.beats.value} title="m" onClick={() => clicks(click)}>
          Click
        </button>
        <button type="button" title="f: a bar begins where it stands" disabled={grid.beats.length < 2} onClick={here}>
          Bar begins here
        </button>
        <button type="button" disabled={grid.beats.length < 2} title="Where half of the beats were heard" onClick={() => list.setBeats({ times: "double" })}>
          Twice as many
        </button>
        <button type="button" disabled={grid.beats.length < 4} title="Where there are two for each" onClick={() => list.setBeats({ times: "half" })}>
          Half as many
        </button>
        <button type="button" disabled={list.gridIsHeard.value} onClick={() => list.setBeats({ as_heard: true })}>
          As heard
        </button>
      </header>
      <div class="pad fields">
        <div class="field">
          <label for="beat-tempo">Tempo, beats a minute</label>
          <input id="beat-tempo" type="number" min={20} max={400} step={0.01} value={tempo()} onChange={(event) => void change(event.currentTarget, tempo, (tempo_bpm) => list.setBeats({ tempo_bpm }))} />
        </div>
        <div class="field">
          <label for="beat-first">A bar begins at, seconds</label>
          <input id="beat-first" type="number" min={0} step={0.001} disabled={grid.beats.length < 2} value={begins()} onChange={(event) => void change(event.currentTarget, begins, (seconds) => list.setBeats({ first: seconds }))} />
        </div>
        <div class="field">
          <label for="beat-metre">Metre</label>
          <select id="beat-metre" value={grid.metre ?? ""} onChange={(event) => void list.setBeats({ metre: event.currentTarget.value })}>
            {[...new Set([...(grid.metre ? [] : [""]), ...kMetres, ...(grid.metre ? [grid.metre] : [])])].map((metre) => (
              <option key={metre} value={metre} disabled={metre === ""}>
                {metre || "Not known"}
              </option>
            ))}
          </select>
        </div>
      </div>
    </section>
  );
}
